"""Who is let in: every function of the services asks the one policy, and gives nothing away to others."""

import importlib
import inspect
import pkgutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

import app.services
from app.domain import policy
from app.domain.bucketing import Variant
from app.domain.egress import Allowed
from app.domain.errors import DomainError, Forbidden, NotFound, ProjectNotFound, TokenKindForbidden
from app.domain.evaluation import Context
from app.domain.guards import Side
from app.domain.ingestion import Told
from app.domain.members import Membership
from app.domain.model import Actor, Project, Role, Scope, Strategy
from app.domain.policy import POLICY, Operation
from app.domain.values import Value
from app.services import (
    access,
    api_keys,
    backups,
    canaries,
    checkpoints,
    declaring,
    documents,
    egress,
    environments,
    experiments,
    freezes,
    history,
    invitations,
    login,
    projects,
    promoting,
    releasing,
    rollouts,
    segments,
    tree,
    webhooks,
)
from app.services.branching import ForkOptions
from app.services.environments import EnvironmentUpdate
from app.services.experiments import Design
from app.services.members import MemberChange
from app.services.promoting import PromoteOptions
from app.services.webhooks import WebhookChange
from app.storage import db
from tests.conftest import MakeActor
from tests.services.shop import Shop

Function = Callable[..., Awaitable[object]]

INSIDE = set(
    "access branching cache calls carried carrying_out checking experiment_ends failures idempotency identity operation"
    " operator project_settings protecting publishing recording resolution roster swap"
    " defined_segments document_writing tokens writing".split()
)
"""Modules that services are made of; they are called by who was let in already, or by who asks to be let in."""

WITHOUT_PROJECT = {
    "invitations.accept": Operation.ACCEPT_INVITATION,
    "login.log_out": Operation.LOG_OUT,
    "projects.create": Operation.CREATE_PROJECT,
    "projects.list_projects": Operation.LIST_PROJECTS,
    "projects.memberships": Operation.LIST_PROJECTS,
}
CALLED_INSIDE = {
    "protected.read",
    "routing.env_for_reading",
    "checkpoints.snapshot_beside",
    "freezes.check",
    "freezes.record_passing",
    "stepping.finish",
    "canaries.approve_step",
    "experiments.find",
    "promoting.ask",
}

