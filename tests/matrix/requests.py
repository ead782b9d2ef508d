"""Which operation of the policy each request of both doors is: one line for each.

What changes something is taken from ``tests/operations/world.py``, fields of GraphQL types from the schema; what
reads stands here. Whatever is not known here fails ``test_complete.py``.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol
from uuid import UUID

import httpx
from graphql import GraphQLField, GraphQLObjectType, build_schema, get_named_type, is_leaf_type, is_required_argument
from strawberry.types.base import StrawberryObjectDefinition

from app.domain.audit import Action
from app.domain.policy import Operation
from schema.nodes import GlobalId
from schema.root import schema, schema_text
from tests.operations.world import AB_TEST, CALLS, PROJECT, SESSIONS, USER, Mutation, Rest, World

SCHEMA = build_schema(schema_text())

OPERATION_OF: dict[Action, Operation] = {
    Action.ABORT_CANARY: Operation.PROMOTE,
    Action.ACCEPT_INVITATION: Operation.ACCEPT_INVITATION,
    Action.APPROVE_PROMOTION: Operation.PROMOTE,
    Action.NOTIFY: Operation.VALIDATE,
    Action.PROMOTE: Operation.PROMOTE,
    Action.REBASE_ENVIRONMENT: Operation.REBASE,
    Action.REJECT_PROMOTION: Operation.APPROVE,
    Action.ROLLBACK_RELEASE: Operation.ROLLBACK_RELEASE,
    Action.VALIDATE_ENVIRONMENT: Operation.VALIDATE,
    Action.ADVANCE_CANARY: Operation.PROMOTE,
    Action.ARCHIVE_ENVIRONMENT: Operation.ARCHIVE,
    Action.BACKUP_PRODUCTION: Operation.BACKUP,
    Action.CHANGE_MEMBER: Operation.MANAGE_MEMBERS,
    Action.CHECKPOINT: Operation.CHECKPOINT,
    Action.CHECK_PROTECTED_FIELD: Operation.CHECK_PROTECTED,
    Action.CREATE_API_KEY: Operation.MANAGE_KEYS,
    Action.CREATE_PROJECT: Operation.CREATE_PROJECT,
    Action.DELETE_CHECKPOINT: Operation.CHECKPOINT,
    Action.DELETE_DOCUMENT: Operation.WRITE,
    Action.FORK_ENVIRONMENT: Operation.FORK,
    Action.FREEZE: Operation.MANAGE_FREEZES,
    Action.IMPORT_DOCUMENTS: Operation.WRITE,
    Action.INVITE_MEMBER: Operation.MANAGE_MEMBERS,
    Action.LIFT_FREEZE: Operation.MANAGE_FREEZES,
    Action.PIN_ENVIRONMENT: Operation.CHECKPOINT,
    Action.REMOVE_MEMBER: Operation.MANAGE_MEMBERS,
    Action.REPORT_CANARY_HEALTH: Operation.REPORT_HEALTH,
    Action.RESTORE_PRODUCTION: Operation.RESTORE,
    Action.REVERT_CHANGES: Operation.WRITE,
    Action.REVOKE_API_KEY: Operation.MANAGE_KEYS,
    Action.REVOKE_INVITATION: Operation.MANAGE_MEMBERS,
    Action.ROLLBACK_TO_CHECKPOINT: Operation.FORK,
    Action.SET_ACTIVE_ENVIRONMENT: Operation.CHOOSE_ENVIRONMENT,
    Action.UPDATE_ENVIRONMENT: Operation.UPDATE_ENVIRONMENT,
    Action.UPDATE_SETTINGS: Operation.CHANGE_SETTINGS,
    Action.WRITE_DOCUMENT: Operation.WRITE,
    Action.CREATE_EXPERIMENT: Operation.MANAGE_EXPERIMENTS,
    Action.RECORD_EXPOSURES: Operation.EVALUATE,
    Action.RECORD_RESULTS: Operation.RECORD_RESULTS,
    Action.STOP_EXPERIMENT: Operation.MANAGE_EXPERIMENTS,
    Action.DECLARE_WINNER: Operation.PROMOTE,
    Action.CREATE_SEGMENT: Operation.WRITE,
    Action.UPDATE_SEGMENT: Operation.WRITE,
    Action.DELETE_SEGMENT: Operation.WRITE,
    Action.CREATE_WEBHOOK: Operation.MANAGE_WEBHOOKS,
    Action.UPDATE_WEBHOOK: Operation.MANAGE_WEBHOOKS,
    Action.DELETE_WEBHOOK: Operation.MANAGE_WEBHOOKS,
    Action.ROTATE_WEBHOOK_SECRET: Operation.MANAGE_WEBHOOKS,
    Action.TEST_WEBHOOK: Operation.MANAGE_WEBHOOKS,
    Action.REDELIVER_WEBHOOK: Operation.MANAGE_WEBHOOKS,
}

BESIDE = {
    Operation.PASS_FREEZE,
    Operation.APPROVE,
    *(Operation.SHORTEN_PROTECTED, Operation.DECRYPT),
}
"""Operations that no request is, but a part of one."""

PUBLIC = {f"POST /api/auth/{name}" for name in ("register", "login", "refresh")}
PUBLIC_MUTATIONS = SESSIONS - {"logOut"}
"""What asks for no token. Outside of ``/api/`` and ``/graphql`` there are only files and descriptions."""

TWINS = {
    f"POST {PROJECT}/members": f"POST {PROJECT}/invitations",
    f"PUT {PROJECT}/entities/{{kind}}": f"PUT {PROJECT}/entities/{{kind}}/{{key}}",
    f"PATCH {PROJECT}/entities/{{kind}}": f"PATCH {PROJECT}/entities/{{kind}}/{{key}}",
    f"DELETE {PROJECT}/entities/{{kind}}": f"DELETE {PROJECT}/entities/{{kind}}/{{key}}",
}
"""Routes outside of the description with the one whose handler they share."""


class Request(Protocol):
    """One request, and what is to be known of it."""

    @property
    def name(self) -> str: ...

    @property
    def operation(self) -> Operation: ...

    @property
    def through(self) -> Operation | None:
        """What has to be allowed before ``operation`` comes up."""

    @property
    def changes(self) -> bool: ...

    def says(self, world: World) -> str:
        """Return all that it names, as one text."""

    async def send(self, world: World) -> httpx.Response: ...


@dataclass(frozen=True)
class Get:
    """A route that reads."""

    route: str
    operation: Operation = Operation.READ
    query: Callable[[World], Mapping[str, Any]] = lambda _: {}
    changes: bool = False
    through: Operation | None = None

    @property
    def name(self) -> str:
        return f"GET {self.route}"

    def says(self, world: World) -> str:
        return f"{self._address(world)} {json.dumps(dict(self.query(world)))}"

    def _address(self, world: World) -> str:
        return self.route.format(
            project_id=world.project.id,
            kind="page",
            key="a",
            pinned_uuid=world.pin,
            env_uuid=world.env,
            promotion_id=world.promotion,
            release_id=world.release,
            test_id=world.test,
            manifest_uuid=world.manifest,
            webhook_uuid=world.webhook,
        )

    async def send(self, world: World) -> httpx.Response:
        return await world.client.get(self._address(world), params=dict(self.query(world)))


@dataclass(frozen=True)
class Post:
    """A route that changes something beside projects, or that reads and takes a body."""

    route: str
    operation: Operation
    changes: bool = True
    through: Operation | None = None
    query: Callable[[World], Mapping[str, Any]] = lambda _: {}
    body: Any = None

    @property
    def name(self) -> str:
        return f"POST {self.route}"

    def says(self, world: World) -> str:
        return f"{self.route} {json.dumps(dict(self.query(world)))}"

    async def send(self, world: World) -> httpx.Response:
        return await world.client.post(self.route.format(key="flag"), params=dict(self.query(world)), json=self.body)


@dataclass(frozen=True)
class Change:
    """What changes something, through either door."""

    call: Rest | Mutation
    operation: Operation
    changes: bool = True
    through: Operation | None = None

    @property
    def name(self) -> str:
        return self.call.name

    def says(self, world: World) -> str:
        if isinstance(self.call, Mutation):
            return json.dumps(self.call.input(world))
        return f"{self.call.address(world)} {dict(self.call.query(world))!r} {self.call.body(world)!r}"

    async def send(self, world: World) -> httpx.Response:
        return await self.call.send(world)


@dataclass(frozen=True)
class Ask:
    """A GraphQL query; it may use the variables of ``VARIABLES``."""

    name: str
    query: str
    operation: Operation = Operation.READ
    through: Operation | None = None
    changes: bool = False

    def says(self, world: World) -> str:
        return json.dumps(self._variables(world))

    def _variables(self, world: World) -> dict[str, Any]:
        return {name: of(world) for name, (_, of) in VARIABLES.items() if re.search(rf"\${name}\b", self.query)}

    async def send(self, world: World) -> httpx.Response:
        values = self._variables(world)
        declared = ", ".join(f"${name}: {VARIABLES[name][0]}" for name in values)
        query = f"query ({declared}) {{ {self.query} }}" if declared else f"{{ {self.query} }}"
        return await world.client.post("/graphql", json={"query": query, "variables": values})


@dataclass(frozen=True)
class LogOut:
    """The caller ends its session, by the mutation."""

    name: str = "logOut"
    operation: Operation = Operation.LOG_OUT
    through: Operation | None = None
    changes: bool = True

    def says(self, world: World) -> str:
        return ""

    async def send(self, world: World) -> httpx.Response:
        return await world.client.post(
            "/graphql", json={"query": "mutation { logOut { __typename ... on Refusal { code } } }"}
        )


@dataclass(frozen=True)
class Follow(Ask):
    """A GraphQL subscription, over server-sent events; what comes first is its answer."""

    async def send(self, world: World) -> httpx.Response:
        values = self._variables(world)
        declared = ", ".join(f"${name}: {VARIABLES[name][0]}" for name in values)
        body = {"query": f"subscription ({declared}) {{ {self.query} }}", "variables": values}
        answer = await world.client.post("/graphql", json=body, headers={"Accept": "text/event-stream"})
        if answer.status_code != 200:
            return answer
        told = re.search(r"^event: next\ndata: (.*)$", answer.text, re.MULTILINE)
        return httpx.Response(200, text=told[1] if told else '{"data": {"ended": true}}', request=answer.request)


@dataclass
class Scene(World):
    """A world, and the account that asks about it."""

    account: UUID


@dataclass(frozen=True)
class Leave:
    """A member removes itself."""

    name: str = f"DELETE {PROJECT}/members/{{own}}"
    operation: Operation = Operation.LEAVE
    through: Operation | None = None
    changes: bool = True

    def says(self, world: World) -> str:
        account = world.account if isinstance(world, Scene) else world.member
        return f"/api/projects/{world.project.id}/members/{account}"

    async def send(self, world: World) -> httpx.Response:
        return await world.client.delete(self.says(world))


VARIABLES: dict[str, tuple[str, Callable[[World], Any]]] = {
    "projectId": ("Int!", lambda world: world.project.id),
    "env": ("UUID!", lambda world: str(world.env)),
    "promotion": ("UUID!", lambda world: str(world.promotion)),
    "release": ("UUID!", lambda world: str(world.release)),
    "test": ("UUID!", lambda world: str(world.test)),
    "checkpoint": ("UUID!", lambda world: str(world.checkpoint)),
    "backup": ("UUID!", lambda world: str(world.backup)),
    "pin": ("UUID!", lambda world: str(world.pin)),
    "id": ("ID!", lambda world: GlobalId("Environment", world.project.id, world.env).encode()),
    "generationId": ("ID!", lambda world: GlobalId("Generation", world.project.id, world.checkpoint).encode()),
    "keyId": ("ID!", lambda world: GlobalId("ApiKey", world.project.id, world.key).encode()),
    "memberId": ("ID!", lambda world: GlobalId("Member", world.project.id, world.member).encode()),
    "freezeId": ("ID!", lambda world: GlobalId("Freeze", world.project.id, world.freeze).encode()),
    "testId": ("ID!", lambda world: GlobalId("Experiment", world.project.id, world.test).encode()),
    "webhookId": ("ID!", lambda world: GlobalId("Webhook", world.project.id, world.webhook).encode()),
    "invitationId": ("ID!", lambda world: GlobalId("Invitation", world.project.id, world.invitation).encode()),
}


def _here(world: World) -> dict[str, Any]:
    return {"project_id": world.project.id}


def _env(world: World) -> dict[str, Any]:
    return {"env_uuid": str(world.env)}


REST_READS: list[Get | Post] = [
    Get("/api/generations/{project_id}"),
    Get("/api/generations/{project_id}/status"),
    Get("/api/generations/{project_id}/queue"),
    Get("/api/generations/{project_id}/gates/{env_uuid}"),
    Get("/api/generations/{project_id}/timeline"),
    Get("/api/sandbox/promotions", query=_here),
    Get("/api/sandbox/promotions/{promotion_id}"),
    Get("/api/sandbox/releases", query=_here),
    Get("/api/sandbox/releases/{release_id}"),
    Get("/api/sandbox/releases/{release_id}/documents"),
    Get("/api/sandbox/releases/{release_id}/diff", query=lambda world: {"against": str(world.release)}),
    Get("/api/auth/me", Operation.READ_ACCOUNT),
    Get("/api/projects", Operation.LIST_PROJECTS),
    Get(PROJECT),
    Get(f"{PROJECT}/api-keys", Operation.MANAGE_KEYS),
    Get(f"{PROJECT}/webhooks", Operation.MANAGE_WEBHOOKS),
    Get(f"{PROJECT}/webhooks/{{webhook_uuid}}/deliveries", Operation.MANAGE_WEBHOOKS),
    Get(f"{PROJECT}/members", Operation.READ_MEMBERS),
    Get(f"{PROJECT}/invitations", Operation.MANAGE_MEMBERS),
    Get(f"{PROJECT}/data"),
    Get(f"{PROJECT}/entities/{{kind}}"),
    Get(f"{PROJECT}/entities/{{kind}}/{{key}}"),
    Get(f"{PROJECT}/export"),
    Get("/api/sandbox/environments", query=_here),
    Get("/api/sandbox/active-env", Operation.CHOOSE_ENVIRONMENT, query=_here),
    Get("/api/sandbox/checkpoints", query=_here),
    Get("/api/sandbox/snapshot/{pinned_uuid}"),
    Get("/api/sandbox/backups", query=_here),
    Get("/api/sandbox/tree", query=_here),
    Get("/api/sandbox/diff", query=lambda world: {"uuid_a": str(world.env), "uuid_b": str(world.checkpoint)}),
    Get("/api/sandbox/environment/diff", query=_env),
    Get("/api/sandbox/changes", query=lambda world: {**_here(world), **_env(world)}),
    Get("/api/sandbox/blame", query=lambda world: {**_env(world), "kind": "page", "key": "a", "path": "n"}),
    Get("/api/sandbox/audit", Operation.READ_AUDIT, query=_here),
    Get("/api/sandbox/limits", query=_here),
    Get("/api/sandbox/events", query=_here),
    Get("/api/sandbox/freeze", query=_here),
    Get("/api/sandbox/segments", query=_here),
    Post("/api/sandbox/segment/preview", Operation.READ, changes=False, query=_here, body={"rules": []}),
    Get("/api/sandbox/manifest/{manifest_uuid}"),
    Get("/api/sandbox/canary", query=_env),
    Get("/api/sandbox/rollout", query=_env),
    Get("/api/sandbox/route", Operation.EVALUATE, query=lambda world: {**_here(world), "user_uuid": "ada"}),
    Get("/api/sandbox/explain", query=lambda world: {**_here(world), "user_uuid": "ada", "path": "/n"}),
    Post("/ofrep/v1/evaluate/flags", Operation.EVALUATE, changes=False, query=_here),
    Post("/ofrep/v1/evaluate/flags/{key}", Operation.EVALUATE, changes=False, query=_here),
    Get("/ofrep/v1/events", Operation.EVALUATE, query=_here),
    Get("/api/generations/{project_id}/settings"),
    Get("/api/sandbox/ab-tests", query=_here),
    Get(AB_TEST),
    Get(f"{AB_TEST}/metrics"),
    Get(f"{AB_TEST}/variant", Operation.EVALUATE, query=lambda _: {"user_uuid": USER}),
]

QUERIES = [
    Ask("viewer", "viewer { name }", Operation.READ_ITSELF),
    Ask("node", "node(id: $id) { id }"),
    Ask("nodes", "nodes(ids: [$id, $generationId]) { id }"),
    Ask("project", "project(id: $projectId) { name }"),
    Ask("projects", "projects { nodes { name } }", Operation.LIST_PROJECTS),
    Ask("environment", "environment(uuid: $env) { name }"),
    Ask("experiment", "experiment(uuid: $test) { status }"),
    Ask("segmentPreview", "segmentPreview(projectId: $projectId, rules: []) { total }"),
    Ask("promotion", "promotion(uuid: $promotion) { status }"),
    Ask("generation", "generation(uuid: $checkpoint) { number }"),
    Ask("diff", "diff(a: $env, b: $checkpoint) { isEmpty }"),
    Ask("route", 'route(projectId: $projectId, userUuid: "ada") { reason }', Operation.EVALUATE),
    Ask("evaluateFlag", 'evaluateFlag(projectId: $projectId, key: "/n") { version }', Operation.EVALUATE),
    Ask("evaluateFlags", "evaluateFlags(projectId: $projectId) { version }", Operation.EVALUATE),
    Ask("explain", 'explain(projectId: $projectId, userUuid: "ada", pointer: "/n") { reason }'),
]
"""The fields of ``Query``, by name."""

NODES = [
    Ask("node of a generation", "node(id: $generationId) { id }"),
    Ask("node of a test", "node(id: $testId) { id }"),
    Ask("node of a freeze", "node(id: $freezeId) { id }"),
    Ask("node of a key", "node(id: $keyId) { id }", Operation.MANAGE_KEYS, Operation.READ),
    Ask("node of a webhook", "node(id: $webhookId) { id }", Operation.MANAGE_WEBHOOKS, Operation.READ),
    Ask("node of a member", "node(id: $memberId) { id }", Operation.READ_MEMBERS, Operation.READ),
    Ask("node of an invitation", "node(id: $invitationId) { id }", Operation.MANAGE_MEMBERS, Operation.READ),
]


@dataclass(frozen=True)
class Way:
    """How the fields of a type are reached, by ``through``: ``%s`` is where they are selected."""

    query: str
    through: Operation = Operation.READ
    operation: Operation | None = None


WAYS = {
    "Viewer": Way("viewer { %s }", Operation.READ_ITSELF),
    "Project": Way("project(id: $projectId) { %s }"),
    "Environment": Way("environment(uuid: $env) { %s }"),
    "Generation": Way("generation(uuid: $checkpoint) { %s }"),
    "ResolvedDocument": Way('environment(uuid: $env) { document(kind: "page", key: "a") { %s } }'),
    "ApiKey": Way("project(id: $projectId) { apiKeys { %s } }", Operation.READ, Operation.MANAGE_KEYS),
    "Webhook": Way("project(id: $projectId) { webhooks { %s } }", Operation.READ, Operation.MANAGE_WEBHOOKS),
    "Member": Way("project(id: $projectId) { members { %s } }", Operation.READ, Operation.READ_MEMBERS),
    "Freeze": Way("project(id: $projectId) { freezes { %s } }"),
    "Experiment": Way("experiment(uuid: $test) { %s }"),
    "PromotionRequest": Way("promotion(uuid: $promotion) { %s }"),
    "Release": Way("project(id: $projectId) { releases { nodes { %s } } }"),
    "Invitation": Way("project(id: $projectId) { invitations { %s } }", Operation.READ, Operation.MANAGE_MEMBERS),
}
"""Types whose fields are asked for one by one; all that are ``Node``s have to be here."""

FIELDS = {
    "Project.apiKeys": Operation.MANAGE_KEYS,
    "Project.webhooks": Operation.MANAGE_WEBHOOKS,
    "Project.audit": Operation.READ_AUDIT,
    "Project.members": Operation.READ_MEMBERS,
    "Project.invitations": Operation.MANAGE_MEMBERS,
    "Viewer.account": Operation.READ_ACCOUNT,
    "Viewer.activeEnvironment": Operation.READ,
    "Viewer.role": Operation.READ_ROLE,
    "Viewer.roles": Operation.LIST_PROJECTS,
}
"""Fields that are another operation than their type's ``Way``."""

