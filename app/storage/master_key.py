"""The one secret that the database does not hold, and the keys derived from it.

It comes from ``STRATA_MASTER_KEY`` or from a file that the first start makes. Whoever has the database alone can
neither read what is sealed with it nor add an API key, a session or a signing key that would be taken.
"""

import os
import secrets
import stat
from base64 import b64decode
from pathlib import Path
from typing import Final

import platformdirs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.storage.embedded import default_data_dir

KEY_BYTES: Final = 32
FILE_NAME: Final = "master.key"
_NONCE_BYTES: Final = 12
_ID_BYTES: Final = 4
_FORM: Final = b"\x01"
# Random bytes never repeat themselves that much; passwords and examples do.
_LEAST_DISTINCT: Final = 16
_STANDARD_ALPHABET: Final = str.maketrans("-_", "+/")


class MasterKeyError(RuntimeError):
    """The master key is missing, unusable or another one; the message says what to do."""


class MasterKey:
    """32 random bytes. Nothing is encrypted with them: each purpose has a key of its own (HKDF-SHA256, RFC 5869)."""

    __slots__ = ("_derived", "_id", "_secret")

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._derived: dict[str, bytes] = {}
        self._id = self.derive("key id")[:_ID_BYTES]

    @property
    def name(self) -> str:
        """What tells this key from others, and nothing else of it."""
        return self._id.hex()

    def derive(self, purpose: str) -> bytes:
        """Return the 32 bytes that belong to ``purpose``, the same ones each time."""
        known = self._derived.get(purpose)
        if known is None:
            known = HKDF(SHA256(), KEY_BYTES, salt=None, info=f"strata {purpose}".encode()).derive(self._secret)
            self._derived[purpose] = known
        return known

    def encrypt(self, purpose: str, plain: bytes, associated: bytes) -> bytes:
        """Return ``plain`` sealed by AES-256-GCM; it opens for the same ``purpose`` and ``associated`` only.

        The result names the master key, so that one sealed with another can be told from one that was changed.
        """
        head, nonce = _FORM + self._id, secrets.token_bytes(_NONCE_BYTES)
        return head + nonce + self._cipher(purpose).encrypt(nonce, plain, head + associated)

    def decrypt(self, purpose: str, sealed: bytes, associated: bytes) -> bytes:
        """Return what ``encrypt`` was given. Raises MasterKeyError."""
        start = len(_FORM) + _ID_BYTES
        head, nonce, text = sealed[:start], sealed[start : start + _NONCE_BYTES], sealed[start + _NONCE_BYTES :]
        if head.startswith(_FORM) and head != _FORM + self._id:
            raise MasterKeyError(
                "The master key is not the one that this database was used with. Give Strata that one, in "
                "STRATA_MASTER_KEY or its file; 'strata doctor' says which is in use."
            )
        try:
            return self._cipher(purpose).decrypt(nonce, text, head + associated)
        except (InvalidTag, ValueError):
            raise MasterKeyError("What the database holds sealed was changed, or belongs elsewhere.") from None

    def _cipher(self, purpose: str) -> AESGCM:
        return AESGCM(self.derive(f"seal {purpose}"))


_current: MasterKey | None = None


def use(key: MasterKey) -> None:
    """Make ``key`` the master key of this process."""
    global _current
    _current = key


def current() -> MasterKey:
    """Return the master key of this process. Raises RuntimeError if none was chosen yet."""
    if _current is None:
        raise RuntimeError("no master key is in use")
    return _current


def parse(text: str) -> bytes:
    """Return the 32 bytes that ``text`` spells in hex or base64 (either alphabet).

    Raises ValueError, whose message does not repeat the text.
    """
    secret = _decoded(text.strip())
    if len(secret) != KEY_BYTES:
        raise ValueError(f"it must be {KEY_BYTES} random bytes in base64 or hex, and has {len(secret)}")
    if len(set(secret)) < _LEAST_DISTINCT:
        raise ValueError(f"it must be {KEY_BYTES} random bytes; these repeat themselves")
    return secret


def _decoded(text: str) -> bytes:
    try:
        if len(text) == 2 * KEY_BYTES:
            return bytes.fromhex(text)
        digits = text.rstrip("=").translate(_STANDARD_ALPHABET)
        return b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except ValueError:
        raise ValueError("it is neither base64 nor hex") from None


def folder_of(database_url: str | None, data_dir: Path | None) -> Path:
    """Return where the key's file is: beside the embedded database, else in the user's configuration."""
    if database_url:
        return platformdirs.user_config_path("strata")
    return data_dir or default_data_dir()


def read_file(folder: Path) -> MasterKey | None:
    """Return the key in the folder's file; None if there is none. Raises MasterKeyError."""
    path = folder / FILE_NAME
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise MasterKeyError(f"The master key file {path} cannot be read: {error.strerror}.") from error
    with os.fdopen(descriptor) as file:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        if mode & 0o077:
            raise MasterKeyError(f"Others can read the master key file {path}. Run: chmod 600 {path}")
        try:
            return MasterKey(parse(file.read(1_000)))
        except ValueError as error:
            raise MasterKeyError(f"The master key file {path} cannot be used: {error}. Restore it.") from None


def read_or_make_file(folder: Path) -> MasterKey:
    """Return the key in the folder's file, which is made if there is none. Raises MasterKeyError.

    When several processes start at once, all get the same one.
    """
    found = read_file(folder)
    if found is None:
        try:
            _make_file(folder)
        except OSError as error:
            raise MasterKeyError(
                f"No master key can be made in {folder}: {error.strerror}. Give Strata one in STRATA_MASTER_KEY "
                f"({KEY_BYTES} random bytes in base64 or hex)."
            ) from error
        found = read_file(folder)
    if found is None:
        raise MasterKeyError(f"The master key file in {folder} is gone as soon as it is made.")
    return found


def _make_file(folder: Path) -> None:
    if not folder.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = folder / f".{FILE_NAME}.{secrets.token_hex(8)}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            _give_to_owner_of(folder, descriptor)
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
            file.flush()
            os.fsync(descriptor)
        # A link is refused where there is one already, and never shows a file that is half written.
        os.link(draft, folder / FILE_NAME)
    except FileExistsError:
        return
    finally:
        draft.unlink()
    _sync(folder)


def _give_to_owner_of(folder: Path, descriptor: int) -> None:
    """See to it that a command run once by root does not lock the folder's own user out."""
    owner = folder.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