READS = (
    "kinds.list_kinds "
    "backups.list_backups checkpoints.list_checkpoints checkpoints.snapshot comparison.diff"
    " comparison.environment_diff document_bodies.read documents.list_documents documents.read environments.find"
    " freezes.list_freezes freezes.living"
    " environments.get environments.list_environments history.blame history.list_changes plan_limits.usage"
    " projects.get transfer.export_documents tree.generation tree.tree deciding.get deciding.list_promotions"
    " rollouts.get"
    " segments.list_segments segments.preview manifests.get"
    " experiments.get experiments.list_experiments experiments.metrics"
    " deciding.open_of deciding.timeline promoting.dry_run releasing.compare releasing.documents releasing.get"
    " releasing.list_releases"
).split()
OPERATIONS = dict.fromkeys(READS, Operation.READ) | {
    "active_environment.choose": Operation.CHOOSE_ENVIRONMENT,
    "active_environment.chosen": Operation.CHOOSE_ENVIRONMENT,
    "audit.first_broken": Operation.READ_AUDIT,
    "audit.list_entries": Operation.READ_AUDIT,
    "api_keys.create": Operation.MANAGE_KEYS,
    "api_keys.list_keys": Operation.MANAGE_KEYS,
    "api_keys.revoke": Operation.MANAGE_KEYS,
    "backups.backup": Operation.BACKUP,
    "backups.restore": Operation.RESTORE,
    "checkpoints.checkpoint": Operation.CHECKPOINT,
    "checkpoints.delete_checkpoint": Operation.CHECKPOINT,
    "checkpoints.pin": Operation.CHECKPOINT,
    "checkpoints.rollback": Operation.FORK,
    "documents.delete": Operation.WRITE,
    "documents.merge": Operation.WRITE,
    "documents.patch": Operation.WRITE,
    "documents.put": Operation.WRITE,
    "environments.archive": Operation.ARCHIVE,
    "environments.fork": Operation.FORK,
    "environments.update": Operation.UPDATE_ENVIRONMENT,
    "invitations.invite": Operation.MANAGE_MEMBERS,
    "invitations.list_invitations": Operation.MANAGE_MEMBERS,
    "invitations.pending": Operation.MANAGE_MEMBERS,
    "invitations.revoke": Operation.MANAGE_MEMBERS,
    "members.change": Operation.MANAGE_MEMBERS,
    "members.everyone": Operation.READ_MEMBERS,
    "members.list_members": Operation.READ_MEMBERS,
    "members.remove": Operation.MANAGE_MEMBERS,
    "freezes.freeze": Operation.MANAGE_FREEZES,
    "freezes.lift": Operation.MANAGE_FREEZES,
    "settings.get": Operation.READ,
    "settings.update": Operation.CHANGE_SETTINGS,
    "deciding.approve": Operation.PROMOTE,
    "deciding.reject": Operation.PROMOTE,
    "notifying.notify": Operation.VALIDATE,
    "routing.explicit": Operation.EVALUATE,
    "evaluation.every": Operation.EVALUATE,
    "evaluation.one": Operation.EVALUATE,
    "evaluation.snapshot": Operation.EVALUATE,
    "explaining.explain": Operation.READ,
    "routing.known": Operation.EVALUATE,
    "experiments.create": Operation.MANAGE_EXPERIMENTS,
    "experiments.stop": Operation.MANAGE_EXPERIMENTS,
    "experiments.variant": Operation.EVALUATE,
    "ingesting.record_exposures": Operation.EVALUATE,
    "ingesting.record_results": Operation.RECORD_RESULTS,
    "segments.create": Operation.WRITE,
    "segments.delete": Operation.WRITE,
    "segments.update": Operation.WRITE,
    "declaring.declare": Operation.PROMOTE,
    "canaries.abort": Operation.PROMOTE,
    "canaries.advance": Operation.PROMOTE,
    "canaries.report": Operation.REPORT_HEALTH,
    "promoting.promote": Operation.PROMOTE,
    "promoting.validate": Operation.VALIDATE,
    "rebasing.rebase": Operation.REBASE,
    "releasing.rollback_release": Operation.ROLLBACK_RELEASE,
    "projects.role": Operation.READ_ROLE,
    **{
        f"webhooks.{name}": Operation.MANAGE_WEBHOOKS
        for name in "create delete list_deliveries list_webhooks redeliver rotate_secret test update".split()
    },
    "protected.check": Operation.CHECK_PROTECTED,
    "revert.revert": Operation.WRITE,
    "transfer.import_documents": Operation.WRITE,
}
"""What each function asks the policy for."""


def _functions() -> dict[str, Function]:
    found: dict[str, Function] = {}
    for module_info in pkgutil.iter_modules(app.services.__path__):
        if module_info.name in INSIDE:
            continue
        module = importlib.import_module(f"app.services.{module_info.name}")
        for name, function in vars(module).items():
            is_own = inspect.isfunction(function) and function.__module__ == module.__name__
            if is_own and not name.startswith("_") and "actor" in inspect.signature(function).parameters:
                found[f"{module_info.name}.{name}"] = function
    return found


FUNCTIONS = {
    name: function for name, function in _functions().items() if name not in CALLED_INSIDE | set(WITHOUT_PROJECT)
}


async def _nothing() -> AsyncIterator[bytes]:
    if False:
        yield b""


