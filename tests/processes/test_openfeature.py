"""The OpenFeature SDK for Python with its OFREP provider against a real server."""

from collections.abc import AsyncIterator, Iterator

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason

from app.domain.canary import serves
from app.domain.evaluation import bucket
from app.domain.model import Actor, Project, Scope, Strategy
from app.domain.values import Value
from app.services import api_keys, promoting
from app.services.promoting import PromoteOptions
from tests.conftest import Database
from tests.processes.served import Served, served
from tests.services.shop import Shop

COUNTRY: dict[str, Value] = {"field": "country", "op": "eq", "value": "DE"}
FLAGS: dict[str, Value] = {
    "banner": {"value": "Welcome"},
    "items": {"value": 10},
    "limits": {"value": {"items": 10}},
    "hidden": {"value": "never seen", "enabled": False},
    "checkout": {
        "variants": {"new": True, "old": False},
        "defaultVariant": "old",
        "rules": [{"rules": [COUNTRY], "variant": "new"}, {"split": {"new": 25, "old": 75}}],
        "metadata": {"owner": "payments"},
    },
}


@pytest.fixture(scope="module")
def server(database: Database) -> Iterator[Served]:
    with served({"STRATA_DATABASE_URL": database.app_dsn}) as found:
        yield found


@pytest.fixture
async def shop(actor: Actor, project: Project) -> Shop:
    """A project with flags."""
    made = Shop(actor, project)
    await made.put(None, {"config": {"flags": FLAGS}, "theme": {"color": "blue"}}, "project", "project")
    return made


@pytest.fixture
async def client(server: Served, shop: Shop) -> AsyncIterator[OpenFeatureClient]:
    """A client as an application has it, with the project's key."""
    key = (await api_keys.create(shop.actor, shop.project_id, "app", [Scope.EVALUATE])).secret or ""
    api.set_provider(OFREPProvider(server.url, headers_factory=lambda: {"Authorization": f"Bearer {key}"}))
    yield api.get_client()
    api.clear_providers()


def of(user: str, **attributes: str) -> EvaluationContext:
    return EvaluationContext(user, dict(attributes))


async def test_values_of_all_types(client: OpenFeatureClient) -> None:
    assert client.get_string_value("banner", "?", of("ada")) == "Welcome"
    assert client.get_integer_value("items", 0, of("ada")) == 10
    assert client.get_object_value("limits", {}, of("ada")) == {"items": 10}
    assert client.get_string_value("/theme/color", "?", of("ada")) == "blue"
    assert client.get_string_value("theme.color", "?", of("ada")) == "blue"
    assert client.get_boolean_value("checkout", False, of("ada", country="DE")) is True


async def test_details(client: OpenFeatureClient) -> None:
    targeted = client.get_boolean_details("checkout", False, of("ada", country="DE"))
    assert (targeted.value, targeted.variant, targeted.reason) == (True, "new", Reason.TARGETING_MATCH)
    assert targeted.flag_metadata["owner"] == "payments"
    assert targeted.flag_metadata["environment"] == "production"
    for user in map(str, range(20)):
        split = client.get_boolean_details("checkout", False, of(user))
        assert (split.value, split.reason) == (bucket("checkout", user) < 2_500, Reason.SPLIT)
    assert client.get_string_details("banner", "?", of("ada")).reason == Reason.STATIC


async def test_what_there_is_not(client: OpenFeatureClient) -> None:
    disabled = client.get_string_details("hidden", "of the code", of("ada"))
    assert (disabled.value, disabled.reason, disabled.error_code) == ("of the code", Reason.DISABLED, None)
    missing = client.get_string_details("nothing", "of the code", of("ada"))
    assert (missing.value, missing.reason, missing.error_code) == (
        "of the code",
        Reason.ERROR,
        ErrorCode.FLAG_NOT_FOUND,
    )
    nobody = client.get_boolean_details("checkout", False)
    assert (nobody.value, nobody.error_code) == (False, ErrorCode.TARGETING_KEY_MISSING)
    other = client.get_integer_details("banner", 7, of("ada"))
    assert (other.value, other.error_code) == (7, ErrorCode.TYPE_MISMATCH)


async def test_rollouts_apply(client: OpenFeatureClient, shop: Shop) -> None:
    env = await shop.fork("next")
    await shop.merge("next", {"config": {"flags": {"banner": {"value": "Next"}}}}, "project", "project")
    steps: list[Value] = [{"weight": 40}, {"weight": 100}]
    await promoting.promote(shop.actor, env, PromoteOptions(Strategy.CANARY, rollout_steps=steps))
    for user in map(str, range(20)):
        expected = "Next" if serves(env, user, 40) else "Welcome"
        assert client.get_string_value("banner", "?", of(user)) == expected


async def test_a_wrong_key_gives_what_the_code_says(server: Served) -> None:
    api.set_provider(OFREPProvider(server.url, headers_factory=lambda: {"Authorization": "Bearer nonsense"}))
    found = api.get_client().get_string_details("banner", "of the code", of("ada"))
    assert (found.value, found.error_code) == ("of the code", ErrorCode.GENERAL)
    api.clear_providers()
