"""What one field awaits of a loader stays there for the others, whatever becomes of the first."""

import asyncio
import logging

import pytest

from app.domain.model import Project
from schema.data_loader import DataLoader
from tests.schema.conftest import GraphQL


async def test_a_cancelled_caller_takes_nothing_from_others() -> None:
    async def batch(keys: list[int]) -> list[int]:
        await asyncio.sleep(0.01)
        return keys

    loader: DataLoader[int, int] = DataLoader(batch)
    first, second = asyncio.ensure_future(loader.load(1)), asyncio.ensure_future(loader.load(1))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == 1
    assert await loader.load(1) == 1
    assert await loader.load_many([1, 2]) == [1, 2]


async def test_a_failure_that_nobody_looks_at_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def batch(_: list[int]) -> list[int]:
        raise RuntimeError("sk_live_canary")

    loader: DataLoader[int, int] = DataLoader(batch)
    with caplog.at_level(logging.DEBUG):
        loader.load(1)
        await asyncio.sleep(0.01)
        with pytest.raises(RuntimeError):
            await loader.load(2)
        del loader
    assert "sk_live_canary" not in caplog.text


async def test_a_field_that_fails_beside_others_leaves_the_request_an_answer(
    graphql: GraphQL, project: Project
) -> None:
    env = await graphql.fork("one")
    missing = "00000000-0000-4000-8000-000000000000"
    query = (
        f'{{ a: environment(uuid: "{env["uuid"]}") {{ head {{ children {{ uuid }} }} }}'
        f' b: diff(a: "{missing}", b: "{missing}") {{ isEmpty }}'
        f" c: project(id: {project.id}) {{ tree {{ children {{ uuid }} }} }} }}"
    )
    answer = await graphql.post(query)
    assert answer.status_code == 200
    assert [error["extensions"]["code"] for error in answer.json()["errors"]] == ["state_not_found"]
