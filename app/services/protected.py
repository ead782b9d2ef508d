"""Protected values: compared without being shown, and shown to who may see them (reference guide, semantics §7)."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from app.domain import policy
from app.domain.audit import Action, Object
from app.domain.errors import (
    DocumentNotFound,
    EnvironmentArchived,
    FieldNotProtected,
    Forbidden,
    SandboxSecretAccessDenied,
    TokenKindForbidden,
    TooManyChecks,
)
from app.domain.model import PROJECT_KEY, PROJECT_KIND, Actor, Document, Environment, EnvStatus
from app.domain.names import check_key, check_kind
from app.domain.pointer import Path, format_dotted, format_pointer
from app.domain.policy import Operation
from app.domain.references import references_in, referred
from app.domain.values import MISSING, State, Value, lookup, put
from app.services import access, recording
from app.services.operation import operation
from app.storage import db, layers, misses, protections, secrets
from app.storage.layers import DocumentKey, Stack
from app.storage.misses import Field

MISSES_EACH: Final = 5
MISSES_ALL: Final = 20
_NOWHERE: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Checked:
    """Whether a value is the protected one."""

    match: bool


@dataclass(frozen=True, slots=True)
class _Question:
    kind: str
    key: str
    path: Path
    value: Value


@operation(Action.CHECK_PROTECTED_FIELD)
async def check(
    actor: Actor,
    env_uuid: UUID,
    path: Path,
    value: Value,
    *,
    kind: str = PROJECT_KIND,
    key: str | None = None,
    project_id: int | None = None,
) -> Checked:
    """Return whether ``value`` stands at a protected place of a document, as the environment has it.

    What is not there is answered as a wrong value is. Raises FieldNotProtected, TooManyChecks, EnvironmentNotFound,
    EnvironmentArchived, ValidationFailed.
    """
    environment = await access.environment_by_uuid(actor, env_uuid, Operation.CHECK_PROTECTED, project_id)
    if environment.status is EnvStatus.ARCHIVED:
        raise EnvironmentArchived(env_uuid)
    key = PROJECT_KEY if key is None and kind == PROJECT_KIND else key or ""
    check_key(check_kind(kind), key)
    return await _check(actor, environment, _Question(kind, key, path, value))


@db.atomic()
async def _check(actor: Actor, environment: Environment, asked: _Question) -> Checked:
    project_id, head_uuid = environment.project_id, environment.head_uuid
    places = (await protections.of(project_id, head_uuid)).of(asked.kind)
    place = places.covering(asked.path)
    if place is None:
        raise FieldNotProtected(format_dotted(asked.path))
    field = Field.of(project_id, asked.kind, asked.key, place)
    await _within_limits(actor, field)
    (stack,) = await layers.stacks(project_id, [DocumentKey(head_uuid, asked.kind, asked.key)])
    match = await _matches(project_id, stack, place, asked)
    if not match:
        await misses.add(field, actor.key_uuid or actor.account_uuid)
    facts: State = {"kind": asked.kind, "key": asked.key, "path": format_pointer(asked.path), "match": match}
    await recording.record(project_id, Object.of(environment), env_uuid=environment.uuid, change=(MISSING, facts))
    return Checked(match)


async def _within_limits(actor: Actor, field: Field) -> None:
    """Raise TooManyChecks where too many values were wrong lately; others who ask for the field wait until then."""
    await misses.lock(field)
    own, all_ = await misses.recent(field, actor.key_uuid or actor.account_uuid)
    for ages, most in ((own, MISSES_EACH), (all_, MISSES_ALL)):
        if len(ages) >= most:
            raise TooManyChecks(int(misses.WINDOW_SECONDS - ages[most - 1]) + 1)


async def _matches(project_id: int, stack: Stack | None, place: Path, asked: _Question) -> bool:
    uuid = referred(lookup(stack.state, place)) if stack else None
    secret = (await secrets.get_many(project_id, [uuid or _NOWHERE])).get(uuid or _NOWHERE)
    left = next((item for item in stack.found if item.uuid == uuid), None) if stack else None
    pointer = format_pointer(place)
    # Whether anything was sealed alone in there, is asked also where there is nothing.
    entity_uuid = stack.entity.uuid if stack else _NOWHERE
    has_inner = await secrets.is_any_inside(project_id, entity_uuid, pointer)
    if asked.path == place and left is None and not has_inner:
        return secrets.matches(secret, asked.value, pointer)
    opened = secrets.opened(secret) if secret else left.value if left else MISSING
    if opened is not MISSING and references_in(opened):
        opened = await _with_inner(project_id, opened)
    return secrets.is_same(lookup(opened, asked.path[len(place) :]), asked.value)


@operation(Action.READ_PROTECTED, once=False)
async def read(actor: Actor, project_id: int, env: str | None, kind: str, key: str) -> Document:
    """Return a document of production with its protected values; for owners and admins, each time on record.

    Raises SandboxSecretAccessDenied for everybody else and everywhere else, DocumentNotFound.
    """
    environment = await access.environment_in_context(actor, project_id, env, Operation.READ)
    if not environment.is_production:
        raise SandboxSecretAccessDenied(IN_SANDBOX)
    try:
        policy.check(actor, await access.membership_in(actor, project_id), Operation.DECRYPT)
    except (Forbidden, TokenKindForbidden):
        raise SandboxSecretAccessDenied(
            "Only owners and admins, with a user's token, see protected fields; compare with protected-check."
        ) from None
    check_key(check_kind(kind), key)
    return await _read(environment, kind, key)


IN_SANDBOX: Final = (
    "Protected fields are not decrypted in a sandbox context; compare with /api/sandbox/protected-check."
)


@db.atomic()
async def _read(production: Environment, kind: str, key: str) -> Document:
    project_id = production.project_id
    (stack,) = await layers.stacks(project_id, [DocumentKey(production.head_uuid, kind, key)])
    if stack is None or stack.state is MISSING:
        raise DocumentNotFound(kind, key)
    document, state = stack.document(), stack.state
    paths = stack.places.found(state)
    known = {item.uuid: item.value for item in stack.found}
    uuids = {path: referred(lookup(state, path)) for path in paths}
    rows = await secrets.get_many(project_id, [uuid for uuid in uuids.values() if uuid])
    for path, uuid in uuids.items():
        if uuid in rows:
            state = put(state, path, await _with_inner(project_id, _of_place(rows[uuid], stack, path)))
        elif uuid in known:
            state = put(state, path, await _with_inner(project_id, known[uuid]))
    facts: State = {"paths": [format_pointer(path) for path in paths]}
    await recording.record(project_id, Object.of(stack.entity), env_uuid=production.uuid, change=(MISSING, facts))
    return Document(
        document.entity, document.generation_uuid, state, document.version, document.layer_uuid, {}, document.protected
    )


async def _with_inner(project_id: int, value: Value) -> Value:
    """Return a value with those in it that had been sealed alone, before the place around them was protected."""
    while inner := references_in(value):
        rows = await secrets.get_many(project_id, [uuid for _, uuid in inner])
        for path, uuid in inner:
            value = put(value, path, secrets.opened(rows[uuid]) if uuid in rows else None)
    return value


def _of_place(secret: secrets.Secret, stack: Stack, path: Path) -> Value:
    if (secret.entity_uuid, secret.pointer) != (stack.entity.uuid, format_pointer(path)):
        raise LookupError("a reference to the value of another place")
    return secrets.opened(secret)
