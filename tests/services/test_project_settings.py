"""Settings in the database: changed as a whole or not at all, and what they say of writing to production."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from uuid import uuid4

import pytest

from app.domain.errors import DirectProductionWriteForbidden, DomainError, Forbidden, ValidationFailed
from app.domain.events import EventType
from app.domain.model import Actor, Project, Role, Scope
from app.domain.project_settings import ProjectSettings
from app.domain.values import Value
from app.services import access, settings
from app.storage import db, events
from tests.conftest import MakeActor
from tests.services.shop import Shop, page


async def add_member(project: Project, member: Actor, role: Role) -> None:
    await db.execute(
        "INSERT INTO member (project_id, account_uuid, role) VALUES ($1, $2, $3)",
        project.id,
        member.account_uuid,
        role.value,
    )
    access.forget(member.account_uuid)


async def test_settings_are_changed_together_or_not_at_all(actor: Actor, project: Project) -> None:
    assert await settings.get(actor, project.id) == ProjectSettings()
    wanted: dict[str, Value] = {"canary_auto_route": True, "canary_watchdog_interval_seconds": 5}
    changed = await settings.update(actor, project.id, wanted)
    assert changed == replace(ProjectSettings(), canary_auto_route=True, canary_watchdog_interval_seconds=5)
    assert await settings.get(actor, project.id) == changed
    with pytest.raises(ValidationFailed):
        await settings.update(actor, project.id, {"canary_auto_route": False, "unknown": 1})
    with pytest.raises(ValidationFailed):
        await settings.update(actor, project.id, {})
    assert await settings.get(actor, project.id) == changed


async def test_only_what_differs_from_the_defaults_is_stored(actor: Actor, project: Project) -> None:
    await settings.update(actor, project.id, {"canary_auto_route": True, "auto_promote_on_all_pass": True})
    await settings.update(actor, project.id, {"canary_auto_route": False})
    stored = await db.fetchval("SELECT settings FROM project_settings WHERE project_id = $1", project.id)
    assert stored == '{"auto_promote_on_all_pass": true}'


async def test_a_change_is_told_and_repeating_it_is_not(actor: Actor, project: Project) -> None:
    for _ in range(2):
        await settings.update(actor, project.id, {"direct_prod_roles": ["owner"]})
    told = [event for event in await events.page(project.id, 0, 50) if event.type is EventType.SETTINGS_CHANGED]
    assert [event.data for event in told] == [{"direct_prod_roles": ["owner"]}]


async def test_two_changes_at_once_both_stay(actor: Actor, project: Project) -> None:
    wanted: list[dict[str, Value]] = [
        {"canary_auto_route": True},
        {"auto_promote_on_all_pass": True},
        {"auto_promote_strategy": "canary"},
    ]
    await asyncio.gather(*(settings.update(actor, project.id, each) for each in wanted))
    found = (await settings.get(actor, project.id)).to_json()
    assert {name: found[name] for each in wanted for name in each} == wanted[0] | wanted[1] | wanted[2]


async def _outcomes(shop: Shop, env: str | None) -> set[str]:
    """Try every direct way to write into an environment, and return what came of them."""
    attempts: list[Callable[[], Awaitable[object]]] = [
        lambda: shop.put(env, {"n": uuid4().hex}),
        lambda: shop.merge(env, {"n": uuid4().hex}),
        lambda: shop.load(env, page("b", {"n": uuid4().hex})),
        lambda: shop.delete(env),
    ]
    outcomes = set()
    for attempt in attempts:
        try:
            await attempt()
            outcomes.add("done")
        except DomainError as refusal:
            outcomes.add(refusal.code)
    return outcomes


@pytest.mark.parametrize("role", [Role.OWNER, Role.ADMIN, Role.EDITOR])
async def test_roles_left_out_write_to_production_by_promotion_only(
    shop: Shop, project: Project, make_actor: MakeActor, role: Role
) -> None:
    member = await make_actor()
    await add_member(project, member, role)
    theirs = Shop(member, project)
    env = "env"
    await shop.fork(env)
    assert await _outcomes(theirs, None) == {"done"}
    await shop.put(None, {"n": 1})
    others: list[Value] = [each.value for each in (Role.OWNER, Role.ADMIN, Role.EDITOR) if each is not role]
    await settings.update(shop.actor, project.id, {"direct_prod_roles": others})
    before = await shop.dump(None)
    assert await _outcomes(theirs, None) == {"direct_production_write_forbidden"}
    assert await shop.dump(None) == before
    assert await _outcomes(theirs, env) == {"done"}
    await settings.update(shop.actor, project.id, {"direct_prod_roles": [role.value]})
    assert await _outcomes(theirs, None) == {"done"}


async def test_an_empty_list_leaves_promotion_as_the_only_way(shop: Shop, project: Project) -> None:
    await settings.update(shop.actor, project.id, {"direct_prod_roles": []})
    with pytest.raises(DirectProductionWriteForbidden) as refusal:
        await shop.put(None, {})
    assert refusal.value.fields["direct_prod_roles"] == []
    assert "fork" in refusal.value.message


async def test_a_key_may_what_an_editor_may(shop: Shop, project: Project) -> None:
    key = replace(
        shop.actor, key_uuid=uuid4(), project_id=project.id, name="key", scopes=frozenset({Scope.READ, Scope.WRITE})
    )
    theirs = Shop(key, project)
    assert await _outcomes(theirs, None) == {"done"}
    await shop.put(None, {})
    await settings.update(shop.actor, project.id, {"direct_prod_roles": ["owner", "admin"]})
    assert await _outcomes(theirs, None) == {"direct_production_write_forbidden"}
    await settings.update(shop.actor, project.id, {"direct_prod_roles": ["editor"]})
    assert await _outcomes(theirs, None) == {"done"}


async def test_editors_read_settings_and_do_not_change_them(
    actor: Actor, project: Project, make_actor: MakeActor
) -> None:
    editor = await make_actor()
    await add_member(project, editor, Role.EDITOR)
    assert await settings.get(editor, project.id) == ProjectSettings()
    with pytest.raises(Forbidden):
        await settings.update(editor, project.id, {"direct_prod_roles": ["owner"]})
    assert await settings.get(actor, project.id) == ProjectSettings()
