"""A project in which every operation of both doors has something to do, and one request for each of them."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx

from app.domain.audit import Action
from app.domain.model import Actor, Project, Role, Scope, Strategy
from app.domain.promotion import DocumentResolution, PromotionStatus
from app.domain.three_way import Side
from app.domain.values import MISSING, Value
from app.services import (
    api_keys,
    backups,
    checkpoints,
    documents,
    environments,
    experiments,
    freezes,
    invitations,
    projects,
    promoting,
    segments,
    webhooks,
)
from app.services.branching import ForkOptions
from app.services.promoting import PromoteOptions
from app.storage import accounts, members

Input = dict[str, Any]
PROTECTED: dict[str, Value] = {"config": {"protected_fields": ["keys.*.payment_secret"]}}

HOOK = "http://127.0.0.1:9/hook"
"""An address that the tests' own process lists, and no server does: nothing is ever sent there."""


@dataclass
class World:
    """The things that the requests name, and a client with the owner's token."""

    client: httpx.AsyncClient
    actor: Actor
    project: Project
    env: UUID
    checkpoint: UUID
    backup: UUID
    pin: UUID
    key: UUID
    freeze: UUID
    member: UUID
    invitation: UUID
    token: str
    waiting: UUID
    promotion: UUID
    release: UUID
    test: UUID
    segment: UUID
    manifest: UUID
    webhook: UUID
    delivery: UUID

    @classmethod
    async def made(cls, client: httpx.AsyncClient, actor: Actor, project: Project) -> "World":
        """Make the project's environment, with an override; a checkpoint, a backup, a key, a member, invitations."""
        await documents.put(actor, project.id, None, "page", "a", {"n": 0})
        await documents.merge(actor, project.id, None, "project", "project", {"flag": True})
        segment = await segments.create(actor, project.id, None, "Everybody", [])
        fork = await environments.fork(actor, project.id, ForkOptions("env"))
        await documents.put(actor, project.id, "env", "page", "a", {"n": 1})
        await documents.merge(actor, project.id, "env", "project", "project", PROTECTED)
        backup = await backups.backup(actor, project.id)
        taken = await checkpoints.checkpoint(actor, project.production_uuid, "before")
        await documents.put(actor, project.id, None, "page", "a", {"n": 2})
        pin = await checkpoints.pin(actor, fork.environment.uuid)
        waiting, promotion, release = await _promoted(actor, project)
        made = await api_keys.create(actor, project.id, "key", [Scope.READ])
        return cls(
            client,
            actor,
            project,
            fork.environment.uuid,
            taken.uuid,
            backup.uuid,
            pin.uuid,
            made.key.uuid,
            (await freezes.freeze(actor, project.id, "Holidays", starts_at=datetime.now(UTC) + timedelta(days=9))).uuid,
            await _member(project),
            (await invitations.invite(actor, project.id, f"{uuid4()}@example.com", Role.VIEWER)).invitation.uuid,
            await _token_for(actor),
            waiting,
            promotion,
            release,
            await _test(actor, project),
            segment.segment.segment_id,
            fork.manifest_uuid,
            *await _webhook(actor, project),
        )


async def _promoted(actor: Actor, project: Project) -> tuple[UUID, UUID, UUID]:
    """Return an environment with a pending promotion, that promotion, and a release."""
    released = await environments.fork(actor, project.id, ForkOptions("released"))
    done = await promoting.promote(actor, released.environment.uuid, PromoteOptions())
    waiting = await environments.fork(actor, project.id, ForkOptions("waiting"))
    asked = await promoting.promote(actor, waiting.environment.uuid, PromoteOptions(Strategy.BLUE_GREEN))
    assert done.release_uuid is not None
    return waiting.environment.uuid, asked.uuid, done.release_uuid


USER = "ada"
"""Whoever has seen a variant of the world's A/B test."""


async def _test(actor: Actor, project: Project) -> UUID:
    """Return a test between production and an environment of its own."""
    tried = await environments.fork(actor, project.id, ForkOptions("tried"))
    made = await experiments.create(actor, experiments.Design(project.production_uuid, tried.environment.uuid))
    await experiments.variant(actor, made.uuid, USER)
    return made.uuid