@dataclass(frozen=True)
class Place:
    """A project with one of everything, as arguments by the name of the parameter."""

    project_id: int
    env_uuid: UUID
    checkpoint_uuid: UUID
    pinned_uuid: UUID
    backup_uuid: UUID
    key_uuid: UUID
    freeze_uuid: UUID
    account_uuid: UUID
    invitation_uuid: UUID
    promotion_uuid: UUID
    rolling_uuid: UUID
    release_uuid: UUID
    webhook_uuid: UUID
    delivery_uuid: UUID
    test_uuid: UUID
    tried_uuid: UUID
    segment_uuid: UUID
    manifest_uuid: UUID

    def arguments(self, function: Function, project_id: int | None) -> dict[str, object]:
        """Return what ``function`` needs; a parameter that is not known here fails."""
        known: dict[str, object] = {
            "env": None,
            "kind": "page",
            "key": "a",
            "path": ("keys",),
            "value": {},
            "patch": {},
            "operations": [],
            "chunks": _nothing(),
            "name": "name",
            "label": None,
            "scopes": [Scope.READ],
            "reference": None,
            "options": self._options(function),
            "promotion_uuid": self.promotion_uuid,
            "side": Side.ENVIRONMENT,
            "requests": 100,
            "errors": 1,
            "release_uuid": self.release_uuid,
            "wanted": self._wanted(function),
            "email": f"{uuid4()}@example.com",
            "role": Role.VIEWER,
            "account_uuid": self.account_uuid,
            "invitation_uuid": self.invitation_uuid,
            "changes": {"canary_auto_route": True},
            **self._sides(function),
            "uuid": self.checkpoint_uuid,
            "env_uuid": self.env_uuid,
            "checkpoint_uuid": self.checkpoint_uuid,
            "pinned_uuid": self.pinned_uuid,
            "backup_uuid": self.backup_uuid,
            "key_uuid": self.key_uuid,
            "freeze_uuid": self.freeze_uuid,
            "reason": "reason",
            "rules": [],
            "segment_id": self.segment_uuid,
            "manifest_uuid": self.manifest_uuid,
            "test_uuid": self.test_uuid,
            "design": Design(self.env_uuid, self.tried_uuid),
            "user": "ada",
            "items": [Told("ada")],
            "winner": Variant.B,
            "webhook_uuid": self.webhook_uuid,
            "delivery_uuid": self.delivery_uuid,
            "url": "http://127.0.0.1:9/",
            "context": Context("ada"),
        }
        if function.__module__ in (canaries.__name__, rollouts.__name__):
            known["env_uuid"] = self.rolling_uuid
        needed = {name: known[name] for name, default in self._parameters(function).items() if not default}
        if function is segments.preview:
            needed["rules"] = known["rules"]
        return needed | ({} if project_id is None else {"project_id": project_id})

    def _wanted(self, function: Function) -> object:
        parameters = self._parameters(function)
        if "account_uuid" in parameters:
            return MemberChange(role=Role.VIEWER)
        if "webhook_uuid" in parameters:
            return WebhookChange(description="other")
        return EnvironmentUpdate(shadow_writes=True) if "env_uuid" in parameters else None

    def _sides(self, function: Function) -> dict[str, object]:
        if function is releasing.compare:
            return {"a": self.release_uuid, "b": self.release_uuid}
        return {"a": self.env_uuid, "b": self.checkpoint_uuid}

    @staticmethod
    def _options(function: Function) -> object:
        if function.__module__ in (promoting.__name__, declaring.__name__):
            return PromoteOptions()
        return ForkOptions(f"fork-{uuid4()}")

    @staticmethod
    def _parameters(function: Function) -> dict[str, bool]:
        parameters = inspect.signature(function).parameters.values()
        return {
            parameter.name: parameter.default is not parameter.empty
            for parameter in parameters
            if parameter.name not in ("actor", "project_id")
        }

    def without(self, uuid: UUID) -> "Place":
        """Return the place with ``uuid`` wherever a UUID stands."""
        uuids: dict[str, Any] = {field.name: uuid for field in fields(self) if field.name.endswith("_uuid")}
        return replace(self, **uuids)


def _needs_project(function: Function) -> bool:
    parameter = inspect.signature(function).parameters["project_id"]
    return parameter.default is parameter.empty


