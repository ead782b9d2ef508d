"""The request as Strata reads it: strict JSON with exact numbers, and addresses with every character kept."""

import re
from collections.abc import Collection
from typing import Any, Final
from urllib.parse import unquote

from litestar import Request
from litestar.connection import ASGIConnection

from app.domain.errors import BadRequest, Unauthenticated, UnsupportedMediaType
from app.domain.json_text import check_storable, parse_json
from app.domain.model import PROJECT_KEY, PROJECT_KIND, Actor
from app.domain.values import Value
from app.rest.client_address import client_address

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
NDJSON: Final = "application/x-ndjson"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_PATCHES: Final = frozenset({MERGE_PATCH, JSON_PATCH})
_UTF8: Final = frozenset({"utf-8", "utf8"})
_ENVIRONMENT_HEADER: Final = b"x-agentstack-env"
_document_address: Final = re.compile(
    r"/+api/+projects/+[^/]+/+(?:data/*|entities/+([^/]+)(?:/(.*))?)", re.DOTALL
).fullmatch


class StrictRequest(Request[Actor, Any, Any]):
    """A request whose body is asked for only where one is needed, so that a missing one is a mistake."""

    @property
    def actor(self) -> Actor:
        """Who asks; the guard ``authenticated`` has put it there. Raises Unauthenticated."""
        actor: Actor | None = self.scope.get("user")
        if actor is None:
            raise Unauthenticated("A bearer token is needed.")
        return actor

    @property
    def client_address(self) -> str:
        """The address that the request comes from, through trusted proxies; ``""`` if there is none."""
        return client_address(self.scope)

    async def body(self) -> bytes:
        """Return the body. Raises BodyTooLarge, BadRequest where there is none: whoever asks needs one."""
        body = await super().body()
        if not body.strip():
            raise BadRequest("This needs a body, and none was sent.")
        return body

    async def json(self) -> Value:
        """Return the body's value, numbers with their digits. Raises also MalformedJson, ValueNotStorable."""
        return check_storable(parse_json(await self.body()))

    async def value(self, accepted: Collection[str]) -> Value:
        """Return the body's value. Raises also UnsupportedMediaType if its type is none of ``accepted``."""
        await self.body()
        self.expect_media_type(accepted)
        return await self.json()

    async def members(self, accepted: Collection[str]) -> Value:
        """Return the body's value as ``value`` does, an empty object where there is no body."""
        return await self.value(accepted) if (await super().body()).strip() else {}

    @property
    def media_type(self) -> str:
        """The body's media type in lower case, or ``""``. Raises UnsupportedMediaType for an encoded body."""
        name, options = self.content_type
        if options.get("charset", "utf-8").strip("\"'").lower() not in _UTF8:
            raise UnsupportedMediaType("The body must be UTF-8.", expected=["utf-8"])
        if self.headers.get("content-encoding", "identity").lower() != "identity":
            raise UnsupportedMediaType("The body must not be compressed.", expected=["identity"])
        return name.lower()

    def expect_media_type(self, accepted: Collection[str]) -> str:
        """Return the body's media type if it is one of ``accepted``. Raises UnsupportedMediaType.

        ``application/json`` stands for every type that ends in ``+json``, but for the patches.
        """
        media_type = self.media_type
        named = JSON if media_type.endswith("+json") and media_type not in _PATCHES else media_type
        if named not in accepted:
            raise UnsupportedMediaType(f"The body must be {' or '.join(accepted)}.", expected=list(accepted))
        return named

    @property
    def names_document(self) -> bool:
        """Whether the address is that of one document."""
        path = self.scope["raw_path"].decode("latin-1").removeprefix(self.scope.get("root_path", ""))
        found = _document_address(path)
        return found is not None and (found[1] is None or bool(found[2]))

    def document_name(self) -> tuple[str, str]:
        """Return kind and key of the document at this address; the key is ``""`` where the address has none.

        Read from the address as it was sent: the decoded path no longer tells ``%2F`` from ``/`` and has lost
        empty segments. Everything behind the kind is the key. Raises BadRequest on what is not UTF-8.
        """
        path = self.scope["raw_path"].decode("latin-1").removeprefix(self.scope.get("root_path", ""))
        found = _document_address(path)
        if found is None:
            raise BadRequest("Only the kind and the key of an address may be percent-encoded.")
        kind, key = found.groups()
        if kind is None:
            return PROJECT_KIND, PROJECT_KEY
        try:
            return unquote(kind, errors="strict"), unquote(key or "", errors="strict")
        except UnicodeDecodeError:
            raise BadRequest("The address is not UTF-8.") from None


def environment_reference(connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:
    """Return the environment that the request names: ``X-AgentStack-Env``, else ``?env=``, else None.

    An empty name is a name: it is not found, rather than taken for production. Raises BadRequest for two
    that differ in the same place.
    """
    named = {value for name, value in connection.scope["headers"] if name == _ENVIRONMENT_HEADER}
    if len(named) > 1:
        raise BadRequest("X-AgentStack-Env is given twice, and not the same.")
    if named:
        return _header_text(named.pop())
    if not connection.scope["query_string"]:
        return None
    asked = set(connection.query_params.getall("env", []))
    if len(asked) > 1:
        raise BadRequest("?env= is given twice, and not the same.", parameter="env")
    return asked.pop() if asked else None


def _header_text(value: bytes) -> str:
    """Return the text of a header: UTF-8, plain or percent-encoded (browsers send no other), else Latin-1."""
    try:
        return unquote(value.decode(), errors="strict")
    except UnicodeDecodeError:
        return value.decode("latin-1")
