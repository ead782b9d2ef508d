"""Import and export: all or nothing, exact, streamed, and what an import does beside other writers."""

import asyncio
from decimal import Decimal

import asyncpg
import pytest

from app.domain.errors import (
    Busy,
    DomainError,
    EnvironmentArchived,
    EnvironmentNotFound,
    MalformedJson,
    ValidationFailed,
    ValueNotStorable,
)
from app.services import documents, environments, history, revert, transfer, tree
from tests.conftest import Database
from tests.services.shop import Shop, page
from tests.services.waiting import until_waiting


async def test_an_import_creates_changes_and_leaves(shop: Shop) -> None:
    await shop.put(None, {"kept": [1]}, "kept")
    imported = await shop.load(
        None, page("a", {"new": None}), page("kept", {"kept": [1]}), page("b", [Decimal("1.10")])
    )
    assert (imported.lines, imported.created, imported.changed, imported.unchanged) == (3, 1, 1, 1)
    assert await shop.dump(None, "page") == {
        ("page", "a"): {"new": None},
        ("page", "b"): [Decimal("1.10")],
        ("page", "kept"): {"kept": [1]},
    }
    changes = await history.list_changes(shop.actor, shop.project_id, kind="page")
    assert [change.entity.key for change in changes.items[:2]] == ["a", "b"]


async def test_an_import_into_an_environment_overrides_there_alone(shop: Shop) -> None:
    env = await shop.fork("env")
    production = await shop.dump(None)
    await shop.load("env", page("a", {"title": "Home", "price": 2, "tags": ["x"]}), page("own", 1))
    assert await shop.dump(None) == production
    assert await shop.overrides("env") == {"set": {"/price": 2}, "unset": []}
    assert (await shop.dump("env"))["page", "own"] == 1
    await revert.revert(shop.actor, env)
    assert await shop.dump("env") == production


async def test_a_deleted_document_is_imported_anew(shop: Shop) -> None:
    first = await documents.read(shop.actor, shop.project_id, None, "page", "a")
    await shop.delete(None)
    assert (await shop.load(None, page("a", {}))).created == 1
    again = await documents.read(shop.actor, shop.project_id, None, "page", "a")
    assert (again.entity, again.state) == (first.entity, {})
    assert again.version != first.version


@pytest.mark.parametrize(
    ("line", "refusal"),
    [
        (b"{\n", MalformedJson),
        (b'{"kind": "page", "key": "z"}\n', ValidationFailed),
        (b'{"kind": "page", "key": "z", "data": {}, "more": 1}\n', ValidationFailed),
        (b'{"kind": "page", "key": 1, "data": {}}\n', ValidationFailed),
        (b'{"kind": "?", "key": "z", "data": {}}\n', ValidationFailed),
        (b'{"kind": "page", "key": "", "data": {}}\n', ValidationFailed),
        (b'{"kind": "project", "key": "other", "data": {}}\n', ValidationFailed),
        (b'{"kind": "project", "key": "project", "data": []}\n', ValidationFailed),
        (b'{"kind": "page", "key": "z", "data": "\\u0000"}\n', ValueNotStorable),
        (b'{"kind": "page", "key": "z", "data": NaN}\n', MalformedJson),
        (b'{"kind": "page", "key": "z", "data": [%s]}\n' % b", ".join([b"1e308"] * 4_000), ValueNotStorable),
        (b'{"kind": "page", "key": "\xff", "data": 1}\n', MalformedJson),
    ],
)
async def test_one_bad_line_refuses_all_and_is_named(shop: Shop, line: bytes, refusal: type[DomainError]) -> None:
    before = await shop.dump(None)
    with pytest.raises(refusal) as caught:
        await shop.load(None, page("b", {}), b"\n", page("c", {}), line, page("d", {}))
    assert (caught.value.message[:8], caught.value.fields["line"]) == ("Line 4: ", 4)
    assert await shop.dump(None) == before
    assert (await history.list_changes(shop.actor, shop.project_id, kind="page")).items[0].entity.key == "a"


async def test_a_repeated_name_is_refused_with_its_lines(shop: Shop) -> None:
    before = await shop.dump(None)
    with pytest.raises(ValidationFailed) as caught:
        await shop.load(None, page("b", 1), page("a", {}), b"\n", page("b", 1), page("c", {}), page("b", 1))
    assert caught.value.fields["lines"] == [1, 4, 6]
    assert await shop.dump(None) == before


async def test_lines_are_found_wherever_chunks_are_cut(shop: Shop) -> None:
    text = "\r\n".join(f'{{"kind": "page", "key": "ü{n}", "data": {{"n": {n}}}}}' for n in range(5)).encode()
    for size in (1, 2, 7, 1000):
        imported = await shop.load(None, *(text[start : start + size] for start in range(0, len(text), size)))
        assert imported.lines == 5
    assert imported.unchanged == 5
    assert (await shop.state(None, "ü4")) == {"n": 4}


