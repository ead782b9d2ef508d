"""Random programs with environments that mirror production, beside a model of what those are to show.

The model replays production's writes leaf by leaf. Every value is written once, so that no two are equal by accident.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from app.domain.carrying import narrowed
from app.domain.model import Actor, Plan
from app.domain.patch import leaves
from app.domain.values import MISSING, State, Value
from app.services import environments, projects, promoting, shadow
from app.services.branching import ForkOptions
from app.services.environments import EnvironmentUpdate
from app.services.promoting import PromoteOptions
from tests.services.invariants import check_invariants
from tests.services.model import Leaves, exact, overlaid, overrides
from tests.services.shop import Shop

NAMES = ("a", "b", "c", "d")
PATHS: Sequence[tuple[str, ...]] = (("x", "p"), ("x", "q"), ("y", "p"), ("y", "q"), ("z",))


def _covers(above: tuple[str, ...], path: tuple[str, ...]) -> bool:
    return path[: len(above)] == above


@dataclass
class Mirror:
    """An environment as it is to be: what it shows, what it overrides itself, what its parent holds of a document."""

    name: str
    uuid: UUID
    is_frozen: bool
    overwrites: bool
    parent: dict[str, State]
    shown: dict[str, State]
    own: dict[str, Leaves] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)

    def follow(self, key: str, before: State, after: State) -> None:
        """Replay a write to production."""
        if not self.is_frozen:
            self.parent[key] = after
        shown, own = self.shown.get(key, MISSING), self.own.get(key, {})
        change = overrides(before, after)
        replayed = overlaid(shown, change)
        if not self.is_frozen:
            self._overlay(key, change, own)
        elif self.overwrites:
            self.shown[key] = replayed
            if exact(replayed) != exact(shown):
                self._disown(key, change)
        elif () not in own and not (replayed is MISSING and own):
            self.shown[key] = overlaid(replayed, own)

    def _overlay(self, key: str, change: Leaves, own: Leaves) -> None:
        parent = self.parent[key]
        hidden = overlaid(parent, own) is MISSING
        if self.overwrites and own and not (hidden and (() not in change or parent is MISSING)):
            self._disown(key, change)
        self.shown[key] = overlaid(parent, self.own.get(key, {}))

    def _disown(self, key: str, change: Leaves) -> None:
        own = self.own.get(key, {})
        if () in change:
            self.own[key] = {}
        elif () in own:
            written = overrides({}, own[()])
            self.own[key] = {path: value for path, value in written.items() if not _any_covers(change, path)}
        else:
            self.own[key] = {path: value for path, value in own.items() if not _any_covers(change, path)}

    def write(self, key: str, after: State) -> None:
        """Take a write of the environment's own."""
        before, own = self.shown.get(key, MISSING), self.own.get(key, {})
        self.shown[key] = after
        change = overrides(before, after)
        layer = overrides(self.parent.get(key, MISSING), after)
        if () in layer and before is not MISSING and after is not MISSING and () not in own:
            layer = {**own, **change}
        if () in own and after is not MISSING:
            self.own[key] = layer
            return
        self.own[key] = {
            path: value
            for path, value in layer.items()
            if path in own or (_any_covers(change, path) and (path == () or value is not MISSING))
        }


def _any_covers(change: Leaves, path: tuple[str, ...]) -> bool:
    return any(_covers(touched, path) for touched in change)


