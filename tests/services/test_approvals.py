"""Four eyes: who may approve what, how many have to, and what an approval is bound to."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import pytest

from app.domain.errors import Forbidden, ValidationFailed
from app.domain.model import Actor, EnvStatus, Plan, Role, Scope, Strategy
from app.domain.promotion import DocumentPaths, Promotion, PromotionStatus
from app.domain.promotion_errors import PromotionNotPending, PromotionPending, SelfApprovalForbidden
from app.domain.values import State, Value
from app.services import (
    api_keys,
    deciding,
    ending,
    environments,
    identity,
    operator,
    promoting,
    rebasing,
    releasing,
    revert,
    settings,
)
from app.services.promoting import PromoteOptions
from app.storage import db, events
from tests.conftest import MakeActor
from tests.services.invariants import check_invariants
from tests.services.shop import Shop

COMPLETED, PENDING = PromotionStatus.COMPLETED, PromotionStatus.PENDING_APPROVAL
TWO: dict[str, Value] = {"auto_generation_approval_mode": "min_count", "auto_generation_approval_min_count": 2}
ONE: dict[str, Value] = {"auto_generation_approval_mode": "at_least_one"}


class Team:
    """A shop with members; ``shop.actor`` owns it."""

    def __init__(self, shop: Shop, make_actor: MakeActor) -> None:
        self.shop, self.make_actor = shop, make_actor

    async def join(self, role: Role) -> Actor:
        made = await self.make_actor()
        await self.shop.join(made, role)
        return made

    async def set(self, wanted: dict[str, Value]) -> None:
        await settings.update(self.shop.actor, self.shop.project_id, wanted)

    async def edited(self, actor: Actor, price: int = 2, name: str = "env") -> UUID:
        """Return an environment in which ``actor`` changed the price."""
        env = await self.shop.fork(name)
        await Shop(actor, self.shop.project).merge(name, {"price": price})
        return env

    async def ask(self, actor: Actor, env: UUID, options: PromoteOptions | None = None) -> Promotion:
        made = await promoting.promote(actor, env, options or PromoteOptions())
        await check_invariants(self.shop.project_id)
        return made

    async def price(self) -> State:
        state = await self.shop.state(None)
        assert isinstance(state, dict)
        return state["price"]


@pytest.fixture
async def team(shop: Shop, make_actor: MakeActor) -> AsyncIterator[Team]:
    made = Team(shop, make_actor)
    yield made
    await check_invariants(shop.project_id)


async def key_of(actor: Actor, shop: Shop) -> Actor:
    made = await api_keys.create(actor, shop.project_id, "key", list(Scope))
    return await identity.authenticate(f"Bearer {made.secret}")


async def test_neither_requester_nor_editors_nor_their_keys_approve(team: Team) -> None:
    await team.set(ONE)
    requester, editor, admin = [await team.join(role) for role in (Role.ADMIN, Role.ADMIN, Role.ADMIN)]
    viewer, other = await team.join(Role.VIEWER), await team.join(Role.EDITOR)
    request = await team.ask(requester, await team.edited(editor))
    assert (request.status, request.required_approvals) == (PENDING, 1)
    for actor in (requester, editor, await key_of(requester, team.shop), await key_of(editor, team.shop)):
        with pytest.raises(SelfApprovalForbidden):
            await deciding.approve(actor, request.uuid)
    for actor in (viewer, other):
        with pytest.raises(Forbidden):
            await deciding.approve(actor, request.uuid)
    assert await team.price() == 1
    decision = await deciding.approve(admin, request.uuid)
    assert (decision.promotion.status, decision.changed) == (COMPLETED, [])
    assert [given.account_uuid for given in decision.promotion.approvers] == [admin.account_uuid]
    assert await team.price() == 2
    with pytest.raises(PromotionNotPending):
        await deciding.approve(team.shop.actor, request.uuid)


async def test_what_an_editors_key_wrote_is_the_editors(team: Team) -> None:
    await team.set(ONE)
    editor = await team.join(Role.ADMIN)
    request = await team.ask(team.shop.actor, await team.edited(await key_of(editor, team.shop)))
    with pytest.raises(SelfApprovalForbidden):
        await deciding.approve(editor, request.uuid)


async def test_the_editors_of_the_parent_are_editors_too(team: Team) -> None:
    await team.set(ONE)
    editor, admin = await team.join(Role.ADMIN), await team.join(Role.ADMIN)
    child = await team.shop.fork("child", await team.edited(editor, name="parent"))
    request = await team.ask(team.shop.actor, child)
    with pytest.raises(SelfApprovalForbidden):
        await deciding.approve(editor, request.uuid)
    assert (await deciding.approve(admin, request.uuid)).promotion.status is COMPLETED


async def test_who_edited_what_was_undone_is_an_editor_of_what_came_back(team: Team) -> None:
    editor = await team.join(Role.ADMIN)
    env = await team.edited(editor)
    made = await team.ask(team.shop.actor, env)
    assert made.release_uuid is not None
    await releasing.rollback_release(team.shop.actor, made.release_uuid)
    await team.set(ONE)
    request = await team.ask(team.shop.actor, env)
    assert request.status is PENDING
    with pytest.raises(SelfApprovalForbidden):
        await deciding.approve(editor, request.uuid)


async def test_two_have_to_approve_and_each_counts_once(team: Team) -> None:
    await team.set(TWO)
    first, second = await team.join(Role.ADMIN), await team.join(Role.OWNER)
    request = await team.ask(team.shop.actor, await team.edited(team.shop.actor))
    for _ in range(2):
        decision = await deciding.approve(first, request.uuid)
        assert (decision.promotion.status, len(decision.promotion.approvers)) == (PENDING, 1)
    assert await team.price() == 1
    assert (await deciding.approve(second, request.uuid)).promotion.status is COMPLETED


@pytest.mark.parametrize("side", ["environment", "production"])
async def test_what_changed_after_an_approval_voids_it_and_is_shown(team: Team, side: str) -> None:
    await team.set(TWO)
    first, second = await team.join(Role.ADMIN), await team.join(Role.ADMIN)
    request = await team.ask(team.shop.actor, await team.edited(team.shop.actor))
    await deciding.approve(first, request.uuid)
    if side == "environment":
        await team.shop.merge("env", {"price": 3})
        wanted = [("/price", 1, 3)]
    else:
        await team.shop.merge(None, {"price": 2})
        wanted = [("/price", 2, 2)]
    decision = await deciding.approve(second, request.uuid)
    assert [(item.path, item.ours, item.result) for item in decision.changed] == wanted
    assert (decision.promotion.status, decision.promotion.approvers) == (PENDING, [])
    again = await deciding.approve(first, request.uuid)
    assert (again.promotion.status, again.changed, len(again.promotion.approvers)) == (PENDING, [], 1)
    assert (await deciding.approve(second, request.uuid)).promotion.status is COMPLETED


async def test_what_does_not_concern_the_changes_voids_nothing(team: Team) -> None:
    await team.set(TWO)
    first, second = await team.join(Role.ADMIN), await team.join(Role.ADMIN)
    request = await team.ask(team.shop.actor, await team.edited(team.shop.actor))
    await deciding.approve(first, request.uuid)
    await team.shop.merge(None, {"title": "Shop"})
    assert (await deciding.approve(second, request.uuid)).promotion.status is COMPLETED
    assert await team.shop.state(None) == {"title": "Shop", "price": 2, "tags": ["x"]}


async def test_changed_back_by_an_approver_it_is_approved_no_longer(team: Team) -> None:
    await team.set(TWO)
    first, second, third = [await team.join(Role.ADMIN) for _ in range(3)]
    request = await team.ask(team.shop.actor, await team.edited(team.shop.actor))
    await deciding.approve(first, request.uuid)
    own = Shop(first, team.shop.project)
    await own.merge("env", {"price": 9})
    await own.merge("env", {"price": 2})
    decision = await deciding.approve(second, request.uuid)
    assert (decision.promotion.status, decision.changed) == (PENDING, [])
    assert [given.account_uuid for given in decision.promotion.approvers] == [second.account_uuid]
    with pytest.raises(SelfApprovalForbidden):
        await deciding.approve(first, request.uuid)
    assert (await deciding.approve(third, request.uuid)).promotion.status is COMPLETED


@pytest.mark.parametrize("how", ["removed", "demoted"])
async def test_the_approval_of_who_may_no_longer_counts_no_longer(team: Team, how: str) -> None:
    await team.set(TWO)
    first, second, third = [await team.join(Role.ADMIN) for _ in range(3)]
    request = await team.ask(team.shop.actor, await team.edited(team.shop.actor))
    await deciding.approve(first, request.uuid)
    statement = "DELETE FROM member" if how == "removed" else "UPDATE member SET role = 'editor'"
    await db.execute(
        f"{statement} WHERE project_id = $1 AND account_uuid = $2", team.shop.project_id, first.account_uuid
    )
    assert (await deciding.approve(second, request.uuid)).promotion.status is PENDING
    assert await team.price() == 1
    assert (await deciding.approve(third, request.uuid)).promotion.status is COMPLETED


@pytest.mark.parametrize(
    ("wanted", "needed"),
    [
        ({"auto_generation_approval_mode": "off"}, 0),
        (ONE, 1),
        ({"auto_generation_approval_mode": "manual_only"}, 1),
        ({"auto_generation_approval_mode": "min_count", "auto_generation_approval_min_count": 3}, 3),
        ({"auto_generation_approval_mode": "min_percent", "auto_generation_approval_min_percent": 50}, 2),
        ({"auto_generation_approval_mode": "min_percent", "auto_generation_approval_min_percent": 34}, 2),
        ({"auto_generation_approval_mode": "min_percent", "auto_generation_approval_min_percent": 100}, 3),
    ],
)
async def test_how_many_are_needed(team: Team, wanted: dict[str, Value], needed: int) -> None:
    for _ in range(3):
        await team.join(Role.ADMIN)
    await team.set(wanted)
    request = await team.ask(team.shop.actor, await team.edited(team.shop.actor))
    assert (request.required_approvals, request.status) == (needed, PENDING if needed else COMPLETED)


async def test_on_enterprise_one_has_to_approve_whatever_is_set(team: Team) -> None:
    await operator.set_plan(team.shop.project_id, Plan.ENTERPRISE)
    await team.join(Role.ADMIN)
    request = await team.ask(team.shop.actor, await team.edited(team.shop.actor))
    assert (request.required_approvals, request.status) == (1, PENDING)


async def test_without_anybody_who_may_approve_the_reason_names_the_cure(team: Team) -> None:
    await operator.set_plan(team.shop.project_id, Plan.ENTERPRISE)
    request = await team.ask(team.shop.actor, await team.edited(team.shop.actor))
    assert request.status is PENDING
    assert "Invite another owner or admin" in request.checks.reasons["approval"]
    admin = await team.join(Role.ADMIN)
    assert (await deciding.approve(admin, request.uuid)).promotion.status is COMPLETED


async def test_a_switch_needs_the_approval_that_came_to_be_needed(team: Team) -> None:
    env = await team.edited(team.shop.actor)
    request = await team.ask(team.shop.actor, env, PromoteOptions(Strategy.BLUE_GREEN))
    assert (request.status, request.required_approvals) == (PENDING, 0)
    await operator.set_plan(team.shop.project_id, Plan.ENTERPRISE)
    editor, admin = await team.join(Role.EDITOR), await team.join(Role.ADMIN)
    with pytest.raises(SelfApprovalForbidden):
        await deciding.approve(team.shop.actor, request.uuid)
    with pytest.raises(Forbidden):
        await deciding.approve(editor, request.uuid)
    assert (await deciding.approve(admin, request.uuid)).promotion.status is COMPLETED


async def test_the_requester_makes_the_switch_where_no_approval_is_needed(team: Team) -> None:
    env = await team.edited(team.shop.actor)
    request = await team.ask(team.shop.actor, env, PromoteOptions(Strategy.BLUE_GREEN))
    assert await team.price() == 1
    done = (await deciding.approve(team.shop.actor, request.uuid)).promotion
    assert (done.status, await team.price()) == (COMPLETED, 2)
    assert done.release_uuid is not None
    await releasing.rollback_release(team.shop.actor, done.release_uuid)
    assert await team.price() == 1


async def test_a_rejection_has_a_reason_and_changes_nothing(team: Team) -> None:
    await team.set(ONE)
    admin = await team.join(Role.ADMIN)
    env = await team.edited(team.shop.actor)
    request = await team.ask(team.shop.actor, env)
    for reason in ("", "  ", "x" * 2_001):
        with pytest.raises(ValidationFailed):
            await deciding.reject(admin, request.uuid, reason)
    rejected = await deciding.reject(admin, request.uuid, "Not on a Friday.")
    assert (rejected.status, rejected.reason) == (PromotionStatus.REJECTED, "Not on a Friday.")
    assert rejected.ended_at is not None
    assert await team.price() == 1
    for decide in (deciding.approve(admin, request.uuid), deciding.reject(admin, request.uuid, "Again.")):
        with pytest.raises(PromotionNotPending):
            await decide
    again = await team.ask(team.shop.actor, env)
    assert again.status is PENDING
    withdrawn = await deciding.reject(team.shop.actor, again.uuid, "I forgot something.")
    assert withdrawn.status is PromotionStatus.REJECTED


async def test_an_editor_takes_back_only_what_is_their_own(team: Team) -> None:
    await team.set(ONE)
    editor, other = await team.join(Role.EDITOR), await team.join(Role.EDITOR)
    request = await team.ask(editor, await team.edited(editor))
    with pytest.raises(Forbidden):
        await deciding.reject(other, request.uuid, "Not mine.")
    assert (await deciding.reject(editor, request.uuid, "Mine.")).status is PromotionStatus.REJECTED


async def test_one_request_of_an_environment_waits_at_a_time(team: Team) -> None:
    await team.set(ONE)
    env = await team.edited(team.shop.actor)
    request = await team.ask(team.shop.actor, env)
    with pytest.raises(PromotionPending) as refused:
        await team.ask(team.shop.actor, env)
    assert refused.value.fields["promotion_id"] == str(request.uuid)


async def test_a_chosen_part_that_is_gone_is_shown_as_changed(team: Team) -> None:
    await team.set(ONE)
    admin = await team.join(Role.ADMIN)
    env = await team.edited(team.shop.actor)
    paths = [DocumentPaths("page", "a", ["/price"])]
    request = await team.ask(team.shop.actor, env, PromoteOptions(paths=paths))
    await revert.revert(team.shop.actor, env)
    decision = await deciding.approve(admin, request.uuid)
    assert [(item.path, item.ours, item.result) for item in decision.changed] == [("/price", 1, 1)]
    assert decision.promotion.status is PENDING


async def test_checks_run_again_when_it_is_approved(team: Team) -> None:
    await team.set(ONE)
    admin = await team.join(Role.ADMIN)
    env = await team.edited(team.shop.actor)
    request = await team.ask(team.shop.actor, env)
    await team.shop.merge(None, {"price": 5})
    decision = await deciding.approve(admin, request.uuid)
    assert [item.path for item in decision.changed] == ["/price"]
    assert [item.path for item in decision.promotion.conflicts] == ["/price"]
    decision = await deciding.approve(admin, request.uuid)
    assert (decision.promotion.status, decision.promotion.checks.passed["conflicts_resolved"]) == (PENDING, False)
    assert await team.price() == 5
    await deciding.reject(admin, request.uuid, "Rebase first.")
    with pytest.raises(Exception, match="changed on both sides"):
        await rebasing.rebase(team.shop.actor, env)


async def _overdue(request: Promotion) -> None:
    await db.execute(
        "UPDATE promotion SET expires_at = now() - interval '1 second' WHERE project_id = $1 AND uuid = $2",
        request.project_id,
        request.uuid,
    )


async def _promised(request: Promotion) -> list[datetime]:
    rows = await db.fetch(
        "SELECT execute_after FROM pgqueuer WHERE entrypoint = 'expire_promotion' AND status = 'queued'"
        " AND convert_from(payload, 'UTF8')::jsonb ->> 'promotion_uuid' = $1",
        str(request.uuid),
    )
    return [row["execute_after"] for row in rows]


async def test_a_request_that_nobody_decides_on_expires_once(team: Team) -> None:
    await team.set(ONE)
    admin = await team.join(Role.ADMIN)
    env = await team.edited(team.shop.actor)
    request = await team.ask(team.shop.actor, env)
    assert await _promised(request) == [request.expires_at]
    await ending.expire_promotion(request.project_id, request.uuid)
    assert (await deciding.get(admin, request.uuid)).status is PENDING
    await _overdue(request)
    with pytest.raises(PromotionNotPending):
        await deciding.approve(admin, request.uuid)
    for _ in range(2):
        await ending.expire_promotion(request.project_id, request.uuid)
    ended = await deciding.get(admin, request.uuid)
    assert (ended.status, ended.reason) == (PromotionStatus.EXPIRED, ending.OVERDUE)
    found = await events.page(request.project_id, 0, 1_000)
    assert [event.actor for event in found if event.type == "promotion.expired"] == [None]
    assert (await team.ask(team.shop.actor, env)).status is PENDING


async def test_what_is_overdue_makes_room_for_another_request(team: Team) -> None:
    await team.set(ONE)
    env = await team.edited(team.shop.actor)
    request = await team.ask(team.shop.actor, env)
    await _overdue(request)
    await ending.find_overdue()
    assert len(await _promised(request)) == 2
    assert (await team.ask(team.shop.actor, env)).status is PENDING
    assert (await deciding.get(team.shop.actor, request.uuid)).status is PromotionStatus.EXPIRED


async def test_what_is_archived_waits_for_nobody(team: Team) -> None:
    await team.set(ONE)
    admin = await team.join(Role.ADMIN)
    env = await team.edited(team.shop.actor)
    request = await team.ask(team.shop.actor, env)
    await environments.archive(team.shop.actor, env)
    with pytest.raises(PromotionNotPending):
        await deciding.approve(admin, request.uuid)
    ended = await deciding.get(admin, request.uuid)
    assert (ended.status, ended.reason) == (PromotionStatus.EXPIRED, ending.ARCHIVED)
    assert (await environments.get(admin, env)).status is EnvStatus.ARCHIVED


async def test_a_request_that_waits_is_not_bound_to_who_asked(team: Team) -> None:
    """A key of another account that asked approves nothing either: the account counts, not the key."""
    await team.set(ONE)
    key = await key_of(team.shop.actor, team.shop)
    request = await team.ask(key, await team.edited(key))
    with pytest.raises(SelfApprovalForbidden):
        await deciding.approve(replace(team.shop.actor), request.uuid)


async def test_a_rollout_of_what_is_archived_is_aborted(team: Team) -> None:
    env = await team.edited(team.shop.actor)
    request = await team.ask(team.shop.actor, env, PromoteOptions(Strategy.CANARY))
    assert request.status is PromotionStatus.ROLLING_OUT
    await environments.archive(team.shop.actor, env)
    ended = await deciding.get(team.shop.actor, request.uuid)
    assert (ended.status, ended.reason) == (PromotionStatus.ABORTED, ending.ARCHIVED)
    (event,) = [event for event in await events.page(request.project_id, 0, 1_000) if event.type == "rollout.aborted"]
    assert (event.data["status"], event.data["traffic_weight"]) == ("archived", 0)
