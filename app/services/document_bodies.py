"""The busiest read: a document as JSON text, merged once and then kept for as long as nothing it is made of changes."""

from dataclasses import dataclass
from uuid import UUID

from app.domain.errors import DocumentNotFound, EnvironmentArchived, EnvironmentNotFound, ProjectNotFound
from app.domain.layers import resolve, version_tag
from app.domain.members import Membership
from app.domain.model import Actor, At, EnvStatus
from app.domain.names import check_key, check_kind
from app.domain.policy import Operation
from app.domain.protected import NOTHING_PROTECTED
from app.domain.values import MISSING
from app.services import access, documents
from app.services.cache import MergeCache, Merged
from app.storage import current, protections
from app.storage.codec import encode_document
from app.storage.stored_patch import patch_of

merge_cache = MergeCache(64 * 1024 * 1024)


@dataclass(frozen=True, slots=True)
class Body:
    """A document as it is sent, with its version."""

    version: str
    content: bytes


async def read(actor: Actor, project_id: int, env: str | None, kind: str, key: str, *, at: At | None = None) -> Body:
    """Return a document as JSON text, from the merge cache where its layers have not changed: one statement.

    Raises as ``documents.read`` does.
    """
    if at is not None:
        document = await documents.read(actor, project_id, env, kind, key, at=at)
        return Body(document.version, encode_document(document.state))
    membership = await access.authorize(actor, project_id, Operation.READ)
    check_key(check_kind(kind), key)
    name = (project_id, _expected_environment(membership) if env is None else env, kind, key)
    known = merge_cache.get(name)
    found = await current.read(
        project_id,
        _meant(actor, env),
        kind,
        key,
        known.generation_uuid if known else None,
        known.layer_versions if known else None,
        known.list_version if known else None,
    )
    if found is None:
        raise ProjectNotFound if env is None else EnvironmentNotFound(env)
    if found.status is EnvStatus.ARCHIVED:
        raise EnvironmentArchived(found.env_uuid if env is None else env, active=env is None)
    if known is None or found.layers is not None or not found.layer_versions:
        merge_cache.misses += 1
        known = await _merged(found, project_id, kind, key)
        merge_cache.put(name, known)
    else:
        merge_cache.hits += 1
    return Body(known.version, known.content)


def _meant(actor: Actor, env: str | None) -> UUID | str | current.ActiveOf | None:
    if env is not None:
        return access.normal_reference(env)
    return None if actor.is_key else current.ActiveOf(actor.account_uuid)


def _expected_environment(membership: Membership | None) -> str | None:
    # Only tells where to look in the cache. Which environment it is, and whether the entry is good, the statement says.
    return str(membership.active_env_uuid) if membership and membership.active_env_uuid else None


async def _merged(found: current.Current, project_id: int, kind: str, key: str) -> Merged:
    state = resolve(patch_of(*layer) for layer in found.layers or ()) if found.in_sight else MISSING
    if state is MISSING:
        raise DocumentNotFound(kind, key)
    protected = NOTHING_PROTECTED
    if found.list_version:
        protected = await protections.of(project_id, found.generation_uuid)
    version = version_tag(found.generation_uuid, found.layer_versions, protected.tag)
    content = encode_document(protected.of(kind).mask(state))
    return Merged(found.generation_uuid, found.layer_versions, found.list_version, version, content)
