"""Keyed digests: without the master key nobody can compute, check or plant one."""

import hmac

from app.storage import master_key


def keyed(purpose: str, text: bytes) -> bytes:
    """Return HMAC-SHA256 of ``text`` under the master key's key for ``purpose``."""
    return hmac.digest(master_key.current().derive(purpose), text, "sha256")
