"""Which other issuer's JWTs are taken, and where its keys may be fetched from."""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

OWN_ISSUER: Final = "strata"
"""``iss`` and ``aud`` of the tokens that this server signs."""


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """``issuer`` and ``audience`` are what the claims ``iss`` and ``aud`` must say; the keys are at ``key_set_url``.

    Raises ValueError for an address that is not https, nor http on this machine.
    """

    issuer: str
    audience: str
    key_set_url: str

    def __post_init__(self) -> None:
        parts = urlsplit(self.key_set_url)
        host = parts.hostname or ""
        if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
            raise ValueError("it must be an https address (http only on this machine)")
        plain = self.key_set_url.isascii() and self.key_set_url.isprintable() and " " not in self.key_set_url
        if not host or not plain or parts.username is not None or parts.fragment or parts.port == 0:
            raise ValueError("it must be an https address without user name and fragment")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