async def _member(project: Project) -> UUID:
    account = await accounts.add_account(f"{uuid4()}@example.com", "none")
    await members.add(project.id, account.uuid, Role.EDITOR, None)
    return account.uuid


async def _token_for(actor: Actor) -> str:
    account = await accounts.add_account(f"{uuid4()}@example.com", "none")
    inviting = Actor(account.uuid, account.name)
    project = await projects.create(inviting, "Theirs")
    invited = await invitations.invite(inviting, project.id, actor.name, Role.EDITOR)
    assert invited.token is not None
    return invited.token


Prepare = Callable[[World], Awaitable[None]]
"""Brings the world to where an operation has something to do, if it is not there from the beginning."""


async def _roll_out(world: World) -> None:
    options = PromoteOptions(Strategy.CANARY, resolutions=[DocumentResolution("page", "a", "/n", Side.THEIRS, MISSING)])
    made = await promoting.promote(world.actor, world.env, options)
    assert made.status is PromotionStatus.ROLLING_OUT


async def _webhook(actor: Actor, project: Project) -> tuple[UUID, UUID]:
    """Make a webhook with a message on its way; no worker is there to send it."""
    made = await webhooks.create(actor, project.id, HOOK)
    return made.webhook.uuid, (await webhooks.test(actor, project.id, made.webhook.uuid)).uuid


@dataclass(frozen=True)
class Rest:
    """A request of the REST door: what its route is called, and what it says."""

    method: str
    route: str
    action: Action
    body: Callable[[World], Any] = lambda _: None
    query: Callable[[World], Mapping[str, Any]] = lambda _: {}
    prepare: Prepare | None = None

    @property
    def name(self) -> str:
        return f"{self.method} {self.route}"

    def address(self, world: World) -> str:
        """Return the path."""
        return self.route.format(
            project_id=world.project.id,
            kind="page",
            key="a",
            key_uuid=world.key,
            account_uuid=world.member,
            invitation_uuid=world.invitation,
            promotion_id=world.promotion,
            release_id=world.release,
            test_id=world.test,
            segment_id=world.segment,
            webhook_uuid=world.webhook,
            delivery_uuid=world.delivery,
        )

    async def send(self, world: World, key: str | None = None, body: Any = None, **headers: str) -> httpx.Response:
        """Send it, under an idempotency key if one is given."""
        content = self.body(world) if body is None else body
        lines = self.action is Action.IMPORT_DOCUMENTS
        headers["Content-Type"] = "application/x-ndjson" if lines else "application/json"
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        if key is not None:
            headers["Idempotency-Key"] = key
        return await world.client.request(
            self.method, self.address(world), content=content, params=dict(self.query(world)), headers=headers
        )


PROJECT = "/api/projects/{project_id}"
WEBHOOKS = f"{PROJECT}/webhooks"
ENTITY = f"{PROJECT}/entities/{{kind}}/{{key}}"

THEIRS = {"kind": "page", "key": "a", "path": "/n", "take": "theirs"}