@pytest.fixture
async def place(shop: Shop, make_actor: MakeActor, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(egress, "allowed", Allowed.parse("127.0.0.1"))
    hook = (await webhooks.create(shop.actor, shop.project_id, "http://127.0.0.1:9/")).webhook.uuid
    await shop.merge(None, {"config": {"protected_fields": ["keys"]}}, "project", "project")
    env = await shop.fork("env")
    member = await make_actor()
    await _join(member, shop.project_id, Role.EDITOR)
    invited = await invitations.invite(shop.actor, shop.project_id, f"{uuid4()}@example.com", Role.VIEWER)
    released = await promoting.promote(shop.actor, await shop.fork("released"), PromoteOptions())
    waiting = PromoteOptions(Strategy.BLUE_GREEN)
    promotion = await promoting.promote(shop.actor, await shop.fork("waiting"), waiting)
    return Place(
        shop.project_id,
        env,
        (await shop.checkpoint(shop.production)).uuid,
        (await checkpoints.pin(shop.actor, env)).uuid,
        (await backups.backup(shop.actor, shop.project_id)).uuid,
        (await api_keys.create(shop.actor, shop.project_id, "key", [Scope.READ])).key.uuid,
        (await freezes.freeze(shop.actor, shop.project_id, "Holidays", starts_at=_tomorrow())).uuid,
        member.account_uuid,
        invited.invitation.uuid,
        promotion.uuid,
        await _rolling(member, shop.project_id),
        released.release_uuid or released.uuid,
        hook,
        (await webhooks.test(shop.actor, shop.project_id, hook)).uuid,
        *await _test(shop),
        (await segments.create(shop.actor, shop.project_id, None, "Everybody", [])).segment.segment_id,
        (await shop.forked("listed")).manifest_uuid,
    )


async def _test(shop: Shop) -> tuple[UUID, UUID]:
    """Return a test with a user, and its side B."""
    tried = await shop.fork("tried")
    made = await experiments.create(shop.actor, Design(shop.production, tried))
    await experiments.variant(shop.actor, made.uuid, "ada")
    return made.uuid, tried


def _tomorrow() -> datetime:
    return datetime.now(UTC) + timedelta(days=1)


async def _rolling(member: Actor, project_id: int) -> UUID:
    """Return an environment whose rollout somebody else may approve and report of."""
    rolling = await environments.fork(member, project_id, ForkOptions("rolling"))
    steps: list[Value] = [{"weight": 10, "approval": True}, {"weight": 50}, {"weight": 100}]
    options = PromoteOptions(Strategy.CANARY, rollout_steps=steps)
    await promoting.promote(member, rolling.environment.uuid, options)
    return rolling.environment.uuid


def _key(actor: Actor, project_id: int, *scopes: Scope) -> Actor:
    return replace(actor, name="key", key_uuid=uuid4(), project_id=project_id, scopes=frozenset(scopes))


def test_each_operation_has_a_rule_and_each_function_an_operation() -> None:
    assert set(POLICY) == set(Operation)
    assert set(FUNCTIONS) == set(OPERATIONS)


async def _refused(name: str, calling: Awaitable[object], *kinds: type[DomainError]) -> DomainError:
    try:
        await calling
    except kinds as error:
        return error
    except BaseException as error:
        error.add_note(name)
        raise
    pytest.fail(f"{name} refused nothing")


async def test_each_function_asks_the_policy_first(shop: Shop, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    class Asked(DomainError):
        kind = Forbidden.kind

    def ask(actor: Actor, membership: Membership | None, operation: Operation, env_uuid: UUID | None = None) -> None:
        raise Asked(operation)

    monkeypatch.setattr(policy, "check", ask)
    for name, function in FUNCTIONS.items():
        calling = function(shop.actor, **place.arguments(function, place.project_id))
        assert (await _refused(name, calling, Asked)).message == OPERATIONS[name], name
    beside: dict[str, Awaitable[object]] = {
        "invitations.accept": invitations.accept(shop.actor, "token"),
        "login.log_out": login.log_out(shop.actor, None),
        "projects.create": projects.create(shop.actor, "Other"),
        "projects.list_projects": projects.list_projects(shop.actor),
        "projects.memberships": projects.memberships(shop.actor),
    }
    for name, calling in beside.items():
        assert (await _refused(name, calling, Asked)).message == WITHOUT_PROJECT[name], name


async def test_who_is_not_a_member_finds_no_project(place: Place, make_actor: MakeActor) -> None:
    stranger = await make_actor()
    for name, function in FUNCTIONS.items():
        for project_id in (place.project_id, 2**31 - 1):
            await _refused(name, function(stranger, **place.arguments(function, project_id)), ProjectNotFound)
        if not _needs_project(function):
            known = await _refused(name, function(stranger, **place.arguments(function, None)), NotFound)
            nowhere = place.without(uuid4()).arguments(function, None)
            assert type(known) is type(await _refused(name, function(stranger, **nowhere), NotFound))


async def test_a_key_of_another_project_is_refused(actor: Actor, place: Place) -> None:
    other = await projects.create(actor, "Other")
    key = _key(actor, other.id, *Scope)
    for name, function in FUNCTIONS.items():
        await _refused(name, function(key, **place.arguments(function, place.project_id)), Forbidden)
        if not _needs_project(function):
            await _refused(name, function(key, **place.arguments(function, None)), NotFound)


async def test_what_is_in_another_project_is_as_unknown_as_what_is_nowhere(actor: Actor, place: Place) -> None:
    own = await projects.create(actor, "Own")
    for name, function in FUNCTIONS.items():
        parameters = inspect.signature(function).parameters
        uuids = [parameter for parameter in parameters if "uuid" in parameter or parameter in ("a", "b")]
        if not uuids:
            continue
        kinds: list[type[DomainError]] = []
        for foreign in (place, place.without(uuid4())):
            arguments = foreign.arguments(function, own.id)
            if "root_uuid" in parameters or "env_uuid" in parameters:
                arguments["root_uuid" if "root_uuid" in parameters else "env_uuid"] = foreign.env_uuid
            kinds.append(type(await _refused(name, function(actor, **arguments), NotFound)))
        assert kinds[0] is kinds[1]


@pytest.mark.parametrize("role", Role)
async def test_roles_are_refused_what_is_not_theirs(role: Role, place: Place, make_actor: MakeActor) -> None:
    member = await make_actor()
    await _join(member, place.project_id, role)
    assert await projects.role(member, place.project_id) is role
    for name, operation in OPERATIONS.items():
        if role not in (POLICY[operation].roles or Role):
            function = FUNCTIONS[name]
            await _refused(name, function(member, **place.arguments(function, place.project_id)), Forbidden)


async def test_keys_are_refused_without_the_scope(actor: Actor, place: Place) -> None:
    for name, operation in OPERATIONS.items():
        rule, function = POLICY[operation], FUNCTIONS[name]
        if rule.any_key:
            continue
        scopes = set(Scope) - {rule.scope}
        calling = function(_key(actor, place.project_id, *scopes), **place.arguments(function, place.project_id))
        await _refused(name, calling, Forbidden if rule.scope else TokenKindForbidden)


@pytest.mark.parametrize("operation", Operation)
def test_a_rule_lets_in_its_roles_and_scope(operation: Operation, actor: Actor) -> None:
    rule = POLICY[operation]
    for role in rule.roles or ():
        policy.check(actor, Membership(role), operation)
    if rule.roles is None:
        policy.check(actor, None, operation)
    else:
        assert Role.OWNER in rule.roles
    if rule.scope:
        policy.check(_key(actor, 1, rule.scope), None, operation)


@pytest.mark.parametrize(
    "name",
    [name for name, operation in OPERATIONS.items() if operation is not Operation.READ],
)
async def test_whoever_may_can(name: str, shop: Shop, place: Place) -> None:
    function = FUNCTIONS[name]
    await function(shop.actor, **place.arguments(function, place.project_id))


async def test_readers_can_read(shop: Shop, place: Place, make_actor: MakeActor) -> None:
    viewer = await make_actor()
    await _join(viewer, place.project_id, Role.VIEWER)
    for reader in (viewer, _key(shop.actor, place.project_id, Scope.READ)):
        for name in READS:
            function = FUNCTIONS[name]
            await function(reader, **place.arguments(function, place.project_id))


async def _join(member: Actor, project_id: int, role: Role) -> None:
    await db.execute(
        "INSERT INTO member (project_id, account_uuid, role) VALUES ($1, $2, $3)",
        project_id,
        member.account_uuid,
        role.value,
    )


async def test_a_refused_write_changes_nothing(shop: Shop, make_actor: MakeActor) -> None:
    viewer = await make_actor()
    await _join(viewer, shop.project_id, Role.VIEWER)
    before = await shop.dump(None)
    changes = await history.list_changes(shop.actor, shop.project_id)
    nodes = await tree.tree(shop.actor, shop.project_id)
    with pytest.raises(Forbidden):
        await documents.put(viewer, shop.project_id, None, "page", "new", {})
    with pytest.raises(Forbidden):
        await environments.fork(viewer, shop.project_id, ForkOptions("env"))
    assert await shop.dump(None) == before
    assert await history.list_changes(shop.actor, shop.project_id) == changes
    assert await tree.tree(shop.actor, shop.project_id) == nodes
    assert [item.id for item in (await projects.list_projects(viewer)).items] == [shop.project_id]


async def test_a_new_membership_counts_at_once_and_an_old_one_no_longer_than_a_second(
    project: Project, make_actor: MakeActor, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = await make_actor()
    with pytest.raises(ProjectNotFound):
        await projects.get(member, project.id)
    await _join(member, project.id, Role.VIEWER)
    assert await projects.get(member, project.id) == project
    await db.execute("DELETE FROM member WHERE account_uuid = $1", member.account_uuid)
    monkeypatch.setattr(access, "TRUSTED_SECONDS", 0.0)
    with pytest.raises(ProjectNotFound):
        await projects.get(member, project.id)


async def test_what_a_new_member_names_by_uuid_alone_is_found_at_once(
    place: Place, make_actor: MakeActor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "TRUSTED_SECONDS", 3600.0)
    for name, function in FUNCTIONS.items():
        if OPERATIONS[name] is Operation.READ and not _needs_project(function):
            member = await make_actor()
            assert (await projects.list_projects(member)).items == []
            await _join(member, place.project_id, Role.VIEWER)
            await function(member, **place.arguments(function, None))