async def test_empty_lines_are_no_documents(shop: Shop) -> None:
    imported = await shop.load(None, b"\n  \n", page("b", {}), b"\n\n")
    assert (imported.lines, imported.created, imported.unchanged) == (1, 1, 0)
    assert await shop.load(None) == transfer.Imported(0, 0, 0, 0)


async def test_an_import_that_changes_nothing_leaves_nothing(shop: Shop) -> None:
    env = await shop.fork("env")
    taken = await shop.checkpoint(env)
    nodes = await tree.tree(shop.actor, shop.project_id)
    await shop.load("env", page("a", {"title": "Home", "price": 1, "tags": ["x"]}))
    assert await tree.tree(shop.actor, shop.project_id) == nodes
    assert (await environments.get(shop.actor, env)).head_uuid == taken.uuid


async def test_an_import_opens_a_generation_above_a_checkpoint(shop: Shop) -> None:
    env = await shop.fork("env")
    taken = await shop.checkpoint(env)
    await shop.load("env", page("a", {"title": "Home"}), page("new", {}))
    head = await shop.head(env)
    assert (head.parent_uuid, head.number) == (taken.uuid, taken.number + 1)
    assert (await shop.dump("env", "page")) == {("page", "a"): {"title": "Home"}, ("page", "new"): {}}
    newest = (await history.list_changes(shop.actor, shop.project_id, env_uuid=env)).items
    assert {change.generation_uuid for change in newest[:2]} == {head.uuid}
    assert head.version == newest[1].version


async def test_where_nothing_can_be_imported(shop: Shop) -> None:
    env = await shop.fork("env")
    await environments.archive(shop.actor, env)
    with pytest.raises(EnvironmentArchived):
        await shop.load(str(env), page("b", {}))
    with pytest.raises(EnvironmentNotFound):
        await shop.load("unknown", page("b", {}))


async def test_an_import_beside_one_who_makes_the_same_document(shop: Shop, database: Database) -> None:
    other = await asyncpg.connect(database.app_dsn)
    async with other.transaction():
        await other.execute(
            "INSERT INTO entity (project_id, uuid, kind, key) VALUES ($1, gen_random_uuid(), 'page', 'shared')",
            shop.project_id,
        )
        importing = asyncio.create_task(shop.load(None, page("new", 1), page("shared", 2), page("a", 3)))
        await until_waiting(other)
    imported = await importing
    await other.close()
    assert (imported.created, imported.changed) == (2, 1)
    assert await shop.dump(None, "page") == {("page", "a"): 3, ("page", "new"): 1, ("page", "shared"): 2}


async def test_an_import_that_waits_too_long_says_busy(shop: Shop, database: Database) -> None:
    before = await shop.dump(None)
    other = await asyncpg.connect(database.app_dsn)
    async with other.transaction():
        await other.execute("SELECT FROM entity WHERE project_id = $1 FOR UPDATE", shop.project_id)
        with pytest.raises(Busy):
            await shop.load(None, page("a", 1), page("b", 2))
    await other.close()
    assert await shop.dump(None) == before


async def test_imports_of_the_same_new_documents_do_not_deadlock(shop: Shop, database: Database) -> None:
    lines = [page(key, {}) for key in ("b", "c", "d")]
    other = await asyncpg.connect(database.app_dsn)
    held = other.transaction()
    await held.start()
    await other.execute(
        "INSERT INTO entity (project_id, uuid, kind, key) VALUES ($1, gen_random_uuid(), 'page', 'c')", shop.project_id
    )
    importing = [asyncio.create_task(shop.load(None, *order)) for order in (lines, reversed(lines))]
    await until_waiting(other, 2)
    await held.rollback()
    await other.close()
    assert sorted(item.created for item in await asyncio.gather(*importing)) == [0, 3]


async def test_an_export_is_one_moment(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "EXPORT_PAGE", 2)
    for number in range(5):
        await shop.put(None, {"stamp": 0}, f"p{number}")
    chunks = await transfer.export_documents(shop.actor, shop.project_id, None, kind="page")
    read = [await anext(chunks)]
    for number in range(5):
        await shop.put(None, {"stamp": 1}, f"p{number}")
    await shop.delete(None, "p4")
    read += [chunk async for chunk in chunks]
    assert b"".join(read).count(b'"stamp":0') == 5
    assert b'"stamp":1' not in b"".join(read)


async def test_an_export_is_what_reading_gives(shop: Shop) -> None:
    await shop.put(None, {"n": Decimal("12345678901234567890.10"), "u": "\u2028\U0001f600", "": [None, {}]}, "exact")
    await shop.put(None, 5, "u/ü", "user")
    env = await shop.fork("env")
    await shop.merge("env", {"price": 2})
    await shop.delete("env", "exact")
    await shop.checkpoint(env)
    await shop.put("env", {"late": True}, "late")
    for name in (None, "env"):
        dumped = await shop.dump(name)
        assert {kind for kind, _ in dumped} == {"page", "project", "user"}
        for kind, key in dumped:
            assert repr(dumped[kind, key]) == repr(await shop.state(name, key, kind))
        assert [key for kind, key in dumped if kind == "page"] == await shop.keys(name)
