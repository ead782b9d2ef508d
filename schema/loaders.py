"""DataLoaders: what many objects of one operation ask for is read at once, per project.

Only objects of projects that the caller was let into reach a loader, so loaders do not authorise again; each
key carries the project all the same. Never load inside a transaction: the batch would run on its connection.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeVar
from uuid import UUID

from app.domain.ab_metrics import Tally
from app.domain.bucketing import Variant
from app.domain.experiments import Experiment
from app.domain.freezes import Freeze
from app.domain.members import Invitation, Member
from app.domain.mirroring import Lag
from app.domain.model import Actor, Change, Document, Environment, Generation, Project
from app.domain.plans import Usage
from app.domain.project_settings import ProjectSettings
from app.domain.promotion import Promotion
from app.domain.query_limits import QueryLimitExceeded
from app.domain.webhooks import Webhook
from app.services import api_keys, invitations, manifests, members, promoting, resolution, tree, webhooks
from app.services.checking import Checked
from app.services.promoting import PromoteOptions
from app.services.resolution import DocumentKey
from app.storage import (
    entities,
    environments,
    experiment_counts,
    experiments,
    freezes,
    generations,
    levels,
    plan_usage,
    project_settings,
    projects,
    promotions,
    releases,
    shadows,
)
from app.storage.accounts import ApiKey
from app.storage.levels import DocumentPage
from app.storage.manifests import Manifest
from app.storage.releases import Release
from schema.data_loader import DataLoader
from schema.tree import Tree

K = TypeVar("K")
V = TypeVar("V")

MAX_WALKED: Final = 10_000

Ref = tuple[int, UUID]
"""A project's id and the UUID of something in it."""


