"""Freezes in the database: declared, lifted, looked at by what reaches production, never beside one another."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from app.domain.audit import Action, Filter, Object, ObjectType
from app.domain.errors import Conflict, Forbidden, FreezeNotFound
from app.domain.events import EventType
from app.domain.freezes import MAX_LIVING, Freeze, ProductionFrozen
from app.domain.model import Actor, Project, Role, Scope
from app.services import freezes, recording
from app.services.operation import operation
from app.storage import audit, db, events
from tests.conftest import MakeActor
from tests.services.test_project_settings import add_member

HOUR = timedelta(hours=1)


@operation(Action.FREEZE)
async def reach_production(
    actor: Actor, project_id: int, *, override: bool = False, now: datetime | None = None
) -> Freeze | None:
    """Do what a promotion does about freezes."""
    async with db.transaction():
        passed = await freezes.check(project_id, actor, now or datetime.now(UTC), override=override)
        if passed is not None:
            await freezes.record_passing(actor, passed)
        await recording.record(project_id, Object(ObjectType.PROJECT, str(project_id)))
    return passed


async def recorded(project_id: int, *actions: Action) -> list[tuple[Action, str | None]]:
    rows = await audit.list_page(project_id, Filter(actions=actions), 50, None)
    return [(row.operation, row.refusal) for row in rows]


async def test_a_freeze_holds_until_it_is_lifted(actor: Actor, project: Project) -> None:
    assert await reach_production(actor, project.id) is None
    made = await freezes.freeze(actor, project.id, " Holidays ", owner="Ada")
    assert (made.reason, made.owner, made.created_by, made.ends_at) == ("Holidays", "Ada", actor.name, None)
    assert await freezes.living(actor, project.id) == [made]
    with pytest.raises(ProductionFrozen) as refusal:
        await reach_production(actor, project.id)
    assert refusal.value.fields["freeze_uuid"] == str(made.uuid)
    lifted = await freezes.lift(actor, made.uuid)
    assert (lifted.lifted_by, lifted.lifted_at is None) == (actor.name, False)
    assert await freezes.lift(actor, made.uuid) == lifted
    assert await reach_production(actor, project.id) is None
    assert await freezes.living(actor, project.id) == []
    assert (await freezes.list_freezes(actor, project.id)).items == [lifted]
    told = [event.type for event in await events.page(project.id, 0, 50) if event.subject == made.uuid]
    assert told == [EventType.FREEZE_STARTED, EventType.FREEZE_LIFTED]
    assert await recorded(project.id, Action.LIFT_FREEZE) == [(Action.LIFT_FREEZE, None)]


async def test_a_window_holds_in_its_time_only(actor: Actor, project: Project) -> None:
    start = datetime.now(UTC) + HOUR
    await freezes.freeze(actor, project.id, "Sale", starts_at=start, ends_at=start + HOUR)
    for moment, frozen in ((start - HOUR, False), (start, True), (start + HOUR, False)):
        if frozen:
            with pytest.raises(ProductionFrozen):
                await reach_production(actor, project.id, now=moment)
        else:
            assert await reach_production(actor, project.id, now=moment) is None


async def test_owners_and_admins_pass_and_it_is_on_record(
    actor: Actor, project: Project, make_actor: MakeActor
) -> None:
    made = await freezes.freeze(actor, project.id, "Holidays")
    editor, admin = await make_actor(), await make_actor()
    await add_member(project, editor, Role.EDITOR)
    await add_member(project, admin, Role.ADMIN)
    for passing in (actor, admin):
        assert await reach_production(passing, project.id, override=True) == made
    assert await recorded(project.id, Action.PASS_FREEZE) == [(Action.PASS_FREEZE, None)] * 2
    row = (await audit.list_page(project.id, Filter(actions=(Action.PASS_FREEZE,)), 1, None))[0]
    assert (row.object_id, row.account_uuid) == (str(made.uuid), admin.account_uuid)
    promoting = replace(
        actor, key_uuid=uuid4(), project_id=project.id, name="key", scopes=frozenset({Scope.PROMOTE, Scope.WRITE})
    )
    for refused in (editor, promoting):
        with pytest.raises(Forbidden):
            await reach_production(refused, project.id, override=True)
    assert len(await recorded(project.id, Action.PASS_FREEZE)) == 2


async def test_the_server_never_passes_a_freeze(actor: Actor, project: Project) -> None:
    await freezes.freeze(actor, project.id, "Holidays")
    with pytest.raises(ProductionFrozen):
        async with db.transaction():
            await freezes.check(project.id, None, datetime.now(UTC), override=True)


async def test_who_may_not_freeze(actor: Actor, project: Project, make_actor: MakeActor) -> None:
    made = await freezes.freeze(actor, project.id, "Holidays")
    editor, stranger = await make_actor(), await make_actor()
    await add_member(project, editor, Role.EDITOR)
    with pytest.raises(Forbidden):
        await freezes.freeze(editor, project.id, "Mine")
    with pytest.raises(Forbidden):
        await freezes.lift(editor, made.uuid)
    assert await freezes.living(editor, project.id) == [made]
    for uuid in (made.uuid, uuid4()):
        with pytest.raises(FreezeNotFound):
            await freezes.lift(stranger, uuid)


async def test_a_freeze_waits_for_whoever_is_reaching_production(actor: Actor, project: Project) -> None:
    looked, go_on = asyncio.Event(), asyncio.Event()
    order: list[str] = []

    async def promote() -> None:
        async with db.transaction():
            await freezes.check(project.id, actor, datetime.now(UTC), override=False)
            looked.set()
            await go_on.wait()
            order.append("promoted")

    async def freeze() -> UUID:
        made = await freezes.freeze(actor, project.id, "Holidays")
        order.append("frozen")
        return made.uuid

    promoting = asyncio.create_task(promote())
    await looked.wait()
    freezing = asyncio.create_task(freeze())
    await asyncio.sleep(0.2)
    assert await reach_production(actor, project.id) is None
    go_on.set()
    await asyncio.gather(promoting, freezing)
    assert order == ["promoted", "frozen"]


async def test_freezes_that_are_not_over_are_counted(actor: Actor, project: Project) -> None:
    await db.execute(
        "INSERT INTO production_freeze (project_id, reason, owner, starts_at, created_by)"
        " SELECT $1, 'n', 'n', now(), 'n' FROM generate_series(1, $2)",
        project.id,
        MAX_LIVING,
    )
    with pytest.raises(Conflict):
        await freezes.freeze(actor, project.id, "One more")
    await freezes.lift(actor, (await freezes.living(actor, project.id))[0].uuid)
    await freezes.freeze(actor, project.id, "One more")
    first = await freezes.list_freezes(actor, project.id, limit=60)
    second = await freezes.list_freezes(actor, project.id, limit=60, cursor=first.next_cursor)
    assert second.next_cursor is None
    assert len({freeze.uuid for freeze in [*first.items, *second.items]}) == MAX_LIVING + 1