ARGUMENTS = {
    "userUuid": f'"{USER}"',
    "name": '"env"',
    "pointer": '"/n"',
    "kind": '"page"',
    "projectId": "$projectId",
    "against": "$release",
}
"""Values of arguments that a field must be given, or that say which project."""

RESOLVED = {
    f"{name}.{schema.config.name_converter.get_graphql_name(field)}"
    for name, type_ in schema.schema_converter.type_map.items()
    if isinstance(type_.definition, StrawberryObjectDefinition)
    for field in type_.definition.fields
    if field.base_resolver is not None
}
"""Fields that do something; the others are there with their object."""

SUBSCRIPTIONS = {
    "environmentEvents": Follow("environmentEvents", "environmentEvents(projectId: $projectId) { cursor }"),
    "experimentMetrics": Follow("experimentMetrics", "experimentMetrics(testUuid: $test) { status }"),
    "rolloutProgress": Follow("rolloutProgress", "rolloutProgress(envUuid: $env) { cursor }"),
}
"""The fields of ``Subscription``, by name."""

OF_LIVING = {
    "GET /api/generations/{project_id}/gates/{env_uuid}",
    "GET /api/sandbox/blame",
    "GET /api/sandbox/diff",
    "GET /api/sandbox/environment/diff",
    "diff",
    "Environment.checks",
    "Environment.conflicts",
    "Environment.diff",
    "Environment.document",
    "Environment.documents",
    "Environment.segments",
}
"""Requests that read what an archived environment has no more; fields of documents beside."""

