"""Which document runs: the one sent, one that was sent before, or one that the operator has listed."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, Protocol
from uuid import UUID

from graphql import GraphQLError, GraphQLSchema, parse, validate

from app.domain.model import Actor
from app.domain.query_documents import DocumentNotTrusted, PersistedQueryMismatch, PersistedQueryNotFound, hash_of
from schema.asked import Asked

MOST_OF_ONE: Final = 200
MOST_BYTES: Final = 16 * 1024 * 1024


class UnfitDocuments(ValueError):
    """Trusted documents that this server's schema does not allow; the message names them."""


class Documents(Protocol):
    """Where the text of an operation is found."""

    def text_of(self, asked: Asked, caller: Actor | None) -> str | None:
        """Return what to run, None if the request neither has nor names anything."""


class KeptDocuments:
    """Documents that were sent with their hash, found again by it: automatic persisted queries.

    Everybody finds only what they have sent themselves, so that nobody can try out what others send, and pushes out
    only their own. ``longest`` is of one document, in bytes.
    """

    def __init__(self, longest: int, most_of_one: int = MOST_OF_ONE, most_bytes: int = MOST_BYTES) -> None:
        self._longest, self._most_of_one, self._most_bytes = longest, most_of_one, most_bytes
        self._kept: OrderedDict[UUID | None, OrderedDict[str, bytes]] = OrderedDict()
        self._size = 0

    def text_of(self, asked: Asked, caller: Actor | None) -> str | None:
        """Return what to run. Raises PersistedQueryNotFound, PersistedQueryMismatch."""
        named = asked.document_hash
        if asked.query is None:
            return self._found(named, caller) if asked.document is not None else None
        if asked.contradicts_itself:
            raise PersistedQueryMismatch
        if named is not None:
            self._keep(named, asked.query, caller)
        return asked.query

    def _found(self, named: str | None, caller: Actor | None) -> str:
        own = self._kept.get(_whose(caller), OrderedDict())
        if named is None or named not in own:
            raise PersistedQueryNotFound
        own.move_to_end(named)
        self._kept.move_to_end(_whose(caller))
        return own[named].decode(errors="surrogatepass")

    def _keep(self, named: str, text: str, caller: Actor | None) -> None:
        content = text.encode(errors="surrogatepass")
        if len(content) > self._longest:
            return
        own = self._kept.setdefault(_whose(caller), OrderedDict())
        self._kept.move_to_end(_whose(caller))
        if named not in own:
            own[named] = content
            self._size += len(content)
        own.move_to_end(named)
        if len(own) > self._most_of_one:
            self._forget(own)
        while self._size > self._most_bytes:
            longest_idle = next(iter(self._kept))
            self._forget(self._kept[longest_idle])
            if not self._kept[longest_idle]:
                del self._kept[longest_idle]

    def _forget(self, own: OrderedDict[str, bytes]) -> None:
        self._size -= len(own.popitem(last=False)[1])


class TrustedDocuments:
    """The operator's list: nothing else runs. A document is named by its id or hash, or sent as it is listed."""

    def __init__(self, schema: GraphQLSchema, listed: Mapping[str, str]) -> None:
        """Take ``listed``, texts by id. Raises UnfitDocuments if the schema does not allow one of them."""
        _check(schema, listed)
        by_hash = {f"sha256:{hash_of(text)}": text for text in listed.values()}
        self._texts = {**{f"sha256:{name}": text for name, text in listed.items()}, **listed, **by_hash}

    def text_of(self, asked: Asked, caller: Actor | None) -> str | None:
        """Return what to run. Raises DocumentNotTrusted, PersistedQueryMismatch."""
        if asked.query is None and asked.document is None:
            return None
        name = asked.document if asked.document is not None else f"sha256:{hash_of(asked.query or '')}"
        text = self._texts.get(name)
        if text is None:
            raise DocumentNotTrusted
        if asked.query is not None and asked.query != text:
            raise PersistedQueryMismatch
        return text


def _whose(caller: Actor | None) -> UUID | None:
    return None if caller is None else caller.key_uuid or caller.account_uuid


def _check(schema: GraphQLSchema, listed: Mapping[str, str]) -> None:
    wrong = {name: said for name, text in listed.items() if (said := _unfit(schema, text))}
    if wrong:
        shown = "; ".join(f"{name}: {said}" for name, said in list(wrong.items())[:5])
        raise UnfitDocuments(f"{len(wrong)} of {len(listed)} trusted documents do not fit this schema: {shown}")


def _unfit(schema: GraphQLSchema, text: str) -> str | None:
    try:
        errors = validate(schema, parse(text))
    except GraphQLError as error:
        errors = [error]
    return errors[0].message if errors else None
