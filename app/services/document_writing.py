"""Writing one document: what every service that changes a document by itself does (semantics §2)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from app.domain import names
from app.domain.audit import Object
from app.domain.errors import VersionConflict
from app.domain.layers import canonical_layer, resolve, version_tag
from app.domain.model import Actor, Change, Document, Environment, Origin
from app.domain.patch import NOTHING, to_json
from app.domain.policy import Operation
from app.domain.protected import Places
from app.domain.values import MISSING, State, same
from app.services import access, protecting, recording, writing
from app.storage import db, entities, layers
from app.storage.changes import Recorded
from app.storage.layers import Stack


@dataclass(frozen=True, slots=True)
class Expected:
    """What the caller believes of the document: its version, or whether it exists. Empty: anything."""

    version: str | None = None
    exists: bool | None = None


ANY: Final = Expected()


@dataclass(frozen=True, slots=True)
class Written:
    """The document after a write; ``change`` is None if it was so already."""

    document: Document
    change: Change | None
    created: bool


Rewrite = Callable[[State, Places], State]
"""Given a document as the writer sees it and what is protected in it, returns what it is to be."""


async def rewrite(
    actor: Actor, project_id: int, env: str | None, kind: str, key: str, change: Rewrite, expected: Expected = ANY
) -> Written:
    """Change a document in one transaction, in the environment of the request's context.

    Raises VersionConflict, what ``change`` raises, and what writing it may.
    """
    await access.authorize(actor, project_id, Operation.WRITE)
    check_name(kind, key)
    return await _rewrite_once(actor, project_id, env, kind, key, change, expected)


@db.atomic()
async def _rewrite_once(
    actor: Actor, project_id: int, env: str | None, kind: str, key: str, change: Rewrite, expected: Expected
) -> Written:
    seen = await access.environment_in_context(actor, project_id, env, Operation.WRITE)
    return await rewrite_in(actor, seen, kind, key, change, expected)


async def rewrite_in(
    actor: Actor,
    seen: Environment,
    kind: str,
    key: str,
    change: Rewrite,
    expected: Expected = ANY,
    about: Callable[[], Object] | None = None,
) -> Written:
    """Change a document of an environment that was just read, in the transaction of the caller.

    ``about`` says what the trail's row is about, if not the document, once it was changed.
    """
    project_id = seen.project_id
    target = await writing.lock_for_write(seen)
    entity = await entities.lock(project_id, kind, key)
    stack = (await layers.stacks_of(project_id, target.head.uuid, [entity.uuid]))[entity.uuid]
    before = stack.seen
    _check_expected(expected, before, stack.version)
    wanted = writing.check_document(kind, change(before, stack.places))
    write = await protecting.absorbed(actor, target.environment, stack, wanted)
    if same(write.stack.state, write.after):
        return Written(stack.document(), None, created=False)
    entry = recording.entry(project_id, about() if about else Object.of(entity), env_uuid=target.environment.uuid)
    recorded = await writing.write(actor, target, [write], Origin.WRITE, entry)
    document = _written_document(write.stack, write.after, recorded[0])
    return Written(document, recorded[0].change, created=before is MISSING)


def _written_document(stack: Stack, after: State, recorded: Recorded) -> Document:
    generation_uuid = recorded.change.generation_uuid
    above = stack.layers if stack.generation_uuid != generation_uuid else stack.above
    versions = [*(layer.version for layer in above), recorded.change.entity_version]
    patch, places = canonical_layer(resolve(layer.patch for layer in above), after), stack.places
    return Document(
        entity=stack.entity,
        generation_uuid=generation_uuid,
        state=places.mask(after),
        version=version_tag(generation_uuid, versions, stack.protection.tag),
        layer_uuid=recorded.layer_uuid,
        overrides=places.mask_flat(to_json(patch if above else NOTHING)),
        protected=places.pointers(after),
    )


def check_name(kind: str, key: str) -> None:
    """Raise ValidationFailed for what no document is called."""
    names.check_kind(kind)
    names.check_key(kind, key)


def _check_expected(expected: Expected, state: State, version: str) -> None:
    exists = state is not MISSING
    if expected.version is not None and (not exists or expected.version != version):
        raise VersionConflict(expected.version, version if exists else None)
    if expected.exists is not None and expected.exists != exists:
        raise VersionConflict("*" if expected.exists else "none", version if exists else None)