class Loaders:
    """One operation's loaders. ``reset`` makes them forget, for whoever has just changed something."""

    walked = 0

    def __init__(self, caller: Actor | None) -> None:
        self._caller = caller

    def walk(self, found: Sequence[V]) -> Sequence[V]:
        """Count what is reached along the tree's edges, of which no query says how many. Raises QueryLimitExceeded."""
        self.walked += len(found)
        if self.walked > MAX_WALKED:
            raise QueryLimitExceeded("steps along the tree", "walked", MAX_WALKED)
        return found

    def reset(self) -> None:
        """Forget all that was loaded."""
        caller, walked = self._caller, self.walked
        vars(self).clear()
        self._caller, self.walked = caller, walked

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            # Made when the first is needed: an operation that waits for events may never need any.
            if name.startswith("_") or name in vars(self):
                raise AttributeError(name)
            self._make()
            return vars(self)[name]

    def _make(self) -> None:
        self.projects: DataLoader[int, Project | None] = DataLoader(_projects)
        self.usages: DataLoader[int, Usage] = DataLoader(_usages)
        self.settings: DataLoader[int, ProjectSettings] = DataLoader(_settings)
        self.freezes: DataLoader[int, list[Freeze]] = DataLoader(_freezes)
        self.environments: DataLoader[Ref, Environment | None] = DataLoader(_environments)
        self.shadow_lags: DataLoader[Ref, Lag | None] = DataLoader(_shadow_lags)
        self.generations: DataLoader[Ref, Generation | None] = DataLoader(_generations)
        self.trees: DataLoader[int, Tree] = DataLoader(self._trees)
        self.documents: DataLoader[tuple[int, DocumentKey], Document | None] = DataLoader(_documents)
        self.document_pages: DataLoader[tuple[int, UUID, DocumentPage], list[Document]] = DataLoader(_document_pages)
        self.document_counts: DataLoader[tuple[int, UUID, str], int] = DataLoader(_document_counts)
        self.change_pages: DataLoader[tuple[int, UUID, int, int | None], list[Change]] = DataLoader(_change_pages)
        self.change_counts: DataLoader[Ref, int | None] = DataLoader(_change_counts)
        self.checkpoint_pages: DataLoader[tuple[int, UUID, int, tuple[int, str] | None], list[Generation]] = DataLoader(
            _checkpoint_pages
        )
        self.checkpoint_counts: DataLoader[Ref, int | None] = DataLoader(_checkpoint_counts)
        self.layer_counts: DataLoader[Ref, int | None] = DataLoader(_layer_counts)
        self.promotions: DataLoader[Ref, Promotion | None] = DataLoader(_promotions)
        self.tallies: DataLoader[Ref, dict[Variant, Tally] | None] = DataLoader(_tallies)
        self.experiments: DataLoader[Ref, Experiment | None] = DataLoader(_experiments)
        self.manifests: DataLoader[Ref, Manifest | None] = DataLoader(_manifests)
        self.releases: DataLoader[Ref, Release | None] = DataLoader(_releases)
        self.checked: DataLoader[Ref, Checked] = DataLoader(self._checked)
        self.kinds: DataLoader[tuple[int, str], bool] = DataLoader(_kinds)
        self.api_keys: DataLoader[int, list[ApiKey]] = DataLoader(self._api_keys)
        self.webhooks: DataLoader[int, list[Webhook]] = DataLoader(self._webhooks)
        self.members: DataLoader[int, list[Member]] = DataLoader(self._members)
        self.invitations: DataLoader[int, list[Invitation]] = DataLoader(self._invitations)

    async def _checked(self, refs: list[Ref]) -> list[Checked]:
        assert self._caller is not None
        options = PromoteOptions()
        return [await promoting.dry_run(self._caller, uuid, options, project_id) for project_id, uuid in refs]

    async def environment(self, project_id: int, uuid: UUID) -> Environment:
        """Return an environment that another object of the project names."""
        found = await self.environments.load((project_id, uuid))
        if found is None:
            raise LookupError("an environment that is referred to is gone")
        return found

    async def generation(self, project_id: int, uuid: UUID) -> Generation:
        """Return a generation that another object of the project names."""
        found = await self.generations.load((project_id, uuid))
        if found is None:
            raise LookupError("a generation that is referred to is gone")
        return found

    async def project(self, project_id: int) -> Project:
        """Return a project that the caller was let into."""
        found = await self.projects.load(project_id)
        if found is None:
            raise LookupError("a project that is referred to is gone")
        return found

    def known(self, found: Sequence[Environment]) -> None:
        """Keep environments that were read by other means."""
        for environment in found:
            self.environments.prime((environment.project_id, environment.uuid), environment)

    async def _trees(self, project_ids: list[int]) -> list[Tree]:
        assert self._caller is not None
        trees = []
        for project_id in project_ids:
            nodes = await tree.tree(self._caller, project_id)
            for node in nodes:
                self.generations.prime((project_id, node.generation.uuid), node.generation)
                self.environments.prime((project_id, node.environment.uuid), node.environment)
            trees.append(Tree.of(nodes))
        return trees

    async def _webhooks(self, project_ids: list[int]) -> list[list[Webhook]]:
        assert self._caller is not None
        return [await webhooks.list_webhooks(self._caller, project_id) for project_id in project_ids]

    async def _api_keys(self, project_ids: list[int]) -> list[list[ApiKey]]:
        assert self._caller is not None
        return [await api_keys.list_keys(self._caller, project_id) for project_id in project_ids]

    async def _members(self, project_ids: list[int]) -> list[list[Member]]:
        assert self._caller is not None
        return [await members.everyone(self._caller, project_id) for project_id in project_ids]

    async def _invitations(self, project_ids: list[int]) -> list[list[Invitation]]:
        assert self._caller is not None
        return [await invitations.pending(self._caller, project_id) for project_id in project_ids]


async def _by_project(
    refs: Sequence[tuple[int, K]], fetch: Callable[[int, list[K]], Awaitable[Mapping[K, V]]]
) -> list[V | None]:
    """Return the values of keys of several projects, in their order, with one ``fetch`` per project."""
    wanted: defaultdict[int, list[K]] = defaultdict(list)
    for project_id, key in refs:
        wanted[project_id].append(key)
    found = {project_id: await fetch(project_id, keys) for project_id, keys in wanted.items()}
    return [found[project_id].get(key) for project_id, key in refs]


async def _shadow_lags(refs: list[Ref]) -> list[Lag | None]:
    return await _by_project(refs, shadows.lags)


async def _projects(project_ids: list[int]) -> list[Project | None]:
    found = {project.id: project for project in await projects.list_page(project_ids, len(project_ids), 0)}
    return [found.get(project_id) for project_id in project_ids]


