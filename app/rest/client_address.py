"""The address that a request comes from, through the proxies that are trusted to say so."""

from typing import Final

from litestar.types import Scope

from app.domain import client_address as rules
from app.domain.client_address import Network

_FORWARDED: Final = b"x-forwarded-for"
_STATE_KEY: Final = "client_address"


def client_address(scope: Scope) -> str:
    """Return the client's address, ``""`` if the connection has none."""
    state = scope["state"]
    if _STATE_KEY not in state:
        state[_STATE_KEY] = _found(scope)
    known: str = state[_STATE_KEY]
    return known


def _found(scope: Scope) -> str:
    client = scope["client"]
    if client is None:
        return ""
    trusted: tuple[Network, ...] = scope["litestar_app"].state.settings.trusted_proxies
    if not trusted:
        return client[0]
    given = [value.decode("latin-1") for name, value in scope["headers"] if name == _FORWARDED]
    return rules.client_address(client[0], given, trusted)