REST = [
    Rest("POST", "/api/projects", Action.CREATE_PROJECT, lambda _: {"name": "Other"}),
    Rest("POST", f"{PROJECT}/api-keys", Action.CREATE_API_KEY, lambda _: {"name": "k", "scopes": ["read", "write"]}),
    Rest("DELETE", f"{PROJECT}/api-keys/{{key_uuid}}", Action.REVOKE_API_KEY),
    Rest("PUT", f"{PROJECT}/data", Action.WRITE_DOCUMENT, lambda _: {**PROTECTED, "n": 3}),
    Rest("PATCH", f"{PROJECT}/data", Action.WRITE_DOCUMENT, lambda _: {"n": 4}),
    Rest("PUT", ENTITY, Action.WRITE_DOCUMENT, lambda _: {"n": 5}),
    Rest("PATCH", ENTITY, Action.WRITE_DOCUMENT, lambda _: {"n": 6}),
    Rest("DELETE", ENTITY, Action.DELETE_DOCUMENT),
    Rest("POST", f"{PROJECT}/import", Action.IMPORT_DOCUMENTS, lambda _: b'{"kind": "page", "key": "b", "data": {}}\n'),
    Rest(
        "POST",
        "/api/sandbox/fork",
        Action.FORK_ENVIRONMENT,
        lambda world: {"source_project_id": world.project.id, "env_name": "second"},
    ),
    Rest(
        "PATCH",
        "/api/sandbox/environment",
        Action.UPDATE_ENVIRONMENT,
        lambda world: {"env_uuid": str(world.env), "name": "renamed"},
    ),
    Rest(
        "DELETE",
        "/api/sandbox/environment",
        Action.ARCHIVE_ENVIRONMENT,
        query=lambda world: {"env_uuid": str(world.env)},
    ),
    Rest(
        "POST",
        "/api/sandbox/checkpoint",
        Action.CHECKPOINT,
        lambda world: {"env_uuid": str(world.env), "label": "now"},
    ),
    Rest(
        "DELETE",
        "/api/sandbox/checkpoint",
        Action.DELETE_CHECKPOINT,
        query=lambda world: {"checkpoint_uuid": str(world.checkpoint)},
    ),
    Rest(
        "POST",
        "/api/sandbox/rollback",
        Action.ROLLBACK_TO_CHECKPOINT,
        lambda world: {"checkpoint_uuid": str(world.checkpoint)},
    ),
    Rest("POST", "/api/sandbox/pin", Action.PIN_ENVIRONMENT, lambda world: {"env_uuid": str(world.env)}),
    Rest("POST", "/api/sandbox/revert", Action.REVERT_CHANGES, lambda world: {"env_uuid": str(world.env)}),
    Rest("POST", "/api/sandbox/backup", Action.BACKUP_PRODUCTION, lambda world: {"project_id": world.project.id}),
    Rest(
        "POST",
        "/api/sandbox/restore",
        Action.RESTORE_PRODUCTION,
        lambda world: {"project_id": world.project.id, "backup_uuid": str(world.backup)},
    ),
    Rest(
        "POST",
        f"{PROJECT}/invitations",
        Action.INVITE_MEMBER,
        lambda _: {"email": "somebody@example.com", "role": "editor", "environments": ["env"]},
    ),
    Rest(
        "POST",
        f"{PROJECT}/members",
        Action.INVITE_MEMBER,
        lambda _: {"email": "somebody@example.com", "role": "editor", "environments": ["env"]},
    ),
    Rest("DELETE", f"{PROJECT}/invitations/{{invitation_uuid}}", Action.REVOKE_INVITATION),
    Rest("POST", "/api/invitations/accept", Action.ACCEPT_INVITATION, lambda world: {"token": world.token}),
    Rest("PATCH", f"{PROJECT}/members/{{account_uuid}}", Action.CHANGE_MEMBER, lambda _: {"role": "admin"}),
    Rest("DELETE", f"{PROJECT}/members/{{account_uuid}}", Action.REMOVE_MEMBER),
    Rest(
        "PUT",
        "/api/sandbox/active-env",
        Action.SET_ACTIVE_ENVIRONMENT,
        lambda world: {"project_id": world.project.id, "active_env": "env"},
    ),
    Rest(
        "POST",
        "/api/sandbox/protected-check",
        Action.CHECK_PROTECTED_FIELD,
        lambda world: {"env_uuid": str(world.env), "field_path": "keys.api.payment_secret", "value": "sk_test_my_key"},
    ),
    Rest(
        "POST",
        "/api/sandbox/segment",
        Action.CREATE_SEGMENT,
        lambda world: {"project_id": world.project.id, "name": "New", "rules": []},
    ),
    Rest(
        "PUT",
        "/api/sandbox/segment/{segment_id}",
        Action.UPDATE_SEGMENT,
        lambda world: {"project_id": world.project.id, "name": "Other", "rules": []},
    ),
    Rest(
        "DELETE",
        "/api/sandbox/segment/{segment_id}",
        Action.DELETE_SEGMENT,
        query=lambda world: {"project_id": world.project.id},
    ),
    Rest(
        "POST",
        "/api/sandbox/freeze",
        Action.FREEZE,
        lambda world: {"project_id": world.project.id, "reason": "Year's end"},
    ),
    Rest(
        "DELETE",
        "/api/sandbox/freeze",
        Action.LIFT_FREEZE,
        query=lambda world: {"freeze_uuid": str(world.freeze)},
    ),
    Rest(
        "PATCH",
        "/api/generations/{project_id}/settings",
        Action.UPDATE_SETTINGS,
        lambda _: {"direct_prod_roles": ["owner"]},
    ),
    Rest(
        "POST",
        "/api/sandbox/promote",
        Action.PROMOTE,
        lambda world: {"env_uuid": str(world.env), "resolutions": [THEIRS]},
    ),
    Rest(
        "POST",
        "/api/sandbox/approve",
        Action.APPROVE_PROMOTION,
        lambda world: {"env_uuid": str(world.waiting)},
    ),
    Rest("POST", "/api/sandbox/promote/{promotion_id}/approve", Action.APPROVE_PROMOTION, lambda _: {}),
    Rest(
        "POST",
        "/api/generations/{project_id}/approve",
        Action.APPROVE_PROMOTION,
        lambda world: {"env_uuid": str(world.waiting)},
    ),
    Rest(
        "POST",
        "/api/generations/{project_id}/gates/run",
        Action.VALIDATE_ENVIRONMENT,
        lambda world: {"env_uuid": str(world.env)},
    ),
    Rest(
        "POST",
        "/api/generations/{project_id}/notify",
        Action.NOTIFY,
        lambda world: {"env_uuid": str(world.env), "message": "Look"},
    ),
    Rest("POST", "/api/sandbox/validate", Action.VALIDATE_ENVIRONMENT, lambda world: {"env_uuid": str(world.env)}),
    Rest(
        "POST",
        "/api/sandbox/rebase",
        Action.REBASE_ENVIRONMENT,
        lambda world: {"env_uuid": str(world.env), "resolutions": [THEIRS]},
    ),
    Rest("POST", "/api/sandbox/releases/{release_id}/rollback", Action.ROLLBACK_RELEASE, lambda _: {}),
    *(
        Rest("POST", f"/api/sandbox/{name}/{verb}", action, body, prepare=_roll_out)
        for name in ("canary", "rollout")
        for verb, action, body in (
            ("advance", Action.ADVANCE_CANARY, lambda world: {"env_uuid": str(world.env)}),
            ("abort", Action.ABORT_CANARY, lambda world: {"env_uuid": str(world.env), "reason": "Slow"}),
            (
                "report",
                Action.REPORT_CANARY_HEALTH,
                lambda world: {"env_uuid": str(world.env), "side": "environment", "requests": 100_000, "errors": 0},
            ),
        )
    ),
]
REST += [
    Rest("POST", WEBHOOKS, Action.CREATE_WEBHOOK, lambda _: {"url": HOOK, "events": ["rollout.*"]}),
    Rest("PATCH", f"{WEBHOOKS}/{{webhook_uuid}}", Action.UPDATE_WEBHOOK, lambda _: {"enabled": False}),
    Rest("DELETE", f"{WEBHOOKS}/{{webhook_uuid}}", Action.DELETE_WEBHOOK),
    Rest("POST", f"{WEBHOOKS}/{{webhook_uuid}}/rotate-secret", Action.ROTATE_WEBHOOK_SECRET),
    Rest("POST", f"{WEBHOOKS}/{{webhook_uuid}}/test", Action.TEST_WEBHOOK),
    Rest("POST", f"{WEBHOOKS}/{{webhook_uuid}}/deliveries/{{delivery_uuid}}/redeliver", Action.REDELIVER_WEBHOOK),
]
AB_TEST = "/api/sandbox/ab-test/{test_id}"
REST += [
    Rest(
        "POST",
        "/api/sandbox/ab-test",
        Action.CREATE_EXPERIMENT,
        lambda world: {"env_a_uuid": str(world.project.production_uuid), "env_b_uuid": str(world.env)},
    ),
    Rest("POST", f"{AB_TEST}/exposure", Action.RECORD_EXPOSURES, lambda _: {"user_uuid": "grace"}),
    Rest("POST", f"{AB_TEST}/result", Action.RECORD_RESULTS, lambda _: {"user_uuid": USER, "outcome": "converted"}),
    Rest("POST", f"{AB_TEST}/stop", Action.STOP_EXPERIMENT, lambda _: {"reason": "Enough"}),
    Rest("POST", f"{AB_TEST}/promote", Action.DECLARE_WINNER, lambda _: {"winner": "B"}),
]
# Without a token there is nobody whose key it could be, and none outlives the token that it came with.
SESSIONS = {"register", "logIn", "refreshSession", "logOut"}
UNKEYED = {f"POST /api/auth/{name}" for name in ("register", "login", "refresh", "logout")}


