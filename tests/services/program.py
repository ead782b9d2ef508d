"""One project driven at random, beside its model."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

import pytest

from app.domain.errors import (
    Conflict,
    DocumentNotFound,
    PatchTestFailed,
    PathNotFound,
    ValidationFailed,
    VersionConflict,
)
from app.domain.model import Actor
from app.domain.values import MISSING, State, Value
from app.services import backups, checkpoints, documents, environments, revert, transfer
from app.services.branching import ForkOptions
from app.services.documents import ANY, Expected
from app.storage.codec import encode
from tests.services import patching
from tests.services.model import PROJECT, Name, Node, World, exactly
from tests.services.patching import Path
from tests.strategies import document_of, value_of

NAMES: Sequence[Name] = (
    PROJECT,
    *(("user", f"u{number}") for number in range(4)),
    ("page", "home"),
    ("page", "a/b.ü"),
)
USERS = tuple(key for kind, key in NAMES if kind == "user")
MOST_ENVIRONMENTS = 5


@dataclass
class Taken:
    """A snapshot, and the generation that the model has for it."""

    uuid: UUID
    node: Node


class Program:
    """Each step does the same to the project and to the model; the class below it compares the two."""

    def __init__(self, seed: int, actor: Actor, project_id: int) -> None:
        self.chance = random.Random(seed)
        self.actor = actor
        self.project_id = project_id
        self.world = World()
        self.uuids: dict[str | None, UUID] = {}
        self.taken: list[Taken] = []
        self.pins: list[Taken] = []
        self.backups: list[Taken] = []
        self.versions: dict[tuple[str | None, Name], str] = {}
        self.counter = 0

    async def step(self) -> str:
        """Take one step; return what it was."""
        steps = self.steps()
        chosen = self.chance.choices(list(steps), list(steps.values()))[0]
        await chosen()
        return chosen.__name__

    def steps(self) -> dict[Callable[[], Awaitable[None]], int]:
        """Return the steps there are, and how often each is taken."""
        return {
            self.put: 5,
            self.merge: 5,
            self.patch: 4,
            self.delete: 3,
            self.fork: 3,
            self.checkpoint: 2,
            self.rollback: 1,
            self.drop_checkpoint: 1,
            self.pin: 1,
            self.backup: 1,
            self.restore: 2,
            self.revert: 2,
            self.import_: 2,
            self.archive: 2,
        }

    def document(self, name: Name) -> Value:
        drawn = self.chance.randbytes(48)
        return value_of(drawn) if name != PROJECT and self.chance.random() < 0.1 else document_of(drawn)

    def environment(self) -> str | None:
        return self.chance.choice(list(self.world.heads))

    def fork_name(self) -> str:
        self.counter += 1
        return f"env-{self.counter}"

    def place(self) -> tuple[str | None, Name, State]:
        env, name = self.environment(), self.chance.choice(NAMES)
        return env, name, self.world.heads[env].state(name)

    def path_in(self, state: State) -> Path:
        known = list(patching.places(state)) if state is not MISSING else []
        return self.chance.choice(known) if known and self.chance.random() < 0.3 else ()

    async def expected(self, env: str | None, name: Name) -> Expected:
        """Return what is believed of a document, after a stale belief was refused."""
        current = self.versions.get((env, name))
        if self.chance.random() < 0.8 or current is None:
            return ANY
        exists = self.world.heads[env].state(name) is not MISSING
        for stale in (Expected(version=current[::-1]), Expected(exists=not exists)):
            with pytest.raises(VersionConflict):
                await documents.put(self.actor, self.project_id, env, *name, {}, expected=stale)
        return Expected(version=current, exists=True) if exists else ANY

    async def put(self) -> None:
        env, name, state = self.place()
        path, value = self.path_in(state), self.document(name)
        after = value if state is MISSING else patching.put_at(state, path, value)
        expected = await self.expected(env, name)
        written = await documents.put(self.actor, self.project_id, env, *name, value, path=path, expected=expected)
        assert written.created == (state is MISSING)
        self.world.write(env, name, after)

    async def merge(self) -> None:
        env, name, state = self.place()
        patch, path = document_of(self.chance.randbytes(48)), self.path_in(state)
        if state is MISSING:
            with pytest.raises(DocumentNotFound):
                await documents.merge(self.actor, self.project_id, env, *name, patch)
            return
        after = patching.put_at(state, path, patching.merge_patched(patching.at(state, path), patch))
        expected = await self.expected(env, name)
        await documents.merge(self.actor, self.project_id, env, *name, patch, path=path, expected=expected)
        self.world.write(env, name, after)

    async def patch(self) -> None:
        env, name, state = self.place()
        if state is MISSING:
            with pytest.raises(DocumentNotFound):
                await documents.patch(self.actor, self.project_id, env, *name, [])
            return
        value = document_of(self.chance.randbytes(48))
        operations, after = patching.json_patch(self.chance, state, value)
        wrong: Value = {"op": "test", "path": "", "value": "another"}
        with pytest.raises(PatchTestFailed):
            await documents.patch(self.actor, self.project_id, env, *name, [*operations, wrong])
        await documents.patch(self.actor, self.project_id, env, *name, operations)
        self.world.write(env, name, after)

    async def delete(self) -> None:
        env, name, state = self.place()
        if name == PROJECT:
            return
        if state is MISSING:
            with pytest.raises(DocumentNotFound):
                await documents.delete(self.actor, self.project_id, env, *name)
            return
        await documents.delete(self.actor, self.project_id, env, *name, expected=await self.expected(env, name))
        self.world.write(env, name, MISSING)

    async def fork(self) -> None:
        if len(self.world.heads) > MOST_ENVIRONMENTS:
            return
        source, name = self.environment(), self.fork_name()
        chosen = set(self.chance.sample([*USERS, "nobody"], 3)) if self.chance.random() < 0.3 else None
        options = ForkOptions(
            name,
            parent_env_uuid=self.uuids[source],
            user_uuids=None if chosen is None else sorted(chosen),
        )
        made = await environments.fork(self.actor, self.project_id, options)
        self.world.fork(self.world.heads[source], name, chosen)
        self.uuids[name] = made.environment.uuid
        assert made.forked_count == len(self.world.documents(name))

    async def checkpoint(self) -> None:
        env = self.environment()
        taken = await checkpoints.checkpoint(self.actor, self.uuids[env], None)
        self.taken.append(Taken(taken.uuid, self.world.checkpoint(env)))
        assert taken.entity_count == len(self.world.documents(env))

    async def rollback(self) -> None:
        if not self.taken or len(self.world.heads) > MOST_ENVIRONMENTS:
            return
        source, name = self.chance.choice(self.taken), self.fork_name()
        made = await checkpoints.rollback(self.actor, source.uuid, name)
        self.roll_back(source.node, name)
        self.uuids[name] = made.environment.uuid
        assert made.environment.parent_uuid == self.uuids[source.node.env]
        assert made.forked_count == len(self.world.documents(name))

    def roll_back(self, taken: Node, name: str) -> None:
        self.world.fork(taken, name)

    async def drop_checkpoint(self) -> None:
        if not self.taken:
            return
        taken = self.chance.choice(self.taken)
        world = self.world
        if taken.node in world.heads.values() or any(node.parent is taken.node for node in world.nodes):
            with pytest.raises(Conflict):
                await checkpoints.delete_checkpoint(self.actor, taken.uuid)
            return
        await checkpoints.delete_checkpoint(self.actor, taken.uuid)
        self.taken.remove(taken)
        world.nodes.remove(taken.node)

    async def pin(self) -> None:
        env = self.environment()
        taken = await checkpoints.pin(self.actor, self.uuids[env])
        self.pins.append(Taken(taken.uuid, self.world.snapshot(env)))
        assert taken.entity_count == len(self.world.documents(env))

    async def backup(self) -> None:
        taken = await backups.backup(self.actor, self.project_id)
        self.backups.append(Taken(taken.uuid, self.world.snapshot(None)))
        assert taken.entity_count == len(self.world.documents(None))

    async def restore(self) -> None:
        if not self.backups:
            return
        backup = self.chance.choice(self.backups)
        then = self.world.shown(backup.node)
        wanted = None if self.chance.random() < 0.5 else self.chance.sample(NAMES, 3)
        if wanted is not None and not set(wanted) <= set(then):
            with pytest.raises(DocumentNotFound):
                await backups.restore(self.actor, self.project_id, backup.uuid, wanted)
            wanted = [name for name in wanted if name in then]
        before = self.world.documents(None)
        restored = await backups.restore(self.actor, self.project_id, backup.uuid, wanted)
        for name in self.world.names if wanted is None else wanted:
            self.world.write(None, name, then.get(name, MISSING))
        after = self.world.documents(None)
        assert (restored.created, restored.deleted) == (len(after.keys() - before), len(before.keys() - after))
        assert restored.created + restored.changed + restored.deleted == len(self.world.written)

    async def revert(self) -> None:
        env = self.environment()
        if env is None or self.world.parents[env] not in self.world.heads:
            return
        head, parent = self.world.heads[env], self.world.heads[self.world.parents[env]]
        if self.chance.random() < 0.5:
            await revert.revert(self.actor, self.uuids[env])
            names = [name for name in self.world.names if head.in_sight(name)]
            for name in names:
                self.revert_to(env, name, parent.state(name))
            return
        kind, key = name = self.chance.choice(sorted(self.world.names))
        path = self.path_in(self.chance.choice([head.state(name), parent.state(name)]))
        if path and head.state(name) is not MISSING:
            await self._revert_path(env, name, path, parent.state(name))
            return
        await revert.revert(self.actor, self.uuids[env], kind=kind, key=key)
        if head.in_sight(name):
            self.revert_to(env, name, parent.state(name))

    def revert_to(self, env: str, name: Name, state: State) -> None:
        self.world.write(env, name, state)

    async def _revert_path(self, env: str, name: Name, path: Path, theirs: State) -> None:
        kind, key = name
        after = patching.taken_over(self.world.heads[env].state(name), theirs, path)
        reverting = revert.revert(self.actor, self.uuids[env], kind=kind, key=key, paths=[path])
        if after is None:
            with pytest.raises(PathNotFound):
                await reverting
            return
        await reverting
        self.revert_to(env, name, after)

    async def import_(self) -> None:
        env, names = self.environment(), self.chance.sample(NAMES, 3)
        wanted = {name: self.document(name) for name in names}
        lines = [encode({"kind": kind, "key": key, "data": data}) + b"\n" for (kind, key), data in wanted.items()]

        async def sent(lines: Sequence[bytes]) -> AsyncIterator[bytes]:
            for line in lines:
                yield line

        with pytest.raises(ValidationFailed):
            await transfer.import_documents(self.actor, self.project_id, env, sent([*lines, lines[0]]))
        known = self.world.documents(env)
        imported = await transfer.import_documents(self.actor, self.project_id, env, sent(lines))
        for name, data in wanted.items():
            self.world.write(env, name, data)
        assert (imported.lines, imported.created) == (3, len(wanted.keys() - known))
        assert imported.changed == len(self.world.written) - imported.created

    async def archive(self) -> None:
        env = self.environment()
        if env is not None and len(self.world.heads) > 3:
            archived = await environments.archive(self.actor, self.uuids[env])
            assert archived.removed_diffs == self.world.archive(env)

    def remembered(self) -> dict[str | None, dict[Name, object]]:
        """Return what each environment shows now."""
        return {env: exactly(self.world.documents(env)) for env in self.world.heads}
