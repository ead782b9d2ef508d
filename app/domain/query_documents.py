"""GraphQL documents that a request names rather than sends, and the list of those that an operator trusts."""

from collections.abc import Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Final

from app.domain.errors import DomainError, Kind
from app.domain.json_text import parse_json
from app.domain.values import Value

MOST_TRUSTED: Final = 10_000
_APOLLO: Final = "apollo-persisted-query-manifest"


class PersistedQueryNotFound(DomainError):
    """No document with this hash is known here: the client sends it with its text, once."""

    code, kind = "persisted_query_not_found", Kind.MALFORMED

    def __init__(self) -> None:
        # The words by which clients know what to do (Apollo, "Automatic persisted queries").
        super().__init__("PersistedQueryNotFound")


class PersistedQueryMismatch(DomainError):
    """The text of a document has another hash than the request says."""

    code, kind = "persisted_query_mismatch", Kind.MALFORMED

    def __init__(self) -> None:
        super().__init__("The document's text does not have the hash that the request names it by.")


class DocumentNotTrusted(DomainError):
    """Only listed documents run on this server, and this is none of them."""

    code, kind = "document_not_trusted", Kind.FORBIDDEN

    def __init__(self) -> None:
        super().__init__("Only trusted documents run here, and this is none of them.")


def hash_of(text: str) -> str:
    """Return the SHA-256 of a document's text in UTF-8, in hexadecimal."""
    return sha256(text.encode(errors="surrogatepass")).hexdigest()


def parse_trusted(text: bytes) -> Mapping[str, str]:
    """Return the documents of a list by their ids.

    The list is JSON: either an object of ids and texts, as GraphQL Code Generator and Relay write it, or a manifest as
    ``@apollo/generate-persisted-query-manifest`` does. Raises ValueError, in words, for anything else.
    """
    try:
        found = parse_json(text)
    except DomainError as error:
        raise ValueError(f"it is not JSON: {error.message}") from None
    pairs = _of_manifest(found) if isinstance(found, dict) and "operations" in found else _of_object(found)
    if not 0 < len(pairs) <= MOST_TRUSTED:
        raise ValueError(f"it has {len(pairs):,} documents, and should have from 1 to {MOST_TRUSTED:,}")
    return MappingProxyType(pairs)


def _of_object(found: Value) -> dict[str, str]:
    if not isinstance(found, dict):
        raise ValueError("it is neither an object of ids and texts nor a manifest")
    pairs = {name: body for name, body in found.items() if name and isinstance(body, str)}
    if len(pairs) < len(found):
        raise ValueError("every id must have a text")
    return pairs


def _of_manifest(found: dict[str, Value]) -> dict[str, str]:
    if (found.get("format"), found.get("version")) != (_APOLLO, 1):
        raise ValueError(f"a list with 'operations' must have the format {_APOLLO!r}, version 1")
    operations = found["operations"]
    if not isinstance(operations, list):
        raise ValueError("'operations' is no array")
    pairs: dict[str, str] = {}
    for operation in operations:
        named = operation if isinstance(operation, dict) else {}
        name, body = named.get("id"), named.get("body")
        if not isinstance(name, str) or not isinstance(body, str) or not name or name in pairs:
            raise ValueError("every operation must have an 'id' of its own and a 'body'")
        pairs[name] = body
    return pairs
