"""Why a user sees what it sees at a place of a document (semantics §6)."""

import time
from uuid import UUID

from app.domain.errors import DocumentNotFound
from app.domain.explaining import Explanation, Setting, considered, set_at
from app.domain.model import PROJECT_KEY, PROJECT_KIND, USER_KIND, Actor, Change
from app.domain.names import check_key, check_kind
from app.domain.pointer import Path
from app.domain.policy import Operation
from app.domain.routing import Place, Route, check_user, matched, route
from app.domain.values import MISSING, State, lookup
from app.services import access, history, routing
from app.services.routing import Snapshot
from app.storage import environments, generations, layers
from app.storage.layers import DocumentKey, Stack


async def explain(
    actor: Actor,
    project_id: int,
    user: str,
    path: Path,
    *,
    kind: str = PROJECT_KIND,
    key: str = PROJECT_KEY,
    env: str | None = None,
) -> Explanation:
    """Return which environment serves the user and why, and which generations say what stands at ``path`` there.

    ``env`` is the environment that the request itself names. Raises ProjectNotFound, Forbidden, EnvironmentNotFound,
    EnvironmentArchived, ValidationFailed, DocumentNotFound.
    """
    await access.authorize(actor, project_id, Operation.READ)
    check_key(check_kind(kind), key)
    check_user(user)
    named = None if env is None else await access.living_environment(project_id, env)
    place = None if named is None else Place(named.uuid, named.name)
    found = (await routing.read(project_id)).at(time.monotonic())
    heads = dict(found.routes.heads) | ({named.uuid: named.head_uuid} if named else {})
    production = heads[found.production.env_uuid]
    document = await _user(project_id, production, user)
    gone = _gone(found, user, place, document)
    reasons = considered(
        user,
        found.production,
        document,
        explicit=place,
        trial=found.routes.trial,
        canary=found.canary,
        reserved=found.routes.reserved,
    )
    stack = await _stack(project_id, heads[gone.place.env_uuid], kind, key)
    return Explanation(
        user=user,
        route=gone,
        considered=reasons,
        kind=kind,
        key=key,
        path=path,
        value=_masked(stack, path, lookup(stack.state, path)),
        protected=stack.places.covering(path) is not None,
        settings=await _settings(stack, path),
        change=await _change(stack, path),
    )


def _gone(found: Snapshot, user: str, named: Place | None, document: State) -> Route:
    trial = found.routes.trial
    return route(
        user,
        found.production,
        explicit=named,
        experiment=trial.assigned(user) if trial else None,
        canary=found.canary,
        segment=matched(found.routes.reserved, document),
    )


async def _user(project_id: int, generation_uuid: UUID, user: str) -> State:
    stack = (await layers.stacks(project_id, [DocumentKey(generation_uuid, USER_KIND, user)]))[0]
    return MISSING if stack is None else stack.seen


async def _stack(project_id: int, generation_uuid: UUID, kind: str, key: str) -> Stack:
    stack = (await layers.stacks(project_id, [DocumentKey(generation_uuid, kind, key)]))[0]
    if stack is None or stack.state is MISSING:
        raise DocumentNotFound(kind, key)
    return stack


def _masked(stack: Stack, path: Path, value: State) -> State:
    return MISSING if value is MISSING else stack.places.mask_below(path, value)


async def _settings(stack: Stack, path: Path) -> list[Setting]:
    project_id = stack.entity.project_id
    said = set_at([layer.patch for layer in stack.layers], path)
    uuids = [stack.layers[index].generation_uuid for index, _ in said]
    known = await generations.get_many(project_id, uuids)
    anchors = await environments.get_many(project_id, [generation.env_uuid for generation in known.values()])
    return [
        Setting(known[uuid], anchors.get(known[uuid].env_uuid), _masked(stack, path, value))
        for uuid, (_, value) in zip(uuids, said, strict=True)
    ]


async def _change(stack: Stack, path: Path) -> Change | None:
    generation = await generations.get([stack.entity.project_id], stack.generation_uuid)
    if generation is None or lookup(stack.state, path) is MISSING:
        return None
    return await history.blame_in(generation, stack.entity.kind, stack.entity.key, path)
