"""A read replica answers where it is up to date, and nobody notices where it is not."""

from collections.abc import AsyncIterator

import pytest

from app.domain.model import Actor, Project
from app.services import audit, documents, history
from app.storage import db, migrations, replica
from tests.conftest import Database
from tests.storage.test_dump import empty_dsn as empty_dsn


@replica.may_answer
async def _elsewhere(project_id: int) -> bool:
    """Whether the replica answers."""
    return db.is_in_transaction()


@pytest.fixture
async def followed(database: Database, pool: None) -> AsyncIterator[None]:
    """A replica without lag: the database itself."""
    await replica.open_pool(database.app_dsn, 2)
    yield
    await replica.close_pool()


async def test_a_replica_that_is_up_to_date_answers(followed: None, actor: Actor, project: Project) -> None:
    assert await _elsewhere(project.id)
    async with db.transaction():
        assert await _elsewhere(project.id)
    await documents.put(actor, project.id, None, "page", "one", {"n": 1})
    found = await history.list_changes(actor, project.id)
    assert found.items[0].entity.key == "one"
    assert (await audit.list_entries(actor, project.id)).items


async def test_without_one_the_database_answers(project: Project) -> None:
    assert not await _elsewhere(project.id)


async def test_one_that_lags_does_not_answer(actor: Actor, project: Project, empty_dsn: str) -> None:
    await migrations.migrate(empty_dsn)
    await replica.open_pool(empty_dsn, 2)
    assert not await _elsewhere(project.id)
    assert (await history.list_changes(actor, project.id)).items
    await replica.close_pool()


async def test_one_that_is_away_is_left_alone_for_a_while(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    await replica.open_pool("postgresql://nobody@127.0.0.1:1/nothing", 2)
    assert not await _elsewhere(project.id)
    assert replica._away_until > 0
    monkeypatch.setattr(replica, "_VERSION", "never sent")
    assert not await _elsewhere(project.id)
    await replica.close_pool()
