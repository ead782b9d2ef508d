"""The sample project of ``strata demo``: a shop with its configuration, flags, users and orders."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from secrets import token_urlsafe
from typing import Final
from uuid import UUID

from app.domain.model import PROJECT_KEY, PROJECT_KIND, Actor, EnvType, Project, Scope
from app.domain.values import Value
from app.services import api_keys, checkpoints, documents, environments, identity, projects, transfer
from app.services.branching import ForkOptions
from app.storage import accounts
from app.storage.codec import encode

EMAIL: Final = "demo@strata.example"
FEATURE: Final = "feature/payments-v2"
STAGING: Final = "staging"
_KEY_NAME: Final = "demo"
_TIERS: Final = ("free", "basic", "premium")
_COUNTRIES: Final = ("US", "DE", "GB", "FR", "JP")
_NAMES: Final = ("Ada", "Ben", "Chloe", "Dmitri", "Emeka", "Fatima", "Goro", "Hanna", "Ines", "Jonas")

SHOP: Final[dict[str, Value]] = {
    "name": "Lantern & Oak",
    "config": {
        "payment_provider": "stripe",
        "currency": "EUR",
        "checkout": {"steps": ["cart", "address", "payment", "review"], "guest_allowed": True},
        "shipping": {"free_from": Decimal("49.00"), "carriers": {"dhl": {"days": 2}, "ups": {"days": 3}}},
        "flags": {
            "new_search": {
                "enabled": True,
                "variants": {"on": True, "off": False},
                "defaultVariant": "off",
                "rules": [],
            },
            "banner": {"enabled": True, "value": "Free returns until 31 January"},
        },
        "segments": [],
    },
}


@dataclass(frozen=True, slots=True)
class Demo:
    """What the visitor needs: a project, a login and a key, both new at each start."""

    project: Project
    email: str
    password: str
    api_key: str
    feature_uuid: UUID
    staging_uuid: UUID


async def prepare() -> Demo:
    """Make the sample project unless it is there, and give it a new password and API key."""
    password = token_urlsafe(9)
    actor = await _demo_account(password)
    found = (await projects.list_projects(actor, limit=1)).items
    project = found[0] if found else await _make_project(actor)
    for key in await api_keys.list_keys(actor, project.id):
        if key.name == _KEY_NAME and key.revoked_at is None:
            await api_keys.revoke(actor, project.id, key.uuid)
    created = await api_keys.create(actor, project.id, _KEY_NAME, [Scope.READ, Scope.WRITE, Scope.EVALUATE])
    assert created.secret is not None
    return Demo(
        project,
        EMAIL,
        password,
        created.secret,
        (await environments.find(actor, project.id, FEATURE)).uuid,
        (await environments.find(actor, project.id, STAGING)).uuid,
    )


def welcome(url: str, demo: Demo) -> str:
    """Return what the visitor reads: addresses, login, key, and two commands to try."""
    header = f"-H 'Authorization: Bearer {demo.api_key}'"
    project_id = demo.project.id
    read = f"{url}/api/projects/{project_id}/data?env={FEATURE}&path=config"
    diff = (
        f"{url}/api/sandbox/diff?uuid_a={demo.project.production_uuid}&uuid_b={demo.feature_uuid}"
        f"&project_id={project_id}"
    )
    return f"""
Strata is ready, with the sample project {project_id} ({demo.project.name}).

  Dashboard  {url}/
  GraphiQL   {url}/graphql
  REST       {url}/docs
  Login      {demo.email}  {demo.password}
  API key    {demo.api_key}

Read the configuration as the environment {FEATURE} sees it:

  curl {header} '{read}'

Compare that environment with production:

  curl {header} '{diff}'

Stop with Ctrl-C. The data stay; login and key are new at the next start.
"""


async def _demo_account(password: str) -> Actor:
    known = await accounts.account_with_hash(EMAIL)
    account = known[0] if known else await identity.register(EMAIL, password)
    if known:
        await identity.set_password(account.uuid, password)
    return Actor(account_uuid=account.uuid, name=account.name)


async def _make_project(actor: Actor) -> Project:
    project = await projects.create(actor, "Lantern & Oak")
    await transfer.import_documents(actor, project.id, None, _sample())
    staging = ForkOptions(STAGING, EnvType.STAGING)
    await environments.fork(actor, project.id, staging)
    await _change(actor, project.id, STAGING, {"config": {"flags": {"banner": {"value": "STAGING - not for sale"}}}})
    fork = await environments.fork(actor, project.id, ForkOptions(FEATURE, EnvType.FEATURE))
    await _change(actor, project.id, FEATURE, {"config": {"checkout": {"guest_allowed": False}}})
    await checkpoints.checkpoint(actor, fork.environment.uuid, "before-payment-migration")
    payment: Value = {"config": {"payment_provider": "tochka", "new_feature": True}}
    await _change(actor, project.id, FEATURE, payment)
    return project


async def _change(actor: Actor, project_id: int, env: str, patch: Value) -> None:
    await documents.merge(actor, project_id, env, PROJECT_KIND, PROJECT_KEY, patch)


async def _sample() -> AsyncIterator[bytes]:
    yield _line(PROJECT_KIND, PROJECT_KEY, SHOP)
    for number in range(60):
        yield _line("user", f"u{number + 1:03}", _user(number))
    for number in range(150):
        yield _line("order", f"o-{10_001 + number}", _order(number))


def _line(kind: str, key: str, data: Value) -> bytes:
    return encode({"kind": kind, "key": key, "data": data}) + b"\n"


def _user(number: int) -> dict[str, Value]:
    return {
        "name": f"{_NAMES[number % 10]} {chr(65 + number % 26)}.",
        "subscription_tier": _TIERS[number % 7 % 3],
        "country": _COUNTRIES[number % 5],
        "orders": number % 9,
        "loyalty": {"points": number * 35 % 900, "since": f"20{18 + number % 7}-0{1 + number % 9}-15"},
    }


def _order(number: int) -> dict[str, Value]:
    cents = 990 + number * 517 % 12_000
    return {
        "user": f"u{1 + number * 7 % 60:03}",
        "status": ("paid", "shipped", "delivered", "returned")[number % 4],
        "total": Decimal(cents).scaleb(-2),
        "items": [{"sku": f"LO-{100 + number % 37}", "quantity": 1 + number % 3}],
    }