@dataclass(frozen=True)
class Mutation:
    """A mutation: its input, and what its payload is asked for."""

    name: str
    action: Action
    input: Callable[[World], Input]
    selection: str = "__typename"
    prepare: Prepare | None = None

    @property
    def query(self) -> str:
        kind = self.name[0].upper() + self.name[1:]
        payload = "ForkEnvironment" if kind == "RollbackToCheckpoint" else kind
        return (
            f"mutation ($input: {kind}Input!) {{ {self.name}(input: $input) {{ __typename"
            f" ... on {payload}Payload {{ {self.selection} }} ... on Refusal {{ code message }} }} }}"
        )

    async def send(self, world: World, key: str | None = None, **changed: Any) -> httpx.Response:
        """Send it, under an idempotency key if one is given."""
        wanted = {**self.input(world), **changed} | ({} if key is None else {"idempotencyKey": key})
        return await world.client.post("/graphql", json={"query": self.query, "variables": {"input": wanted}})


def _project(world: World) -> Input:
    return {"projectId": world.project.id}


def _webhook_input(world: World) -> Input:
    return {**_project(world), "webhookUuid": str(world.webhook)}


def _env(world: World) -> Input:
    return {"envUuid": str(world.env)}


def _page(world: World) -> Input:
    return {**_project(world), "kind": "page", "key": "a"}


