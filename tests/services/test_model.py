"""Random programs on the services, compared step by step with the model, and afterwards through time."""

import random
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from app.domain.errors import DocumentNotFound, VersionNotFound
from app.domain.model import Actor, At, Plan
from app.domain.values import MISSING, Value
from app.services import (
    backups,
    checkpoints,
    comparison,
    documents,
    environments,
    projects,
    revert,
    transfer,
)
from app.services.branching import ForkOptions
from app.storage import changes
from app.storage.codec import encode_document, loads
from tests.services.model import Documents, Node, World

KEYS = ("a", "b", "c.d")
USERS = tuple(f"u{number}" for number in range(5))
SCALARS: tuple[Value, ...] = (None, 0, 1, "x", [], {}, [1, {"a": None}], {"a": 1}, {"a": {"b": 2}}, True)


class Program:
    """One project driven at random, beside its model."""

    def __init__(self, seed: int, actor: Actor, project_id: int) -> None:
        self.random = random.Random(seed)
        self.actor = actor
        self.project_id = project_id
        self.world = World()
        self.uuids: dict[str, UUID] = {}
        self.snapshots: list[tuple[UUID, Node]] = []
        self.backups: list[tuple[UUID, Documents]] = []
        self.past: list[tuple[int, dict[str | None, Documents]]] = []
        self.counter = 0

    def value(self, depth: int = 0) -> Value:
        if depth > 2 or self.random.random() < 0.3:
            return self.random.choice(SCALARS)
        keys = self.random.sample(KEYS, self.random.randint(0, len(KEYS)))
        return {key: self.value(depth + 1) for key in keys}

    def document(self) -> dict[str, Value]:
        return {key: self.value() for key in KEYS if self.random.random() < 0.7}

    def environment(self) -> str | None:
        return self.random.choice([None, *self.uuids])

    def name(self) -> tuple[str, str]:
        return self.random.choice([("project", "project"), *(("user", key) for key in USERS), ("page", "home")])

    async def step(self) -> None:
        steps = [self.put] * 6 + [self.merge] * 6 + [self.delete] * 3 + [self.fork] * 2 + [self.checkpoint]
        steps += [self.rollback, self.pin, self.backup, self.restore, self.revert, self.import_, self.archive]
        await self.random.choice(steps)()

    async def put(self) -> None:
        env, (kind, key), value = self.environment(), self.name(), self.document()
        await documents.put(self.actor, self.project_id, env, kind, key, value)
        self.world.write(env, (kind, key), value)

    async def merge(self) -> None:
        env, (kind, key), patch = self.environment(), self.name(), self.document()
        state = self.world.state(env, (kind, key))
        if state is MISSING:
            with pytest.raises(DocumentNotFound):
                await documents.merge(self.actor, self.project_id, env, kind, key, patch)
            return
        written = await documents.merge(self.actor, self.project_id, env, kind, key, patch)
        assert written.document.state is not MISSING
        self.world.write(env, (kind, key), written.document.state)

    async def delete(self) -> None:
        env, (kind, key) = self.environment(), self.name()
        if kind == "project" or self.world.state(env, (kind, key)) is MISSING:
            return
        await documents.delete(self.actor, self.project_id, env, kind, key)
        self.world.write(env, (kind, key), MISSING)

    async def fork(self) -> None:
        source = self.environment()
        selected = set(self.random.sample(USERS, 2)) if self.random.random() < 0.3 else None
        self.counter += 1
        name = f"env-{self.counter}"
        options = ForkOptions(
            name,
            parent_env_uuid=self.uuids[source] if source else None,
            user_uuids=sorted(selected) if selected is not None else None,
        )
        made = await environments.fork(self.actor, self.project_id, options)
        self.world.fork(source, name, selected)
        self.uuids[name] = made.environment.uuid
        assert made.forked_count == len(self.world.documents(name))

    async def checkpoint(self) -> None:
        env = self.environment()
        if env is not None:
            taken = await checkpoints.checkpoint(self.actor, self.uuids[env], None)
            self.snapshots.append((taken.uuid, self.world.checkpoint(env)))
            assert taken.entity_count == len(self.world.documents(env))

    async def rollback(self) -> None:
        if self.snapshots:
            uuid, node = self.random.choice(self.snapshots)
            self.counter += 1
            name = f"env-{self.counter}"
            made = await checkpoints.rollback(self.actor, uuid, name)
            self.uuids[name] = made.environment.uuid
            self.world.heads[name] = Node(parent=node)
            source = next((env for env, known in self.uuids.items() if known == made.environment.parent_uuid), None)
            if source is None:
                del self.uuids[name], self.world.heads[name]
                await environments.archive(self.actor, made.environment.uuid)
            else:
                self.world.parents[name] = source

    async def pin(self) -> None:
        env = self.environment()
        if env is not None:
            expected = self.world.documents(env)
            taken = await checkpoints.pin(self.actor, self.uuids[env])
            shown = await checkpoints.snapshot(self.actor, taken.uuid, limit=200)
            assert {(item.entity.kind, item.entity.key): item.state for item in shown.page.items} == expected

    async def backup(self) -> None:
        taken = await backups.backup(self.actor, self.project_id)
        self.backups.append((taken.uuid, self.world.documents(None)))

    async def restore(self) -> None:
        if self.backups:
            uuid, then = self.random.choice(self.backups)
            await backups.restore(self.actor, self.project_id, uuid)
            for name in sorted(self.world.names):
                self.world.write(None, name, then.get(name, MISSING))

    async def revert(self) -> None:
        env = self.environment()
        if env is not None and self.world.parents[env] in self.world.heads:
            await revert.revert(self.actor, self.uuids[env])
            self.world.revert(env)

    async def import_(self) -> None:
        env = self.environment()
        wanted = {("user", key): self.document() for key in self.random.sample(USERS, 3)}

        async def lines() -> AsyncIterator[bytes]:
            for (kind, key), data in wanted.items():
                yield encode_document({"kind": kind, "key": key, "data": data}) + b"\n"

        await transfer.import_documents(self.actor, self.project_id, env, lines())
        for name, data in wanted.items():
            self.world.write(env, name, data)

    async def archive(self) -> None:
        env = self.environment()
        if env is not None and env not in self.world.parents.values() and len(self.uuids) > 3:
            await environments.archive(self.actor, self.uuids.pop(env))
            del self.world.heads[env], self.world.parents[env]

    async def exported(self, env: str | None, at: At | None = None) -> Documents:
        found: Documents = {}
        async for chunk in await transfer.export_documents(self.actor, self.project_id, env, at=at):
            for line in chunk.splitlines():
                value = loads(line)
                assert isinstance(value, dict)
                found[str(value["kind"]), str(value["key"])] = value["data"]
        return found

    async def compare(self) -> None:
        state: dict[str | None, Documents] = {}
        for env in self.world.heads:
            state[env] = await self.exported(env)
            assert state[env] == self.world.documents(env), env
        self.past.append((await changes.current_version(self.project_id), state))
        await self.compare_diff()

    async def compare_diff(self) -> None:
        env = self.environment()
        if env is None:
            return
        head, production = self.world.heads[env], self.world.documents(None)
        mine = self.world.documents(env)
        expected = {
            name
            for name in self.world.names
            if head.in_sight(name) and repr(mine.get(name)) != repr(production.get(name))
        }
        found = await comparison.environment_diff(self.actor, self.uuids[env], limit=200)
        assert {(item.entity.kind, item.entity.key) for item in found.page.items} >= {
            name for name in expected if mine.get(name) != production.get(name)
        }
        assert found.added + found.removed + found.modified == len(found.page.items)
        for item in found.page.items:
            name = (item.entity.kind, item.entity.key)
            assert item.new == mine.get(name, MISSING)
            assert item.old == production.get(name, MISSING)

    async def compare_past(self) -> None:
        for version, states in self.past:
            for env, expected in states.items():
                if env in self.world.heads:
                    assert await self.exported(env, At(version=version)) == expected, (version, env)
        for env in self.uuids:
            with pytest.raises(VersionNotFound):
                await self.exported(env, At(version=0))


async def _run(seed: int, actor: Actor, steps: int) -> None:
    project = await projects.create(actor, f"Model {seed}", Plan.ENTERPRISE)
    program = Program(seed, actor, project.id)
    for _ in range(steps):
        await program.step()
        await program.compare()
    await program.compare_past()


@pytest.mark.parametrize("seed", range(12))
async def test_programs(seed: int, actor: Actor) -> None:
    await _run(seed, actor, 30)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1_000, 1_100))
async def test_more_programs(seed: int, actor: Actor) -> None:
    await _run(seed, actor, 45)
