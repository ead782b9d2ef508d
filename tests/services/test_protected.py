"""Protected fields: written sealed, read as markers, in every environment and everything that is made of one."""

from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from app.domain.errors import Busy, FieldProtected, Forbidden, TokenKindForbidden, ValidationFailed
from app.domain.model import Actor, At, Role, Scope
from app.domain.protected import MARKER
from app.domain.values import Value
from app.services import (
    api_keys,
    backups,
    checkpoints,
    comparison,
    document_bodies,
    documents,
    environments,
    history,
    identity,
    revert,
)
from app.services.branching import ForkOptions
from app.storage import bulk, changes, db, members, protections
from app.storage.codec import loads
from tests.conftest import MakeActor
from tests.services.canaries import planted, tables_with
from tests.services.invariants import check_invariants
from tests.services.shop import Shop, page
from tests.services.test_races import beside

GLOBS: list[Value] = ["keys.*.secret", "user:ssn"]


def keys(secret: Value, **more: Value) -> dict[str, Value]:
    return {"keys": {"api": {"secret": secret, "id": 1}}, **more}


MASKED = keys(MARKER)


async def protect(shop: Shop, *globs: Value, env: str | None = None) -> None:
    await documents.merge(
        shop.actor, shop.project_id, env, "project", "project", {"config": {"protected_fields": list(globs)}}
    )


@pytest.fixture
async def vault(shop: Shop) -> Shop:
    """A project with a list of protected fields."""
    await protect(shop, *GLOBS)
    return shop


async def member(shop: Shop, make_actor: MakeActor, role: Role) -> Actor:
    made = await make_actor()
    await members.add(shop.project_id, made.account_uuid, role, None)
    return made


async def test_what_is_written_is_sealed_and_read_as_a_marker(vault: Shop) -> None:
    secret = planted()
    written = await vault.put(None, keys(secret))
    assert written.document.state == MASKED
    assert list(written.document.protected) == ["/keys/api/secret"]
    assert written.change is not None
    assert written.change.forward["set"] == {"/keys": MASKED["keys"]}
    body = await document_bodies.read(vault.actor, vault.project_id, None, "page", "a")
    assert (loads(body.content), body.version) == (MASKED, written.document.version)
    assert await vault.state(None) == MASKED
    assert await tables_with(secret) == set()
    stored = await db.fetchrow("SELECT path, sealed FROM secret WHERE project_id = $1", vault.project_id)
    assert stored is not None
    assert stored["path"] == "/keys/api/secret"
    assert len(stored["sealed"]) == 12 + 64 + 16
    await check_invariants(vault.project_id)


async def test_every_way_to_write_and_everything_made_of_it(vault: Shop) -> None:
    first, second, third, fourth, imported, inserted, nested = (planted() for _ in range(7))
    await vault.put(None, keys(first))
    await vault.merge(None, keys(second))
    await vault.put(None, third, path=("keys", "api", "secret"))
    operation: Value = {"op": "replace", "path": "/keys/api/secret", "value": fourth}
    await documents.patch(vault.actor, vault.project_id, None, "page", "a", [operation])
    await vault.load(None, page("a", keys(imported)), page("new", keys(inserted, deep=keys(nested))))
    await vault.put(None, {"ssn": first}, "ann", "user")
    env = await vault.fork("env")
    await vault.put("env", keys(nested))
    for taken in (env, vault.production):
        await vault.checkpoint(taken)
        await checkpoints.pin(vault.actor, taken)
    backup = await backups.backup(vault.actor, vault.project_id)
    await vault.delete(None)
    await backups.restore(vault.actor, vault.project_id, backup.uuid)
    await revert.revert(vault.actor, env, kind="page", key="a", paths=[("keys", "api", "secret")])
    assert await vault.dump("env", "page") == {
        ("page", "a"): MASKED,
        ("page", "new"): {**MASKED, "deep": keys(nested)},
    }
    assert await tables_with(first, second, third, fourth, imported, inserted) == set()
    assert await tables_with(nested) == {"layer", "change"}
    await check_invariants(vault.project_id)