async def _usages(project_ids: list[int]) -> list[Usage]:
    found = await plan_usage.get_many(project_ids)
    return [found[project_id] for project_id in project_ids]


async def _settings(project_ids: list[int]) -> list[ProjectSettings]:
    found = await project_settings.get_many(project_ids)
    return [found.get(project_id, ProjectSettings()) for project_id in project_ids]


async def _freezes(project_ids: list[int]) -> list[list[Freeze]]:
    found = await freezes.living(project_ids, datetime.now(UTC))
    return [found[project_id] for project_id in project_ids]


async def _environments(refs: list[Ref]) -> list[Environment | None]:
    return await _by_project(refs, environments.get_many)


async def _promotions(refs: list[Ref]) -> list[Promotion | None]:
    return await _by_project(refs, promotions.get_many)


async def _manifests(refs: list[Ref]) -> list[Manifest | None]:
    return await _by_project(refs, manifests.of_environments)


async def _experiments(refs: list[Ref]) -> list[Experiment | None]:
    return await _by_project(refs, experiments.get_many)


async def _tallies(refs: list[Ref]) -> list[dict[Variant, Tally] | None]:
    return await _by_project(refs, experiment_counts.tallies)


async def _releases(refs: list[Ref]) -> list[Release | None]:
    return await _by_project(refs, releases.get_many)


async def _generations(refs: list[Ref]) -> list[Generation | None]:
    return await _by_project(refs, generations.get_many)


async def _layer_counts(refs: list[Ref]) -> list[int | None]:
    return await _by_project(refs, levels.count_layers)


async def _documents(refs: list[tuple[int, DocumentKey]]) -> list[Document | None]:
    async def fetch(project_id: int, keys: list[DocumentKey]) -> Mapping[DocumentKey, Document | None]:
        return dict(zip(keys, await resolution.documents(project_id, keys), strict=True))

    return await _by_project(refs, fetch)


async def _alike(
    asked: Sequence[tuple[int, UUID, K]], fetch: Callable[[int, list[UUID], K], Awaitable[Mapping[UUID, V]]]
) -> list[V]:
    """Return what was asked of each UUID, with one ``fetch`` for all UUIDs of which the same was asked."""
    groups: defaultdict[tuple[int, K], list[UUID]] = defaultdict(list)
    for project_id, uuid, question in asked:
        groups[project_id, question].append(uuid)
    found = {group: await fetch(group[0], uuids, group[1]) for group, uuids in groups.items()}
    return [found[project_id, question][uuid] for project_id, uuid, question in asked]


async def _document_pages(asked: list[tuple[int, UUID, DocumentPage]]) -> list[list[Document]]:
    pages = await _alike(asked, levels.document_pages)
    return [[stack.document() for stack in page] for page in pages]


async def _document_counts(asked: list[tuple[int, UUID, str]]) -> list[int]:
    return await _alike(asked, levels.count_documents)


async def _change_pages(asked: list[tuple[int, UUID, int, int | None]]) -> list[list[Change]]:
    async def fetch(
        project_id: int, env_uuids: list[UUID], page: tuple[int, int | None]
    ) -> Mapping[UUID, list[Change]]:
        return await levels.change_pages(project_id, env_uuids, *page)

    return await _alike([(project_id, uuid, (limit, before)) for project_id, uuid, limit, before in asked], fetch)


async def _change_counts(refs: list[Ref]) -> list[int | None]:
    return await _by_project(refs, levels.count_changes_in)


async def _checkpoint_pages(asked: list[tuple[int, UUID, int, tuple[int, str] | None]]) -> list[list[Generation]]:
    async def fetch(
        project_id: int, env_uuids: list[UUID], page: tuple[int, tuple[int, str] | None]
    ) -> Mapping[UUID, list[Generation]]:
        return await levels.checkpoint_pages(project_id, env_uuids, *page)

    return await _alike([(project_id, uuid, (limit, before)) for project_id, uuid, limit, before in asked], fetch)


async def _checkpoint_counts(refs: list[Ref]) -> list[int | None]:
    return await _by_project(refs, levels.count_checkpoints_of)


async def _kinds(asked: list[tuple[int, str]]) -> list[bool]:
    return [await entities.kind_exists(project_id, kind) for project_id, kind in asked]