SETTLED = [{"kind": "page", "key": "a", "path": "/n", "choice": {"take": "THEIRS"}}]

MUTATIONS = [
    Mutation(
        "promote",
        Action.PROMOTE,
        lambda world: {**_env(world), "resolutions": SETTLED},
        "promotion { uuid status release { number entities } }",
    ),
    Mutation(
        "approvePromotion",
        Action.APPROVE_PROMOTION,
        lambda world: {"promotionUuid": str(world.promotion)},
        "promotion { status } changed { path }",
    ),
    Mutation(
        "rejectPromotion",
        Action.REJECT_PROMOTION,
        lambda world: {"promotionUuid": str(world.promotion), "reason": "Not now"},
        "promotion { status reason }",
    ),
    Mutation("notifyEnvironment", Action.NOTIFY, lambda world: {**_env(world), "message": "Look"}),
    Mutation(
        "importDocuments",
        Action.IMPORT_DOCUMENTS,
        lambda world: {"projectId": world.project.id, "documents": [{"kind": "page", "key": "b", "data": {}}]},
        "created changed unchanged",
    ),
    Mutation("validateEnvironment", Action.VALIDATE_ENVIRONMENT, _env, "environment { status } checks { passed }"),
    Mutation(
        "rebaseEnvironment",
        Action.REBASE_ENVIRONMENT,
        lambda world: {**_env(world), "resolutions": SETTLED},
        "generation { number } resolved { path }",
    ),
    Mutation(
        "rollbackRelease",
        Action.ROLLBACK_RELEASE,
        lambda world: {"releaseUuid": str(world.release)},
        "release { number undoes { number } }",
    ),
    Mutation(
        "createSegment",
        Action.CREATE_SEGMENT,
        lambda world: {**_project(world), "name": "New", "rules": []},
        "segment { segmentId name } version",
    ),
    Mutation(
        "updateSegment",
        Action.UPDATE_SEGMENT,
        lambda world: {**_project(world), "segmentId": str(world.segment), "name": "Other"},
        "segment { name } version",
    ),
    Mutation(
        "deleteSegment",
        Action.DELETE_SEGMENT,
        lambda world: {**_project(world), "segmentId": str(world.segment)},
        "segment { name } version",
    ),
    Mutation(
        "freeze", Action.FREEZE, lambda world: {**_project(world), "reason": "Year's end"}, "freeze { uuid reason }"
    ),
    Mutation(
        "liftFreeze",
        Action.LIFT_FREEZE,
        lambda world: {"freezeUuid": str(world.freeze)},
        "freeze { uuid liftedBy }",
    ),
    Mutation(
        "updateSettings",
        Action.UPDATE_SETTINGS,
        lambda world: {**_project(world), "canaryErrorRateThreshold": 0.02},
        "settings { canaryErrorRateThreshold }",
    ),
    Mutation("createProject", Action.CREATE_PROJECT, lambda _: {"name": "Other"}, "project { id name }"),
    Mutation(
        "createApiKey",
        Action.CREATE_API_KEY,
        lambda world: {**_project(world), "name": "k", "scopes": ["READ"]},
        "apiKey { uuid prefix }",
    ),
    Mutation(
        "revokeApiKey",
        Action.REVOKE_API_KEY,
        lambda world: {**_project(world), "keyUuid": str(world.key)},
        "apiKey { uuid revokedAt }",
    ),
    Mutation(
        "inviteMember",
        Action.INVITE_MEMBER,
        lambda world: {**_project(world), "email": "somebody@example.com", "role": "EDITOR"},
        "invitation { uuid email role environments { name } }",
    ),
    Mutation(
        "revokeInvitation",
        Action.REVOKE_INVITATION,
        lambda world: {**_project(world), "invitationUuid": str(world.invitation)},
        "invitation { uuid }",
    ),
    Mutation(
        "acceptInvitation",
        Action.ACCEPT_INVITATION,
        lambda world: {"token": world.token},
        "member { email role joinedAt } project { name }",
    ),
    Mutation(
        "changeMember",
        Action.CHANGE_MEMBER,
        lambda world: {**_project(world), "accountUuid": str(world.member), "environments": ["env"]},
        "member { role environments { name } }",
    ),
    Mutation(
        "removeMember",
        Action.REMOVE_MEMBER,
        lambda world: {**_project(world), "accountUuid": str(world.member)},
        "member { email }",
    ),
    Mutation("setActiveEnvironment", Action.SET_ACTIVE_ENVIRONMENT, _env, "environment { name }"),
    Mutation(
        "writeDocument",
        Action.WRITE_DOCUMENT,
        lambda world: {**_page(world), "patch": {"put": {"n": 7}}},
        "created document { version data } change { version }",
    ),
    Mutation("deleteDocument", Action.DELETE_DOCUMENT, _page, "change { version }"),
    Mutation(
        "forkEnvironment",
        Action.FORK_ENVIRONMENT,
        lambda world: {**_project(world), "envName": "second"},
        "environment { uuid name } manifestUuid",
    ),
    Mutation(
        "updateEnvironment",
        Action.UPDATE_ENVIRONMENT,
        lambda world: {**_env(world), "name": "renamed"},
        "environment { uuid name }",
    ),
    Mutation("archiveEnvironment", Action.ARCHIVE_ENVIRONMENT, _env, "environment { status } removedDiffs"),
    Mutation("checkpoint", Action.CHECKPOINT, _env, "checkpoint { uuid } entities"),
    Mutation(
        "deleteCheckpoint",
        Action.DELETE_CHECKPOINT,
        lambda world: {"checkpointUuid": str(world.checkpoint)},
        "checkpointUuid",
    ),
    Mutation(
        "rollbackToCheckpoint",
        Action.ROLLBACK_TO_CHECKPOINT,
        lambda world: {"checkpointUuid": str(world.checkpoint)},
        "environment { uuid }",
    ),
    Mutation(
        "checkProtectedField",
        Action.CHECK_PROTECTED_FIELD,
        lambda world: {**_env(world), "path": "/keys/api/payment_secret", "value": "sk_test_my_key"},
        "match",
    ),
    Mutation("pinEnvironment", Action.PIN_ENVIRONMENT, _env, "pinned { uuid }"),
    Mutation("revertChanges", Action.REVERT_CHANGES, _env, "changes { version }"),
    Mutation("backupProduction", Action.BACKUP_PRODUCTION, _project, "backup { uuid }"),
    Mutation(
        "restoreProduction",
        Action.RESTORE_PRODUCTION,
        lambda world: {**_project(world), "backupUuid": str(world.backup)},
        "changed created deleted",
    ),
]