async def test_a_marker_written_back_means_unchanged(vault: Shop) -> None:
    before = await vault.put(None, keys(planted()))
    same = await vault.put(None, MASKED)
    assert same.change is None
    written = await vault.put(None, keys(MARKER, title="x", elsewhere=MARKER))
    assert written.change is not None
    assert written.change.forward["set"] == {"/title": "x", "/elsewhere": MARKER}
    assert written.document.state == keys(MARKER, title="x", elsewhere=MARKER)
    assert before.document.version != written.document.version
    nothing = await vault.put(None, MASKED, "new")
    assert nothing.document.state == {"keys": {"api": {"id": 1}}}


async def test_writing_the_same_value_again_does_not_tell_that_it_is(vault: Shop) -> None:
    secret = planted()
    await vault.put(None, keys(secret))
    right, wrong = await vault.put(None, keys(secret)), await vault.put(None, keys(planted()))
    assert right.change is not None
    assert wrong.change is not None
    assert (right.change.forward, right.change.reverse) == (wrong.change.forward, wrong.change.reverse)


async def test_parts_of_a_protected_value_are_not_written_copied_or_moved(vault: Shop) -> None:
    await vault.put(None, keys({"a": 1}))
    with pytest.raises(ValidationFailed):
        await vault.merge(None, keys({"b": 2}))
    with pytest.raises(ValidationFailed):
        await vault.put(None, 2, path=("keys", "api", "secret", "b"))
    for op in ("copy", "move"):
        for source in ("/keys", "/keys/api", "/keys/api/secret", "/keys/api/secret/$protected"):
            operation: Value = {"op": op, "from": source, "path": "/shown"}
            with pytest.raises(ValidationFailed):
                await documents.patch(vault.actor, vault.project_id, None, "page", "a", [operation])
    below: Value = [{"op": "copy", "from": "/api", "path": "/shown"}]
    with pytest.raises(ValidationFailed):
        await documents.patch(vault.actor, vault.project_id, None, "page", "a", below, path=("keys",))
    assert await vault.state(None) == MASKED


async def test_an_environment_has_its_own_value_until_it_is_reverted(vault: Shop) -> None:
    await vault.put(None, keys(planted(), price=1))
    env = await vault.fork("env")
    assert await vault.state("env") == keys(MARKER, price=1)
    await vault.put("env", planted(), path=("keys", "api", "secret"))
    differing = await vault.differing(env)
    (item,) = differing.page.items
    assert item.difference.modified == {("keys", "api", "secret"): (MARKER, MARKER)}
    assert await vault.overrides("env") == {"set": {"/keys/api/secret": MARKER}, "unset": []}
    await vault.merge(None, {"price": 2, **keys(planted())})
    assert await vault.state("env") == keys(MARKER, price=2)
    await revert.revert(vault.actor, env)
    assert (await vault.differing(env)).page.items == []
    await check_invariants(vault.project_id)


async def test_comparing_snapshots_tells_that_a_value_differs(vault: Shop) -> None:
    await vault.put(None, keys(planted()))
    first = await checkpoints.pin(vault.actor, vault.production)
    again = await checkpoints.pin(vault.actor, vault.production)
    await vault.put(None, keys(planted()))
    compared = await comparison.diff(vault.actor, first.uuid, vault.production, kind="page", key="a")
    assert compared.difference.modified == {("keys", "api", "secret"): (MARKER, MARKER)}
    assert (compared.old, compared.new) == (MASKED, MASKED)
    assert (await comparison.diff(vault.actor, first.uuid, again.uuid, kind="page", key="a")).difference.is_empty


async def test_a_list_that_grows_masks_at_once_all_that_was_there(shop: Shop) -> None:
    secret = planted()
    await shop.put(None, keys(secret))
    env = await shop.fork("env")
    await shop.put("env", keys(secret, own=True))
    pinned = await checkpoints.pin(shop.actor, env)
    before = await document_bodies.read(shop.actor, shop.project_id, "env", "page", "a")
    past = await shop.put(None, keys(planted()))
    assert past.change is not None
    await protect(shop, *GLOBS)
    body = await document_bodies.read(shop.actor, shop.project_id, "env", "page", "a")
    assert loads(body.content) == keys(MARKER, own=True)
    assert body.version != before.version
    old = At(version=past.change.version - 1)
    assert (await documents.read(shop.actor, shop.project_id, "env", "page", "a", at=old)).state == body_of(body)
    (document,) = (await checkpoints.snapshot(shop.actor, pinned.uuid, kind="page")).page.items
    assert document.state == keys(MARKER, own=True)
    found = await history.list_changes(shop.actor, shop.project_id)
    blamed = await history.blame(shop.actor, shop.project_id, None, "page", "a", ("keys", "api", "secret"))
    for shown in (*found.items, blamed):
        assert secret not in repr(shown)
    await shop.merge("env", {"title": "x"})
    assert (await shop.differing(env)).modified == 1
    assert (await shop.state("env"), await shop.state(None)) == (keys(MARKER, own=True, title="x"), MASKED)


