"""Comparing with protected values (X3) and reading them (X2): what is answered, to whom, how often, after what work."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from app.domain.audit import Action, Filter
from app.domain.errors import (
    DomainError,
    EnvironmentArchived,
    EnvironmentNotFound,
    FieldNotProtected,
    Forbidden,
    SandboxSecretAccessDenied,
    TooManyChecks,
)
from app.domain.model import Actor, Role, Scope
from app.domain.pointer import Path
from app.domain.values import Value, lookup
from app.services import active_environment, api_keys, documents, environments, identity, protected, sweeping
from app.storage import audit, db, secrets
from tests.conftest import MakeActor
from tests.services.canaries import planted, tables_with
from tests.services.shop import Shop
from tests.services.test_protected import GLOBS, keys, member, protect

PLACE: Path = ("keys", "api", "secret")


@pytest.fixture
async def vault(shop: Shop) -> Shop:
    """A project with a list of protected fields."""
    await protect(shop, *GLOBS)
    return shop


async def check(shop: Shop, value: Value, path: Path = PLACE, key: str = "a", actor: Actor | None = None) -> bool:
    """Return whether production's page has the value there."""
    asked = await protected.check(actor or shop.actor, shop.production, path, value, kind="page", key=key)
    return asked.match


async def forget_misses(shop: Shop) -> None:
    await db.execute("DELETE FROM protected_miss WHERE project_id = $1", shop.project_id)


async def key_of(shop: Shop, *scopes: Scope) -> Actor:
    made = await api_keys.create(shop.actor, shop.project_id, "key", scopes)
    assert made.secret is not None
    return await identity.authenticate(f"Bearer {made.secret}")


async def test_the_guide_says_what_is_compared(vault: Shop) -> None:
    await protect(vault, "keys.api.*")
    await vault.merge(None, {"keys": {"api": {"payment_secret": "sk_test_my_key"}}}, "project", "project")
    env = await vault.fork("feature/payments-v2")
    path = ("keys", "api", "payment_secret")
    assert (await protected.check(vault.actor, env, path, "sk_test_my_key")).match
    assert not (await protected.check(vault.actor, env, path, "sk_test_my_kez")).match


async def test_the_nearest_that_has_the_field_is_asked(vault: Shop) -> None:
    first, second = planted(), planted()
    await vault.put(None, keys(first))
    env = await vault.fork("env")
    below = await vault.fork("below", env)

    async def matching(value: Value) -> list[bool]:
        await forget_misses(vault)
        asked = [await protected.check(vault.actor, uuid, PLACE, value, kind="page", key="a") for uuid in places]
        return [item.match for item in asked]

    places = (vault.production, env, below)
    assert await matching(first) == [True, True, True]
    await vault.put("env", second, path=PLACE)
    assert await matching(first) == [True, False, False]
    assert await matching(second) == [False, True, True]
    await vault.put("below", {"keys": {"api": {}}})
    assert await matching(second) == [False, True, False]
    assert await tables_with(first, second) == set()


async def test_values_of_every_kind_and_parts_of_them(vault: Shop) -> None:
    value: dict[str, Value] = {"b": [1, "x"], "a": {"c": None}}
    wrong_ones: list[Value] = [{"b": [1, "x"]}, {**value, "d": 1}, None, "", [value]]
    await vault.put(None, keys(value))
    assert await check(vault, {"a": {"c": None}, "b": [1, "x"]})
    assert await check(vault, None, (*PLACE, "a", "c"))
    for wrong in wrong_ones:
        await forget_misses(vault)
        assert not await check(vault, wrong)
        assert not await check(vault, wrong, (*PLACE, "a", "d"))


async def test_what_is_not_swept_yet_is_compared_alike(shop: Shop) -> None:
    secret = planted()
    await shop.put(None, keys(secret))
    await protect(shop, *GLOBS)
    assert await check(shop, secret)
    assert not await check(shop, planted())


async def test_only_protected_places_are_compared(vault: Shop) -> None:
    await vault.put(None, keys(planted()))
    for path in ((), ("keys",), ("keys", "api"), ("keys", "api", "id"), ("title",)):
        with pytest.raises(FieldNotProtected):
            await check(vault, 1, path)
    env = await vault.fork("env")
    await environments.archive(vault.actor, env)
    with pytest.raises(EnvironmentArchived):
        await protected.check(vault.actor, env, PLACE, 1)
    with pytest.raises(EnvironmentNotFound):
        await protected.check(vault.actor, uuid4(), PLACE, 1)


