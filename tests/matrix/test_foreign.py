"""What belongs to another project is answered, byte for byte, as what does not exist; and nothing happens to it."""

from collections.abc import Iterator
from dataclasses import fields, replace
from itertools import combinations
from typing import Any
from uuid import UUID

import httpx
import pytest

from app.storage import db
from tests.matrix.requests import REQUESTS, Request
from tests.matrix.stage import Identity, Stage
from tests.operations.world import World

THINGS = tuple(field.name for field in fields(World) if field.type is UUID)
NOWHERE = {name: UUID(int=0xABCDEF00_0000_4000_8000_000000000000 + number) for number, name in enumerate(THINGS)}
NO_PROJECT = 2**31 - 1
CALLERS = ("owner", "viewer", "own key: everything", "own key: read")


def _shown(answer: httpx.Response, *named: object) -> tuple[int, list[tuple[str, str]], bytes]:
    """Return all of an answer, with what the request named blotted out."""
    text = answer.content
    for thing in named:
        text = text.replace(str(thing).encode(), b"?")
    headers = [(name, value) for name, value in answer.headers.multi_items() if name != "content-length"]
    return answer.status_code, headers, text


def _swapped(request: Request, world: World, other: World) -> Iterator[tuple[str, ...]]:
    """Give the things that the request names: one by one, and in pairs."""
    named = [name for name in THINGS if _changed(request, world, {name: getattr(other, name)})]
    yield from ((name,) for name in named)
    yield from combinations(named, 2)


def _changed(request: Request, world: World, things: dict[str, Any]) -> bool:
    return request.says(replace(world, **things)) != request.says(world)


async def _contents() -> dict[str, str]:
    """Return a digest of each table, but for what notes that somebody asked."""
    tables = await db.fetch("SELECT relname FROM pg_stat_user_tables ORDER BY relname")
    digest = "SELECT md5(coalesce(string_agg(row::text, '|' ORDER BY row::text), '')) FROM {} AS row"
    noting = {"audit", "audit_head", "api_key", "rate_bucket"}
    return {
        name: await db.fetchval(digest.format(name))
        for (name,) in tables
        if name not in noting and await db.fetchval("SELECT has_table_privilege($1, 'SELECT')", name)
    }


@pytest.fixture(params=CALLERS)
def caller(stage: Stage, request: pytest.FixtureRequest) -> Identity:
    who = next(who for who in stage.identities if who.name == request.param)
    who.client.headers["X-Request-Id"] = "asked"
    return who


async def test_a_foreign_uuid_is_answered_as_one_that_is_nowhere(stage: Stage, caller: Identity) -> None:
    before = await _contents()
    own = stage.world(caller, own=True)
    pairs = 0
    for asked in REQUESTS:
        for names in _swapped(asked, own, stage.abroad):
            foreign = {name: getattr(stage.abroad, name) for name in names}
            nowhere = {name: NOWHERE[name] for name in names}
            answers = [await asked.send(replace(own, **things)) for things in (foreign, nowhere)]
            shown = [_shown(answers[0], *foreign.values()), _shown(answers[1], *nowhere.values())]
            assert shown[0] == shown[1], (asked.name, names)
            assert answers[0].status_code in (200, 403, 404), (asked.name, names)
            pairs += 1
    assert pairs >= 50
    assert await _contents() == before


async def test_a_foreign_project_is_answered_as_one_that_is_nowhere(stage: Stage, caller: Identity) -> None:
    before = await _contents()
    own = stage.world(caller, own=True)
    known = replace(own.project, id=stage.abroad.project.id)
    unknown = replace(own.project, id=NO_PROJECT)
    for asked in REQUESTS:
        for things in ({}, {name: getattr(stage.abroad, name) for name in THINGS}):
            worlds = [replace(own, project=project, **things) for project in (known, unknown)]
            if asked.says(worlds[0]) == asked.says(worlds[1]):
                continue
            answers = [await asked.send(world) for world in worlds]
            shown = [_shown(answer, *things.values()) for answer in answers]
            assert shown[0] == shown[1], asked.name
    assert await _contents() == before


@pytest.mark.parametrize("where", ["header", "query"])
async def test_a_foreign_environment_in_the_context(stage: Stage, caller: Identity, where: str) -> None:
    before = await _contents()
    for method, path in (
        *((method, "data") for method in ("GET", "PUT", "PATCH")),
        *((method, "entities/page/a") for method in ("GET", "PUT", "PATCH", "DELETE")),
        ("GET", "entities/page"),
        ("GET", "export"),
    ):
        shown = []
        for env in (stage.abroad.env, NOWHERE["env"]):
            answer = await caller.client.request(
                method,
                f"/api/projects/{stage.home.project.id}/{path}",
                headers={"X-AgentStack-Env": str(env)} if where == "header" else {},
                params={"env": str(env)} if where == "query" else {},
                json=None if method in ("GET", "DELETE") else {},
            )
            assert answer.status_code in (403, 404)
            shown.append(_shown(answer, env))
        assert shown[0] == shown[1], (method, path)
    assert await _contents() == before