def body_of(body: document_bodies.Body) -> Value:
    return loads(body.content)


async def test_what_is_written_before_the_sweep_has_nothing_of_what_was_there(shop: Shop) -> None:
    """An unrelated write moves what was there: neither its layer nor its change has it."""
    secret = planted()
    await shop.put(None, keys({"inner": secret}))
    env = await shop.fork("env")
    await shop.put("env", "own", path=("keys", "api", "secret", "inner"))
    await protect(shop, *GLOBS)
    for name in (None, "env"):
        written = await shop.merge(name, {"title": str(name)})
        assert written.change is not None
        rows = await db.fetch(
            "SELECT change::text AS text FROM change WHERE project_id = $1 AND version = $2 UNION ALL"
            " SELECT layer::text FROM layer WHERE project_id = $1 AND generation_uuid = $3 AND entity_uuid = $4",
            shop.project_id,
            written.change.version,
            written.change.generation_uuid,
            written.change.entity.uuid,
        )
        assert len(rows) == 2
        assert secret not in "".join(row["text"] for row in rows)
        assert await shop.state(name) == keys(MARKER, title=str(name))
    assert (await shop.differing(env)).modified == 1


def once_before(
    monkeypatch: pytest.MonkeyPatch, module: object, name: str, work: Callable[[], Awaitable[object]]
) -> None:
    """Have ``work`` done and committed by another session just before a function is called the first time."""
    function, calls = getattr(module, name), iter([True])

    async def after(*arguments: object) -> object:
        if next(calls, False):
            await beside(work)
        return await function(*arguments)

    monkeypatch.setattr(module, name, after)


