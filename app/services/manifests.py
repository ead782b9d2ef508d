"""Manifests: what forks were made of, for those who may read the project; without what is protected since."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from app.domain.model import USER_KIND, Actor
from app.domain.policy import Operation
from app.domain.protected import Protection
from app.domain.rules import without_values
from app.domain.segment_errors import ManifestNotFound
from app.services import access
from app.storage import manifests, protections
from app.storage.manifests import Manifest


async def get(actor: Actor, manifest_uuid: UUID, project_id: int | None = None) -> Manifest:
    """Return a manifest. Raises ManifestNotFound."""
    found = await access.seek(actor, project_id, lambda ids: manifests.get(ids, manifest_uuid))
    if found is None:
        raise ManifestNotFound
    await access.authorize(actor, found.project_id, Operation.READ)
    return _shown(found, await protections.everywhere(found.project_id))


async def of_environments(project_id: int, env_uuids: Sequence[UUID]) -> dict[UUID, Manifest]:
    """Return the manifests of environments of a project that the caller was let into; production has none."""
    protected = await protections.everywhere(project_id)
    found = await manifests.of_environments(project_id, list(env_uuids))
    return {uuid: _shown(manifest, protected) for uuid, manifest in found.items()}


def _shown(manifest: Manifest, protected: Protection) -> Manifest:
    asked = manifest.user_filter
    if asked is None or "rules" not in asked:
        return manifest
    return replace(manifest, user_filter={**asked, "rules": without_values(asked["rules"], protected.of(USER_KIND))})