async def test_what_is_not_there_is_answered_as_a_wrong_value_after_the_same_work(
    vault: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await vault.put(None, keys("long " * 10_000))
    await vault.put(None, {"keys": {}}, "without")
    worked: list[str] = []

    def counted(module: object, name: str) -> None:
        function = getattr(module, name)

        def run(*arguments: object) -> object:
            worked.append(name)
            return function(*arguments)

        monkeypatch.setattr(module, name, run)

    counted(secrets, "_digest")
    counted(hmac, "compare_digest")
    counted(hmac, "digest")
    seen = []
    for key in ("a", "without", "no such document"):
        await forget_misses(vault)
        worked.clear()
        with db.count_statements() as counting:
            assert not await check(vault, "sk_wrong", key=key)
        seen.append((counting.count, list(worked)))
    assert seen[0] == seen[1] == seen[2]
    assert "compare_digest" in seen[0][1]


async def test_five_misses_of_one_caller_and_twenty_of_all(vault: Shop, make_actor: MakeActor) -> None:
    secret = planted()
    await vault.put(None, keys(secret, other=keys(1)))
    await vault.put(None, keys(secret), "b")
    callers = [vault.actor, *[await member(vault, make_actor, Role.EDITOR) for _ in range(4)]]
    for caller in callers[:4]:
        for _ in range(5):
            assert not await check(vault, "wrong", actor=caller)
        with pytest.raises(TooManyChecks) as refused:
            await check(vault, secret, actor=caller)
        assert 890 < int(str(refused.value.fields["retry_after"])) <= 900
    with pytest.raises(TooManyChecks):
        await check(vault, secret, actor=callers[4])
    with pytest.raises(TooManyChecks):
        await check(vault, secret, actor=await key_of(vault, Scope.WRITE))
    env = await vault.fork("a fork has the same secret")
    with pytest.raises(TooManyChecks):
        await protected.check(callers[4], env, PLACE, secret, kind="page", key="a")
    assert await check(vault, secret, key="b", actor=callers[4])
    refusals = await audit.list_page(
        vault.project_id, Filter(actions=(Action.CHECK_PROTECTED_FIELD,), refused=True), 50, None
    )
    assert {row.refusal for row in refusals} == {"too_many_checks"}
    await db.execute(
        "UPDATE protected_miss SET missed_at = missed_at - interval '15 minutes' WHERE project_id = $1",
        vault.project_id,
    )
    assert await check(vault, secret)


async def test_guesses_at_the_same_time_are_counted_all(vault: Shop, make_actor: MakeActor) -> None:
    await vault.put(None, keys(planted()))
    callers = [await member(vault, make_actor, Role.EDITOR) for _ in range(6)]

    async def guess(caller: Actor) -> str:
        try:
            return str(await check(vault, planted(), actor=caller))
        except DomainError as error:
            return error.code

    answers = await asyncio.gather(*(guess(caller) for caller in callers for _ in range(6)))
    assert answers.count("False") <= 20
    assert answers.count("False") + answers.count("too_many_checks") + answers.count("busy") == 36


async def test_each_comparison_is_on_record_without_the_value(vault: Shop) -> None:
    secret, wrong = planted(), planted()
    await vault.put(None, keys(secret))
    await check(vault, secret)
    await check(vault, wrong)
    rows = await audit.list_page(vault.project_id, Filter(actions=(Action.CHECK_PROTECTED_FIELD,)), 2, None)
    assert [row.after["set"][""]["match"] for row in rows if row.after] == [False, True]  # type: ignore[call-overload, index]
    assert await tables_with(secret, wrong) == set()


async def test_who_may_compare(vault: Shop, make_actor: MakeActor) -> None:
    await vault.put(None, keys(planted()))
    with pytest.raises(Forbidden):
        await check(vault, 1, actor=await member(vault, make_actor, Role.VIEWER))
    with pytest.raises(Forbidden):
        await check(vault, 1, actor=await key_of(vault, Scope.READ))
    assert not await check(vault, 1, actor=await key_of(vault, Scope.WRITE))


async def read(shop: Shop, actor: Actor, env: str | None = None, key: str = "a") -> Value:
    found = (await protected.read(actor, shop.project_id, env, "page", key)).state
    assert not isinstance(found, type(None))
    return found  # type: ignore[return-value]


async def denied(work: Callable[[], Awaitable[object]]) -> None:
    with pytest.raises(SandboxSecretAccessDenied):
        await work()


async def test_owners_and_admins_read_values_in_production_only(vault: Shop, make_actor: MakeActor) -> None:
    secret = planted()
    part: Value = {"inner": [planted()]}
    wanted = keys(secret, other={"keys": 1}, keys2=MARKED)
    await vault.put(None, wanted)
    await vault.put(None, keys(part), "b")
    admin = await member(vault, make_actor, Role.ADMIN)
    for reader in (vault.actor, admin):
        assert await read(vault, reader) == wanted
        assert await read(vault, reader, key="b") == keys(part)
    env = await vault.fork("env")
    for reader in (vault.actor, admin):
        for name in ("env", str(env)):
            await denied(lambda reader=reader, name=name: read(vault, reader, name))  # type: ignore[misc]
    for role in (Role.EDITOR, Role.VIEWER):
        other = await member(vault, make_actor, role)
        await denied(lambda other=other: read(vault, other))  # type: ignore[misc]
    key = await key_of(vault, *Scope)
    await denied(lambda: read(vault, key))
    await active_environment.choose(vault.actor, vault.project_id, "env")
    await denied(lambda: read(vault, vault.actor))
    assert await read(vault, vault.actor, "production") == wanted
    rows = await audit.list_page(vault.project_id, Filter(actions=(Action.READ_PROTECTED,)), 50, None)
    assert [row.refusal for row in rows].count(None) == 5
    assert {row.refusal for row in rows} == {None, "sandbox_secret_access_denied"}
    assert await tables_with(secret) == set()


MARKED: Value = {"$protected": True}


async def test_reading_values_that_are_not_swept_yet(shop: Shop) -> None:
    secret = planted()
    await shop.put(None, keys(secret))
    await protect(shop, *GLOBS)
    assert await read(shop, shop.actor) == keys(secret)
    await shop.merge(None, {"title": "x"})
    assert await read(shop, shop.actor) == keys(secret, title="x")


async def test_what_a_shorter_list_leaves_sealed_is_read_too(vault: Shop) -> None:
    secret = planted()
    await vault.put(None, keys(secret))
    await documents.put(vault.actor, vault.project_id, None, "project", "project", {})
    assert await read(vault, vault.actor) == keys(secret)


async def test_a_value_opens_only_where_it_belongs(vault: Shop) -> None:
    await vault.put(None, keys(planted()))
    await vault.put(None, keys(planted()), "b")
    rows = await db.fetch("SELECT uuid, sealed FROM secret WHERE project_id = $1", vault.project_id)
    await db.execute(
        "UPDATE secret SET sealed = $3 WHERE project_id = $1 AND uuid = $2",
        vault.project_id,
        rows[0]["uuid"],
        rows[1]["sealed"],
    )
    outcomes = []
    for key in ("a", "b"):
        try:
            outcomes.append(await read(vault, vault.actor, key=key) is not None)
        except RuntimeError:
            outcomes.append(False)
    assert sorted(outcomes) == [False, True]
    await db.execute("DELETE FROM secret WHERE project_id = $1", vault.project_id)


async def test_a_list_that_grows_around_what_was_sealed_alone(vault: Shop) -> None:
    """A wider glob seals what had been sealed alone before together with what stands around it."""
    secret = planted()
    document: Value = {"keys": {"api": {"secret": secret, "id": 1}}, "config": {"protected_fields": list(GLOBS)}}
    await vault.put(None, document, "project", "project")
    await vault.put(None, keys(secret))
    await vault.fork("env")
    wider: Value = {"config": {"protected_fields": [*GLOBS, "keys.*"]}}
    written = await vault.merge(None, wider, "project", "project")
    assert written.change is not None
    assert written.change.forward["set"] == {"/config/protected_fields": [*GLOBS, "keys.*"]}
    for _ in range(2):
        for kind, key in (("project", "project"), ("page", "a")):
            found = (await protected.read(vault.actor, vault.project_id, None, kind, key)).state
            assert lookup(found, ("keys",)) == {"api": {"secret": secret, "id": 1}}
            await forget_misses(vault)
            asked_for: list[tuple[Path, Value]] = [(("keys", "api"), {"secret": secret, "id": 1}), (PLACE, secret)]
            for path, value in asked_for:
                asked = await protected.check(vault.actor, vault.production, path, value, kind=kind, key=key)
                assert asked.match
        while await sweeping.sweep(vault.project_id):
            pass
    assert (await vault.differing(await vault.named("env"))).page.items == []