async def test_a_write_under_the_list_of_before_is_done_anew(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = planted()
    once_before(monkeypatch, changes, "record", lambda: protect(shop, *GLOBS))
    written = await shop.put(None, keys(secret))
    assert written.document.state == MASKED
    assert await tables_with(secret) == set()


async def test_an_import_under_the_list_of_before_is_refused(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = planted()
    once_before(monkeypatch, bulk, "record_staged", lambda: protect(shop, *GLOBS))
    with pytest.raises(Busy):
        await shop.load(None, page("new", keys(secret)))
    await shop.load(None, page("new", keys(secret)))
    assert await shop.state(None, "new") == MASKED
    assert await tables_with(secret) == set()


async def test_a_snapshot_under_the_list_of_before_is_taken_anew(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    await shop.put(None, keys(planted()))
    once_before(monkeypatch, protections, "freeze", lambda: protect(shop, *GLOBS))
    backup = await backups.backup(shop.actor, shop.project_id)
    assert (await protections.of(shop.project_id, backup.uuid)).globs == tuple(sorted(map(str, GLOBS)))


async def test_only_an_owner_with_a_token_shortens_the_list_and_in_production_only(
    vault: Shop, make_actor: MakeActor
) -> None:
    await vault.put(None, keys(planted()))
    await vault.fork("env")
    made = await api_keys.create(vault.actor, vault.project_id, "key", [Scope.READ, Scope.WRITE])
    assert made.secret is not None
    key = await identity.authenticate(f"Bearer {made.secret}")

    async def write(actor: Actor, env: str | None, value: Value) -> None:
        await documents.put(actor, vault.project_id, env, "project", "project", value)

    shorter: list[Value] = [{}, {"config": {"protected_fields": GLOBS[:1]}}, {"config": 1}]
    for value in shorter:
        for role in (Role.ADMIN, Role.EDITOR):
            with pytest.raises(Forbidden):
                await write(await member(vault, make_actor, role), None, value)
        with pytest.raises(TokenKindForbidden):
            await write(key, None, value)
        with pytest.raises(Forbidden):
            await write(vault.actor, "env", value)
    with pytest.raises(Forbidden):
        await vault.load("env", {"kind": "project", "key": "project", "data": {}})
    editor = await member(vault, make_actor, Role.EDITOR)
    await write(editor, "env", {"config": {"protected_fields": [*GLOBS, "own"]}})
    await vault.put("env", {"own": 1, **keys(2)}, "b")
    assert await vault.state("env", "b") == {"own": MARKER, **MASKED}
    await write(vault.actor, None, {})
    assert await vault.state(None) == MASKED
    await vault.put(None, keys("plain"), "b")
    assert await vault.state(None, "b") == keys("plain")
    assert await vault.state("env", "b") == {"own": MARKER, **MASKED}
    await vault.put(None, MASKED)
    await protect(vault, *GLOBS)
    assert (await protections.of(vault.project_id, (await vault.head(vault.production)).uuid)).globs


async def test_what_is_no_list_is_refused(shop: Shop) -> None:
    refused: list[Value] = [
        "keys",
        {"a": 1},
        [1],
        [""],
        ["a\\"],
        ["**"],
        ["*"],
        ["config"],
        ["config.*"],
        ["project:config.protected_fields"],
        [f"k{number}" for number in range(101)],
    ]
    for value in refused:
        with pytest.raises(ValidationFailed):
            await shop.merge(None, {"config": {"protected_fields": value}}, "project", "project")
    await protect(shop, "user:**", "config.flags.*", "**.secret")


async def test_a_restore_and_a_revert_do_not_shorten_the_list(shop: Shop) -> None:
    await shop.put(None, {"config": {}, "n": 1}, "project", "project")
    backup = await backups.backup(shop.actor, shop.project_id)
    env = await shop.fork("env")
    await protect(shop, "n", "own", env="env")
    await revert.revert(shop.actor, env)
    await shop.put("env", {"own": 1}, "b")
    assert await shop.state("env", "b") == {"own": MARKER}
    await protect(shop, "n")
    await backups.restore(shop.actor, shop.project_id, backup.uuid)
    assert await shop.state(None, "project", "project") == {"config": {"protected_fields": ["n"]}, "n": MARKER}


async def test_no_rule_asks_for_what_is_protected(vault: Shop) -> None:
    await vault.put(None, {"ssn": "123", "country": "DE"}, "ann", "user")

    def rules(field: str) -> list[Value]:
        return [{"field": field, "op": "contains", "value": "1"}]

    def segment(listed: list[Value]) -> Value:
        return {"config": {"segments": [{"segment_id": str(uuid4()), "name": "s", "rules": listed}]}}

    for field in ("ssn", "ssn.deep", "keys.api.secret"):
        with pytest.raises(FieldProtected):
            await documents.list_documents(vault.actor, vault.project_id, None, "user", rules=rules(field))
        with pytest.raises(FieldProtected):
            await environments.fork(vault.actor, vault.project_id, ForkOptions("env", user_rules=rules(field)))
        with pytest.raises(FieldProtected):
            await vault.merge(None, segment(rules(field)), "project", "project")
    about_all: list[Value] = [{"field": "keys", "op": "eq", "value": {"api": {"secret": "s"}}}]
    with pytest.raises(FieldProtected):
        await documents.list_documents(vault.actor, vault.project_id, None, "user", rules=about_all)
    await vault.merge(None, segment(rules("country")), "project", "project")
    await protect(vault, *GLOBS, "country")
    await vault.merge(None, {"title": "the old rule stays, and matches nobody"}, "project", "project")


async def test_a_project_without_a_list_pays_no_statement_for_it(shop: Shop) -> None:
    async def count() -> list[int]:
        counts = []
        for work in (
            lambda: shop.merge(None, {"n": planted()}),
            lambda: shop.state(None),
            lambda: document_bodies.read(shop.actor, shop.project_id, None, "page", "a"),
            lambda: document_bodies.read(shop.actor, shop.project_id, None, "page", "a"),
        ):
            with db.count_statements() as statements:
                await work()
            counts.append(statements.count)
        return counts

    without = await count()
    await protect(shop, *GLOBS)
    # Only what is merged anew is looked up in the list.
    assert await count() == [*without[:2], without[2] + 1, without[3]]
