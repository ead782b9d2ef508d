"""What a client asks, whichever transport it came by."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.domain.errors import BadRequest
from app.domain.query_documents import hash_of

_SHA256: Final = "sha256:"
_HASH_LENGTH: Final = 64


@dataclass(frozen=True, slots=True)
class Asked:
    """A GraphQL request. Without ``query``, ``document`` names what to run: ``sha256:`` and a hash, or an id."""

    query: str | None
    variables: dict[str, Any] | None
    operation_name: str | None
    extensions: dict[str, Any] | None
    document: str | None

    @property
    def document_hash(self) -> str | None:
        """The SHA-256 that names the document, in lower-case hexadecimal."""
        name = self.document or ""
        return name.removeprefix(_SHA256) if name.startswith(_SHA256) else None

    @property
    def contradicts_itself(self) -> bool:
        """Whether the text has another hash than the one that names it."""
        named = self.document_hash
        return self.query is not None and named is not None and hash_of(self.query) != named


def asked_of(members: Mapping[str, Any]) -> Asked:
    """Return the request that these members are. Raises BadRequest."""
    for member in ("query", "operationName", "documentId"):
        if not isinstance(members.get(member), str | None):
            raise BadRequest(f"'{member}' is a string.", parameter=member)
    for member in ("variables", "extensions"):
        if not isinstance(members.get(member), dict | None):
            raise BadRequest(f"'{member}' is an object.", parameter=member)
    extensions = members.get("extensions")
    name = members.get("documentId") or _persisted(extensions or {})
    return Asked(members.get("query"), members.get("variables"), members.get("operationName"), extensions, name)


def _persisted(extensions: Mapping[str, Any]) -> str | None:
    """Return what Apollo's extension names. Source: Apollo Server, "Automatic persisted queries"."""
    found = extensions.get("persistedQuery")
    if found is None:
        return None
    if not isinstance(found, dict) or found.get("version") != 1:
        raise BadRequest(
            "Unsupported persisted query version: 'persistedQuery' has 'version' 1.", parameter="extensions"
        )
    named = found.get("sha256Hash")
    if not isinstance(named, str) or len(named) != _HASH_LENGTH or not set(named) <= set("0123456789abcdef"):
        raise BadRequest("'sha256Hash' is a SHA-256 in lower-case hexadecimal.", parameter="extensions")
    return _SHA256 + named