IN_CONTEXT = {
    "GET /api/sandbox/route",
    "GET /api/sandbox/explain",
    "POST /ofrep/v1/evaluate/flags",
    "POST /ofrep/v1/evaluate/flags/{key}",
    *("route", "explain", "evaluateFlag", "evaluateFlags"),
    *(f"{method} {PROJECT}/data" for method in ("GET", "PUT", "PATCH")),
    *(f"{method} {PROJECT}/entities/{{kind}}/{{key}}" for method in ("GET", "PUT", "PATCH", "DELETE")),
    f"GET {PROJECT}/entities/{{kind}}",
    f"POST {PROJECT}/import",
    f"GET {PROJECT}/export",
    *("POST /api/sandbox/segment", "GET /api/sandbox/segments", "POST /api/sandbox/segment/preview"),
    *(f"{method} /api/sandbox/segment/{{segment_id}}" for method in ("PUT", "DELETE")),
    *("createSegment", "updateSegment", "deleteSegment", "segmentPreview", "Project.segments"),
    "writeDocument",
    "deleteDocument",
    "importDocuments",
    "Project.activeEnvironment",
    "Project.document",
    "Viewer.activeEnvironment",
}
"""Requests that go to the environment that the request names, or the user chose."""


def _field(type_name: str, name: str, field: GraphQLField) -> Ask:
    way = WAYS[type_name]
    given = [
        f"{argument}: {ARGUMENTS[argument]}"
        for argument, known in field.args.items()
        if is_required_argument(known) or argument == "projectId"
    ]
    asked = name + (f"({', '.join(given)})" if given else "")
    if not is_leaf_type(get_named_type(field.type)):
        asked += " { __typename }"
    full_name = f"{type_name}.{name}"
    operation = FIELDS.get(full_name) or way.operation or way.through
    return Ask(full_name, way.query % asked, operation, way.through)


def _fields() -> Iterator[Ask]:
    for type_name in WAYS:
        type_ = SCHEMA.type_map[type_name]
        assert isinstance(type_, GraphQLObjectType)
        for name, field in type_.fields.items():
            if f"{type_name}.{name}" in RESOLVED:
                yield _field(type_name, name, field)


def _changes() -> Iterator[Change]:
    for call in CALLS:
        operation = OPERATION_OF.get(call.action)
        if operation is not None:
            # What a payload shows is no matter of who may ask for it.
            yield Change(replace(call, selection="__typename") if isinstance(call, Mutation) else call, operation)


REQUESTS: list[Request] = [
    *_changes(),
    *REST_READS,
    Post("/api/auth/logout", Operation.LOG_OUT),
    LogOut(),
    Leave(),
    *QUERIES,
    *SUBSCRIPTIONS.values(),
    *NODES,
    *_fields(),
]