class Program:
    """A project whose production and whose mirrors are written to; ``Mirror`` says what those are to show."""

    def __init__(self, seed: int, shop: Shop) -> None:
        self.chance, self.shop, self.counter = random.Random(seed), shop, 0
        self.production: dict[str, State] = {}
        self.mirrors: list[Mirror] = []

    def value(self) -> int:
        self.counter += 1
        return self.counter

    def document(self) -> dict[str, Value]:
        chosen = self.chance.sample(PATHS, self.chance.randint(1, len(PATHS)))
        made = overlaid({"x": {}, "y": {}}, {path: self.value() for path in chosen})
        assert isinstance(made, dict)
        return made

    async def begin(self) -> None:
        for key in NAMES[:3]:
            await self._put(None, key, self.document())
        for number in range(4):
            await self._fork(f"m{number}", frozen=number < 2, overwrites=number % 2 == 1)

    async def _fork(self, name: str, *, frozen: bool, overwrites: bool) -> None:
        made = await environments.fork(self.shop.actor, self.shop.project_id, ForkOptions(name, shadow_writes=True))
        uuid = made.environment.uuid
        await environments.update(self.shop.actor, uuid, EnvironmentUpdate(shadow_overwrite=overwrites))
        if frozen:
            await self.shop.checkpoint(uuid)
        self.mirrors.append(Mirror(name, uuid, frozen, overwrites, dict(self.production), dict(self.production)))

    async def _put(self, env: str | None, key: str, after: State) -> None:
        if after is MISSING:
            await self.shop.delete(env, key)
        else:
            await self.shop.put(env, after, key)
        if env is None:
            before = self.production.get(key, MISSING)
            self.production[key] = after
            for mirror in self.mirrors:
                mirror.follow(key, before, after)

    async def write_production(self) -> None:
        key = self.chance.choice(NAMES)
        now = self.production.get(key, MISSING)
        drawn = self.chance.random()
        if now is MISSING:
            await self._put(None, key, self.document())
        elif drawn < 0.15:
            await self._put(None, key, MISSING)
        elif drawn < 0.3:
            await self._put(None, key, overlaid(now, {self.chance.choice(PATHS): MISSING}))
        else:
            paths = self.chance.sample(PATHS, self.chance.randint(1, 3))
            await self._put(None, key, overlaid(now, {path: self.value() for path in paths}))

    async def write_mirror(self) -> None:
        await self.mirror_all()
        mirror, key = self.chance.choice(self.mirrors), self.chance.choice(NAMES)
        now = mirror.shown.get(key, MISSING)
        # What an overlay makes that production lacks is no matter of mirroring: ``test_model`` has it.
        if key in mirror.deleted or (now is MISSING and not mirror.is_frozen):
            return
        if now is MISSING:
            after: State = self.document()
        elif self.chance.random() < 0.15 and mirror.parent.get(key, MISSING) is not MISSING:
            after = MISSING
            mirror.deleted.add(key)
        else:
            after = overlaid(now, {self.chance.choice(PATHS): self.value()})
        await self._put(mirror.name, key, after)
        mirror.write(key, after)

    async def toggle(self) -> None:
        await self.mirror_all()
        mirror = self.chance.choice(self.mirrors)
        mirror.overwrites = not mirror.overwrites
        wanted = EnvironmentUpdate(shadow_overwrite=mirror.overwrites)
        await environments.update(self.shop.actor, mirror.uuid, wanted)

    async def mirror_one(self) -> None:
        await shadow.mirror_into(self.shop.project_id, self.chance.choice(self.mirrors).uuid)

    async def mirror_all(self) -> None:
        for mirror in self.mirrors:
            await shadow.mirror_into(self.shop.project_id, mirror.uuid)

    async def compare(self) -> None:
        await self.mirror_all()
        for mirror in self.mirrors:
            shown = await self.shop.dump(mirror.name, "page")
            expected = {("page", key): state for key, state in mirror.shown.items() if state is not MISSING}
            assert shown == expected, mirror


async def _run(seed: int, actor: Actor, steps: int) -> None:
    project = await projects.create(actor, f"Mirror {seed}", Plan.ENTERPRISE)
    program = Program(seed, Shop(actor, project))
    await program.begin()
    done = []
    ways = {program.write_production: 8, program.write_mirror: 3, program.mirror_one: 3, program.toggle: 1}
    try:
        for _ in range(steps):
            way = program.chance.choices(list(ways), list(ways.values()))[0]
            await way()
            done.append(way.__name__)
            if program.chance.random() < 0.2:
                await program.compare()
        await program.compare()
        await check_invariants(project.id)
        await _nothing_mirrored_is_carried(program)
    except BaseException as error:
        error.add_note(f"seed {seed}, after {', '.join(done)}")
        raise


async def _nothing_mirrored_is_carried(program: Program) -> None:
    """What a promotion would change is what the environment itself wrote."""
    for mirror in program.mirrors:
        dry = await promoting.dry_run(program.shop.actor, mirror.uuid, PromoteOptions())
        for merge in dry.merges:
            own = mirror.own.get(merge.entity.key, {})
            if merge.entity.key in mirror.deleted:
                continue
            for path, _ in leaves(narrowed(merge.carried.changes, merge.carried.base)):
                assert any(_covers(written, path) or _covers(path, written) for written in own), (mirror, path)


@pytest.mark.parametrize("seed", range(12))
async def test_programs(seed: int, actor: Actor) -> None:
    await _run(seed, actor, 30)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1_000, 1_040))
async def test_more_programs(seed: int, actor: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow, "FEW_AT_ONCE", 1 + seed % 5)
    await _run(seed, actor, 60)