MUTATIONS += [
    Mutation("advanceCanary", Action.ADVANCE_CANARY, _env, "outcome { weight } environment { status }", _roll_out),
    Mutation("abortCanary", Action.ABORT_CANARY, _env, "outcome { weight } environment { status }", _roll_out),
    Mutation(
        "reportCanaryHealth",
        Action.REPORT_CANARY_HEALTH,
        lambda world: {**_env(world), "side": "ENVIRONMENT", "requests": 100_000, "errors": 0},
        "environment { uuid }",
        _roll_out,
    ),
]

MUTATIONS += [
    Mutation(
        "createWebhook",
        Action.CREATE_WEBHOOK,
        lambda world: {**_project(world), "url": HOOK},
        "webhook { uuid events }",
    ),
    Mutation(
        "updateWebhook",
        Action.UPDATE_WEBHOOK,
        lambda world: {**_webhook_input(world), "events": ["*"]},
        "webhook { events enabled }",
    ),
    Mutation("deleteWebhook", Action.DELETE_WEBHOOK, lambda world: _webhook_input(world), "webhookUuid"),
    Mutation(
        "rotateWebhookSecret",
        Action.ROTATE_WEBHOOK_SECRET,
        lambda world: _webhook_input(world),
        "webhook { oldSecretUntil }",
    ),
    Mutation("testWebhook", Action.TEST_WEBHOOK, lambda world: _webhook_input(world), "delivery { uuid payload }"),
    Mutation(
        "redeliverWebhook",
        Action.REDELIVER_WEBHOOK,
        lambda world: {**_webhook_input(world), "deliveryUuid": str(world.delivery)},
        "delivery { uuid status }",
    ),
]

