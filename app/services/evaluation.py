"""Evaluating flags, from what this process knows of each project: no older than a second, and no statement to read it.

What is known of a project is of one moment: where its users go, and the project documents of all environments that can
serve somebody.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final
from uuid import UUID

from app.domain.errors import EnvironmentNotFound
from app.domain.evaluation import Context, Evaluation, FlagSet, evaluate
from app.domain.model import PROJECT_KEY, PROJECT_KIND, USER_KIND, Actor
from app.domain.policy import Operation
from app.domain.protected import NOTHING_PROTECTED
from app.domain.routing import Reason, Route
from app.domain.values import MISSING, Value
from app.services import access, known_users, routing
from app.services.kept import Kept
from app.storage import db, environments, layers
from app.storage.layers import DocumentKey, Stack

MAX_REMEMBERED: Final = 1_000


@dataclass(slots=True)
class Known:
    """What can be evaluated in an environment, at a ``version`` of its project document.

    ``texts`` is for whoever answers: what answers have in common.
    """

    flags: FlagSet
    generation_uuid: UUID
    version: str
    texts: dict[object, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class Snapshot:
    """What is known of a project at one moment: ``known`` by environment."""

    routes: routing.Snapshot
    known: Mapping[UUID, Known]
    _tags: dict[str, str] = field(default_factory=dict)

    @property
    def version(self) -> int:
        return self.routes.routes.version

    def tag(self, now: float) -> str:
        """Return a digest of all that makes a difference to somebody, at ``now`` of this process's clock."""
        routes = self.routes.at(now)
        share = f"{routes.canary}"
        tag = self._tags.get(share)
        if tag is None:
            tag = self._tags[share] = self._digest(routes, share)
        return tag

    def _digest(self, routes: routing.Snapshot, share: str) -> str:
        said = [
            *sorted(f"{uuid} {known.version}" for uuid, known in self.known.items()),
            share,
            f"{routes.routes.trial and routes.routes.trial.experiment.uuid}",
            *(f"{reserved.place.env_uuid}" for reserved in routes.routes.reserved),
        ]
        return sha256("\n".join(said).encode()).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a user gets, where it comes from, and how many seconds old what it was made of is.

    ``tag`` is that of all that makes a difference to somebody.
    """

    route: Route
    known: Known
    evaluations: Sequence[Evaluation]
    age: float
    tag: str


async def _read(project_id: int, before: Snapshot | None) -> Snapshot:
    async with db.transaction("repeatable_read", readonly=True):
        found = await routing.read(project_id)
        heads = found.routes.heads
        if before is not None and (before.version, before.routes.routes.heads) == (found.routes.version, heads):
            return Snapshot(found, before.known)
        return Snapshot(found, await _documents(project_id, heads, before.known if before else {}))


async def _documents(project_id: int, heads: Mapping[UUID, UUID], before: Mapping[UUID, Known]) -> dict[UUID, Known]:
    keys = [DocumentKey(head, PROJECT_KIND, PROJECT_KEY) for head in heads.values()]
    stacks = await layers.stacks(project_id, keys)
    return {
        env_uuid: _known(head, stack, before.get(env_uuid))
        for (env_uuid, head), stack in zip(heads.items(), stacks, strict=True)
    }


def _known(head: UUID, stack: Stack | None, before: Known | None) -> Known:
    version = "" if stack is None else stack.version
    if before is not None and before.version == version and before.generation_uuid == head:
        return before
    protection = NOTHING_PROTECTED if stack is None else stack.protection
    state = MISSING if stack is None else stack.seen
    return Known(FlagSet(state, protection.of(PROJECT_KIND), protection.of(USER_KIND)), head, version)


async def _read_named(key: tuple[int, UUID], before: Known | None) -> Known:
    project_id, env_uuid = key
    environment = await environments.get([project_id], env_uuid)
    if environment is None:
        raise EnvironmentNotFound(str(env_uuid))
    found = await _documents(project_id, {env_uuid: environment.head_uuid}, {env_uuid: before} if before else {})
    return found[env_uuid]


kept: Final[Kept[int, Snapshot]] = Kept(_read, MAX_REMEMBERED)
named: Final[Kept[tuple[int, UUID], Known]] = Kept(_read_named, MAX_REMEMBERED)
"""Environments that serve nobody by themselves, but are named by requests."""


async def snapshot(actor: Actor, project_id: int, seen: str | None = None) -> Snapshot:
    """Return what is known of a project, for who may ask.

    ``seen`` is the tag that the caller was told of by another process, perhaps: where ours is another one, it may be
    older, and is read anew. Raises ProjectNotFound, Forbidden.
    """
    await access.authorize(actor, project_id, Operation.EVALUATE)
    now = time.monotonic()
    found = kept.at_hand(project_id, now) or await kept.get(project_id)
    if seen is not None and seen != found.tag(now):
        found = await kept.get_newer(project_id, now)
    return found


async def one(actor: Actor, project_id: int, key: str, context: Context, env: str | None = None) -> Answer:
    """Return what a user gets for one flag, or leaf of the project document, in the environment that serves it.

    ``env`` is the environment that the request itself names. Raises ProjectNotFound, Forbidden, EnvironmentNotFound,
    EnvironmentArchived.
    """
    found = await snapshot(actor, project_id)
    gone, known, age = await _served(actor, project_id, found, context, env)
    flag = known.flags.find(key)
    document = await _seen(project_id, found, known, context) if flag.asks else {}
    return Answer(gone, known, evaluate([flag], context.user, document), age, found.tag(time.monotonic()))


async def every(
    actor: Actor, project_id: int, context: Context, env: str | None = None, *, seen: str | None = None
) -> Answer:
    """Return what a user gets for each flag, in the order of their keys; ``seen`` as in ``snapshot``.

    Raises as ``one`` does.
    """
    found = await snapshot(actor, project_id, seen)
    gone, known, age = await _served(actor, project_id, found, context, env)
    flags = known.flags
    document = await _seen(project_id, found, known, context) if flags.asks else {}
    results = evaluate(flags.flags.values(), context.user, document)
    return Answer(gone, known, results, age, found.tag(time.monotonic()))


async def _served(
    actor: Actor, project_id: int, found: Snapshot, context: Context, env: str | None
) -> tuple[Route, Known, float]:
    place = None if env is None else await routing.explicit(actor, project_id, env)
    routes = found.routes.at(time.monotonic())
    if place is None and context.user is not None:
        gone = await routing.way(routes, project_id, context.user)
    else:
        gone = Route(place, Reason.EXPLICIT) if place is not None else Route(routes.production, Reason.PRODUCTION)
    known = found.known.get(gone.place.env_uuid)
    if known is not None:
        return gone, known, kept.age(project_id)
    key = (project_id, gone.place.env_uuid)
    return gone, await named.get(key), named.age(key)


async def _seen(project_id: int, found: Snapshot, known: Known, context: Context) -> dict[str, Value]:
    if context.user is None:
        return context.over(MISSING)
    stored = await known_users.stored(project_id, known.generation_uuid, context.user, found.version)
    return context.over(stored)
