"""What names may look like: kinds, keys, environments, labels."""

import re
from typing import Final
from unicodedata import category, normalize

from app.domain.errors import ValidationFailed
from app.domain.json_text import unstorable_text
from app.domain.model import PROJECT_KEY, PROJECT_KIND

MAX_KEY: Final = 256
MAX_NAME: Final = 200
MAX_MESSAGE: Final = 2_000
MAX_EMAIL: Final = 254
_KIND: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", re.ASCII)
_EMAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s.]+(?:\.[^@\s.]+)*", re.ASCII)
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_ESCAPE: Final = re.compile("%[0-9a-f]{2}", re.ASCII | re.IGNORECASE)
# Controls, format characters, private ones, separators of lines and paragraphs, other spaces than the usual one.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp", "Zs"})
TABLE_ALIASES: Final = {
    "data_projects_project": PROJECT_KIND,
    "data_projects_8dna": PROJECT_KIND,
    "data_projects_user": "user",
}


def check_kind(kind: str) -> str:
    """Return ``kind`` if it is well formed. Raises ValidationFailed."""
    if not _KIND.fullmatch(kind):
        raise ValidationFailed(
            "A kind is a letter followed by up to 63 letters, digits, '_', '.' or '-'.", field="kind"
        )
    return kind


def check_key(kind: str, key: str) -> str:
    """Return ``key`` if an entity of ``kind`` may have it. Raises ValidationFailed."""
    if not 1 <= len(key) <= MAX_KEY:
        raise ValidationFailed(f"A key has 1 to {MAX_KEY} characters.", field="key")
    if reason := unstorable_text(key):
        raise ValidationFailed(f"The key cannot be used: {reason}.", field="key")
    if kind == PROJECT_KIND and key != PROJECT_KEY:
        raise ValidationFailed(
            f"The one document of the kind {PROJECT_KIND!r} has the key {PROJECT_KEY!r}.", field="key"
        )
    return key


def document_name(kind: str, key: str | None) -> tuple[str, str]:
    """Return kind and key of a document; only that of the project may leave its key out. Raises ValidationFailed."""
    check_kind(kind)
    if key is None:
        if kind != PROJECT_KIND:
            raise ValidationFailed(f"Name the key of the {kind!r}.", field="key")
        key = PROJECT_KEY
    return kind, check_key(kind, key)


def environment_name(name: str) -> str:
    """Return the NFC form of an environment's name. Raises ValidationFailed.

    Names that look like UUIDs, characters that cannot be seen, and what is taken for one character in a header would
    make a reference mean two things.
    """
    normal = normalize("NFC", name)
    check_label(normal, "env_name")
    if normal != normal.strip():
        raise ValidationFailed("A name does not begin or end with white space.", field="env_name")
    if any(character != " " and category(character) in _UNSEEN for character in normal):
        raise ValidationFailed("A name has only characters that can be seen.", field="env_name")
    if _ESCAPE.search(normal):
        raise ValidationFailed("A name has no percent-encoded characters, as %20 is.", field="env_name")
    if is_uuid(normal):
        raise ValidationFailed("A name must not look like a UUID.", field="env_name")
    return normal


def is_uuid(text: str) -> bool:
    """Return whether ``text`` is a UUID in the usual form, with letters of either case."""
    return _UUID.fullmatch(text) is not None


def check_label(label: str, field: str) -> str:
    """Return a label or name that people read, if it can be stored. Raises ValidationFailed."""
    if not 1 <= len(label) <= MAX_NAME or not label.strip():
        raise ValidationFailed(f"{field} has 1 to {MAX_NAME} characters.", field=field)
    if reason := unstorable_text(label):
        raise ValidationFailed(f"{field} cannot be used: {reason}.", field=field)
    return label


def check_message(text: str | None) -> None:
    """Let a message pass that people wrote beside what they did, or raise ValidationFailed."""
    if text is not None and (len(text) > MAX_MESSAGE or unstorable_text(text)):
        raise ValidationFailed(f"A message has at most {MAX_MESSAGE:,} characters that can be stored.", field="message")


def email_address(text: str) -> str:
    """Return an e-mail address in the form in which it is stored and compared. Raises ValidationFailed."""
    address = text.strip().lower()
    if len(address) > MAX_EMAIL or unstorable_text(address) or not _EMAIL.fullmatch(address):
        raise ValidationFailed("That is no e-mail address.", field="email")
    return address
