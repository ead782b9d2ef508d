"""A random program that also promotes, rebases and rolls back, beside the model of that."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

import pytest

from app.domain.model import Actor
from app.domain.promotion import DocumentConflict, DocumentPaths, DocumentResolution, PromotionStatus
from app.domain.promotion_errors import ConflictsOpen
from app.domain.values import MISSING, State
from app.services import documents, promoting, rebasing, releasing
from app.services.promoting import PromoteOptions
from tests.services import patching
from tests.services.merging import Conflicts, Path, same
from tests.services.model import PROJECT, Name, Node, exact
from tests.services.program import Program
from tests.services.promoted_world import Change, PromotedWorld, Release, Resolutions
from tests.strategies import document_of


@dataclass
class Made:
    """A release, and what the model knows of it."""

    uuid: UUID
    release: Release


class PromotingProgram(Program):
    """Each step does the same to the project and to the model."""

    world: PromotedWorld

    def __init__(self, seed: int, actor: Actor, project_id: int) -> None:
        super().__init__(seed, actor, project_id)
        self.world = PromotedWorld()
        self.releases: list[Made] = []

    def steps(self) -> dict[Callable[[], Awaitable[None]], int]:
        return super().steps() | {
            self.diverge: 5,
            self.promote: 7,
            self.rebase: 3,
            self.rollback_release: 2,
        }

    def roll_back(self, taken: Node, name: str) -> None:
        self.world.rolled_back(taken, name)

    def revert_to(self, env: str, name: Name, state: State) -> None:
        self.world.write(env, name, state, carried=False)

    def _one(self) -> str | None:
        names = [name for name in self.world.heads if name is not None]
        return self.chance.choice(names) if names else None

    def _resolving(self, conflicts: dict[Name, Conflicts]) -> tuple[Resolutions, list[DocumentResolution]]:
        """Settle every conflict, each in its way."""
        told: Resolutions = {}
        given: list[DocumentResolution] = []
        for name, merged in conflicts.items():
            settled: dict[Path, State] = {}
            for path, sides in merged.open.items():
                state = self.chance.choice([*sides, MISSING, self.document(name)])
                if name == PROJECT and path == () and not isinstance(state, dict):
                    state = {"settled": True}
                settled[path] = state
                given.append(DocumentResolution(*name, patching.pointer(path), None, state))
            told[name] = settled
        return told, given

    async def diverge(self) -> None:
        """Change one document in an environment and in production, often at the same places."""
        env = self._one()
        if env is None:
            return
        known = [name for name in sorted(self.world.names) if self.world.root.state(name) is not MISSING]
        name = self.chance.choice(known)
        for place in self.chance.sample([env, None], 2):
            patch, state = document_of(self.chance.randbytes(48)), self.world.heads[place].state(name)
            if state is MISSING:
                await documents.put(self.actor, self.project_id, place, *name, patch)
                self.world.write(place, name, patch)
            else:
                await documents.merge(self.actor, self.project_id, place, *name, patch)
                self.world.write(place, name, patching.merge_patched(state, patch))

    async def promote(self) -> None:
        env = self._one()
        if env is None:
            return
        paths = self._paths(self.world.carried(env, None, {})) if self.chance.random() < 0.4 else None
        chosen = None if paths is None else [_named(name, some) for name, some in paths.items()]
        changes = self.world.carried(env, paths, {})
        await self._compare_dry_run(env, chosen, changes)
        resolve: Resolutions = {}
        given: list[DocumentResolution] = []
        if _open(changes) and self.chance.random() < 0.6:
            resolve, given = self._resolving({name: change.merged for name, change in changes.items()})
            changes = self.world.carried(env, paths, resolve)
        made = await promoting.promote(self.actor, self.uuids[env], PromoteOptions(paths=chosen, resolutions=given))
        _compare_conflicts(made.conflicts, {name: change.merged for name, change in changes.items()})
        if _open(changes):
            assert made.status is PromotionStatus.BLOCKED
            self.world.blocked(env)
            return
        assert made.status is PromotionStatus.COMPLETED, made.checks
        self.world.promote(env, changes)
        self._released(made.release_uuid)

    def _released(self, uuid: UUID | None) -> None:
        assert uuid is not None
        self.releases.append(Made(uuid, self.world.releases[-1]))
        # What stands on production now has another version, though it shows the same.
        self.forget_versions()

    def forget_versions(self) -> None:
        self.versions.clear()

    def _paths(self, changes: dict[Name, Change]) -> dict[Name, list[Path]] | None:
        known = [(name, path) for name in sorted(changes) for path in changes[name].leaves]
        if not known:
            return None
        paths: dict[Name, list[Path]] = {}
        for name, path in self.chance.sample(known, self.chance.randint(1, min(3, len(known)))):
            paths.setdefault(name, []).append(path[: self.chance.randint(0, len(path))])
        return paths

    async def _compare_dry_run(self, env: str, chosen: list[DocumentPaths] | None, changes: dict[Name, Change]) -> None:
        checked = await promoting.dry_run(self.actor, self.uuids[env], PromoteOptions(paths=chosen))
        _compare_conflicts(checked.conflicts, {name: change.merged for name, change in changes.items()})
        found = {
            (merge.entity.kind, merge.entity.key): exact(merge.merged.state)
            for merge in checked.merges
            if not same(merge.ours, merge.merged.state)
        }
        production = self.world.root
        assert found == {
            name: exact(change.merged.state)
            for name, change in changes.items()
            if not same(production.state(name), change.merged.state)
        }

    async def rebase(self) -> None:
        env = self._one()
        if env is None:
            return
        merged = self.world.rebased(env, {})
        given: list[DocumentResolution] = []
        if any(each.open for each in merged.values()):
            with pytest.raises(ConflictsOpen) as refused:
                await rebasing.rebase(self.actor, self.uuids[env])
            told = refused.value.fields["conflicts"]
            assert isinstance(told, list)
            assert len(told) == sum(len(each.open) for each in merged.values())
            resolve, given = self._resolving(merged)
            merged = self.world.rebased(env, resolve)
        await rebasing.rebase(self.actor, self.uuids[env], given)
        self.world.rebase(env, merged)
        self.forget_versions()

    async def rollback_release(self) -> None:
        if not self.releases:
            return
        made = self.chance.choice(self.releases)
        merged = self.world.undone(made.release, {})
        given: list[DocumentResolution] = []
        if any(each.open for each in merged.values()):
            with pytest.raises(ConflictsOpen):
                await releasing.rollback_release(self.actor, made.uuid)
            resolve, given = self._resolving(merged)
            merged = self.world.undone(made.release, resolve)
        done = await releasing.rollback_release(self.actor, made.uuid, given)
        self.world.undo(made.release, merged)
        self._released(done.uuid)


def _named(name: Name, paths: list[Path]) -> DocumentPaths:
    return DocumentPaths(*name, [patching.pointer(path) for path in paths])


def _open(changes: dict[Name, Change]) -> bool:
    return any(change.merged.open for change in changes.values())


def _compare_conflicts(found: list[DocumentConflict], expected: dict[Name, Conflicts]) -> None:
    told = {
        (item.kind, item.key, item.path): (exact(item.base), exact(item.ours), exact(item.theirs)) for item in found
    }
    assert len(told) == len(found)
    assert told == {
        (*name, patching.pointer(path)): tuple(map(exact, sides))
        for name, merged in expected.items()
        for path, sides in merged.open.items()
    }
