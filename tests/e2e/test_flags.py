"""The OpenFeature SDKs for JavaScript, of servers and of browsers, against a real server."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from app.domain.model import Actor, Project, Scope
from app.domain.values import Value
from app.services import api_keys
from tests.conftest import Database
from tests.e2e.node import needs_node, running
from tests.processes.served import Served, served
from tests.services.shop import Shop

pytestmark = needs_node
FLAGS: dict[str, Value] = {
    "banner": {"value": "Welcome"},
    "items": {"value": 10},
    "limits": {"value": {"items": 10}},
    "hidden": {"value": "never seen", "enabled": False},
    "checkout": {
        "variants": {"new": True, "old": False},
        "defaultVariant": "old",
        "rules": [{"rules": [{"field": "country", "op": "eq", "value": "DE"}], "variant": "new"}],
        "metadata": {"owner": "payments"},
    },
}
CONTEXT = json.dumps({"targetingKey": "ada", "country": "DE"})


@pytest.fixture
def server(database: Database) -> Iterator[Served]:
    with served({"STRATA_DATABASE_URL": database.app_dsn}) as found:
        yield found


@pytest.fixture
async def shop(actor: Actor, project: Project) -> Shop:
    """A project with flags."""
    made = Shop(actor, project)
    await made.put(None, {"config": {"flags": FLAGS}, "theme": {"color": "blue"}}, "project", "project")
    return made


async def key_of(shop: Shop) -> str:
    return (await api_keys.create(shop.actor, shop.project_id, "app", [Scope.EVALUATE])).secret or ""


def _check(found: dict[str, Any], disabled: str = "DISABLED") -> None:
    told = {flag: (item["value"], item.get("reason")) for flag, item in found.items()}
    assert told == {
        "banner": ("Welcome", "STATIC"),
        "items": (10, "STATIC"),
        "limits": ({"items": 10}, "STATIC"),
        "checkout": (True, "TARGETING_MATCH"),
        "hidden": ("of the code", disabled),
        "nothing": ("of the code", "ERROR"),
    }
    assert found["nothing"]["errorCode"] == "FLAG_NOT_FOUND"
    assert found["checkout"]["metadata"]["owner"] == "payments"


async def test_servers(server: Served, shop: Shop) -> None:
    async with running("flags.mjs", "server", server.url, await key_of(shop), CONTEXT) as told:
        # This provider takes the default of the code, too, but calls it a mistake that there is no value.
        _check((await told.next("details"))[1], "ERROR")
        assert await told.next("leaf") == ("leaf", "blue")


async def test_browsers_are_told_when_to_ask_again(server: Served, shop: Shop) -> None:
    async with running("flags.mjs", "web", server.url, await key_of(shop), CONTEXT) as told:
        _check((await told.next("details"))[1])
        for banner in ("Hello", "Bye"):
            await shop.merge(None, {"config": {"flags": {"banner": {"value": banner}}}}, "project", "project")
            _, changed = await told.next("changed")
            assert changed["flags"] == ["banner"]
            assert changed["details"]["banner"]["value"] == banner