MUTATIONS += [
    Mutation(
        "createExperiment",
        Action.CREATE_EXPERIMENT,
        lambda world: {"envAUuid": str(world.project.production_uuid), "envBUuid": str(world.env)},
        "experiment { uuid envA { name } envB { name } metrics { mismatch { alarm } } }",
    ),
    Mutation(
        "recordExposures",
        Action.RECORD_EXPOSURES,
        lambda world: {"testUuid": str(world.test), "exposures": [{"userUuid": "grace"}]},
        "accepted refused { code }",
    ),
    Mutation(
        "recordResults",
        Action.RECORD_RESULTS,
        lambda world: {"testUuid": str(world.test), "results": [{"userUuid": USER, "outcome": "CONVERTED"}]},
        "accepted refused { code }",
    ),
    Mutation(
        "stopExperiment",
        Action.STOP_EXPERIMENT,
        lambda world: {"testUuid": str(world.test)},
        "experiment { status reason }",
    ),
    Mutation(
        "declareWinner",
        Action.DECLARE_WINNER,
        lambda world: {"testUuid": str(world.test), "winner": "B"},
        "experiment { winner } promotion { status }",
    ),
]

Call = Rest | Mutation
CALLS: list[Call] = [*REST, *MUTATIONS]

COUNTED = frozenset({Action.RECORD_EXPOSURES, Action.RECORD_RESULTS})
"""What comes in by the thousand and is counted, exactly, but neither on the trail nor an event."""


def is_done(answer: httpx.Response) -> bool:
    """Return whether the request did what it asks."""
    if answer.status_code >= 300:
        return False
    if answer.request.url.path != "/graphql":
        return True
    body = answer.json()
    return "errors" not in body and all("code" not in result for result in body["data"].values())
