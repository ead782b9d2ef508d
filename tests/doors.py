"""Fixtures for the two doors: the application, a client of it, and the headers of a project's owner."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from random import randrange
from typing import TYPE_CHECKING, cast

import httpx
import pytest
from litestar import Litestar

from app.domain.model import Actor
from app.main import create_app
from app.services import identity, live
from app.services.bus import Bus, Subscriber
from app.settings import Settings
from tests.conftest import Database

if TYPE_CHECKING:
    from httpx._transports.asgi import _ASGIApp

Headers = dict[str, str]


class EndedBus(Bus):
    """A bus whose streams end where others would wait for news."""

    @asynccontextmanager
    async def subscribed(self, project_id: int, after: int | None, connection: object) -> AsyncIterator[Subscriber]:
        async with super().subscribed(project_id, after, connection) as subscriber:
            subscriber.end()
            yield subscriber


@pytest.fixture(scope="session")
def app(database: Database, pool: None) -> Litestar:
    """The application on the pool of the test process; its lifespan does not run."""
    live.bus = EndedBus(database.app_dsn)
    return create_app(Settings(database_url=database.app_dsn))


class OwnTask(httpx.ASGITransport):
    """Answers each request in a task of its own, as a server does: what one leaves in its context, none finds."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await asyncio.create_task(super().handle_async_request(request))


@pytest.fixture
def address() -> str:
    """The client's address, which no other test has: failed logins are counted by it."""
    return str(IPv4Address(int(IPv4Address("10.0.0.0")) + randrange(2**24)))


@pytest.fixture
async def client(app: Litestar, address: str) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the application, without a token."""
    transport = OwnTask(app=cast("_ASGIApp", app), raise_app_exceptions=False, client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as found:
        yield found


async def headers_of(actor: Actor) -> Headers:
    """Return the Authorization header of a user."""
    token = await identity.keyring.sign(actor.account_uuid, actor.name, 900)
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
async def owner(actor: Actor) -> Headers:
    """Headers with which ``actor`` asks over HTTP."""
    return await headers_of(actor)
