"""Which users of a generation match rules: asked of the database, but for those that have to be merged first.

A user is plain where nothing but the base of the generation's path says something of it: its document is a row's. The
others have a layer below the base that merges, and their states are put together in memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from app.domain.model import Generation
from app.domain.rules import Rule, matches
from app.storage import db, layers
from app.storage.lookups import entity_of
from app.storage.segment_sql import Compiled, compiled

_CHUNK: Final = 500
_EASY: Final = 1_000
"""Of so many users, those first by key, a sample is taken before all are looked at."""

_NOTHING: Final = '\'{"set": {}, "unset": []}\''
_SAYS_SOMETHING: Final = (
    f"layer.generation_uuid = ANY ($3::uuid[]) AND NOT (layer.form = 'patch' AND layer.data = {_NOTHING})"
)
_PLAIN: Final = (
    "entity JOIN layer base ON base.project_id = entity.project_id AND base.entity_uuid = entity.uuid"
    " AND base.generation_uuid = $2 AND base.form = 'whole'"
    " WHERE entity.project_id = $1 AND base.project_id = $1 AND entity.kind = 'user'"
)
_NOT_LAYERED: Final = (
    f" AND NOT EXISTS (SELECT FROM layer WHERE layer.project_id = $1 AND {_SAYS_SOMETHING}"
    "  AND layer.entity_uuid = base.entity_uuid)"
)
_FIRST: Final = (
    f"(SELECT entity.* FROM entity WHERE entity.project_id = $1 AND entity.kind = 'user' ORDER BY key LIMIT {_EASY})"
)
_IN_SIGHT: Final = (
    " AND EXISTS (SELECT FROM layer WHERE layer.project_id = $1 AND layer.generation_uuid = ANY ($4::uuid[])"
    "  AND layer.entity_uuid = base.entity_uuid)"
)
# All of a project's users are read. Whatever the planner expects, a hash is never much slower than what it would
# choose for few, and for many that is slower by far; and where it expects few, it would not share the work.
_HASHED: Final = "set_config('enable_nestloop', 'off', true), set_config('enable_mergejoin', 'off', true)"
_SHARED: Final = ", ".join(
    f"set_config('{name}', '0', true)"
    for name in ("parallel_setup_cost", "parallel_tuple_cost", "min_parallel_table_scan_size")
)
_AS_USUAL: Final = "set_config('enable_nestloop', 'on', true), set_config('enable_mergejoin', 'on', true)"


@dataclass(frozen=True, slots=True)
class Matching:
    """How many of a generation's users match: ``sample`` are the keys of the first ones."""

    matching: int
    total: int
    sample: list[str]


@dataclass(frozen=True, slots=True)
class _Layered:
    """The users whose states were merged: all with their versions, how many are shown, those that match by key."""

    versions: dict[UUID, int]
    shown: int
    matching: dict[UUID, str]


@dataclass(frozen=True, slots=True)
class _Asked:
    """The plain users of a generation as what follows FROM, and the condition that some of them meet."""

    users: str
    condition: Compiled
    line: tuple[object, ...]

    @classmethod
    def of(cls, generation: Generation, rules: Sequence[Rule], others: int) -> "_Asked":
        """Leave room for ``others`` parameters between those of the line and those of the condition."""
        path, filter_uuid = generation.path, generation.filter_uuid
        line: tuple[object, ...] = (generation.project_id, path[0])
        users = _PLAIN
        if len(path) > 1:
            users, line = users + _NOT_LAYERED, (*line, path[1:])
        if filter_uuid in path:
            line = (*line, *(() if len(path) > 1 else ((),)), path[path.index(filter_uuid) :])
            users += _IN_SIGHT
        return cls(users, compiled(rules, "base.data", len(line) + others + 1), line)


async def _layered(generation: Generation, rules: Sequence[Rule]) -> _Layered:
    versions = await _layered_versions(generation)
    shown, matching, uuids = 0, dict[UUID, str](), list(versions)
    for start in range(0, len(uuids), _CHUNK):
        stacks = await layers.stacks_of(generation.project_id, generation.uuid, uuids[start : start + _CHUNK])
        for uuid, stack in stacks.items():
            state = stack.seen
            shown += matches((), state)
            if matches(rules, state):
                matching[uuid] = stack.entity.key
    return _Layered(versions, shown, matching)


async def _layered_versions(generation: Generation) -> dict[UUID, int]:
    if len(generation.path) == 1:
        return {}
    rows = await db.fetch(
        "WITH layered AS MATERIALIZED (SELECT DISTINCT layer.entity_uuid FROM layer"
        f"  WHERE layer.project_id = $1 AND {_SAYS_SOMETHING.replace('$3', '$2')})"
        f" SELECT entity.uuid, entity.version FROM layered {entity_of('layered')} WHERE entity.kind = 'user'",
        generation.project_id,
        generation.path[1:],
    )
    return {row["uuid"]: row["version"] for row in rows}


async def count(generation: Generation, rules: Sequence[Rule], sample: int) -> Matching:
    """Return how many of a generation's users match, with the first ``sample`` keys in order."""
    merged = await _layered(generation, rules)
    asked = _Asked.of(generation, rules, 0)
    async with db.transaction("repeatable_read", readonly=True):
        easy = await _sample(asked, sample, _FIRST)
        await db.execute(f"SELECT {_HASHED}, {_SHARED}")
        row = await db.fetchrow(
            f"SELECT count(*) AS total, count(*) FILTER (WHERE {asked.condition.sql}) AS matching FROM {asked.users}",
            *asked.line,
            *asked.condition.parameters,
        )
        assert row is not None
        if len(easy) < min(sample, row["matching"]):
            easy = await _sample(asked, sample)
    keys = sorted([*easy, *merged.matching.values()], key=str.encode)[:sample]
    return Matching(row["matching"] + len(merged.matching), row["total"] + merged.shown, keys)


async def _sample(asked: _Asked, size: int, of: str = "entity") -> list[str]:
    users = asked.users.replace("entity", f"{of} entity", 1)
    rows = await db.fetch(
        f"SELECT entity.key FROM {users} AND {asked.condition.sql} ORDER BY entity.key LIMIT {size:d}",
        *asked.line,
        *asked.condition.parameters,
    )
    return [row["key"] for row in rows]


async def add_matching(source: Generation, target: Generation, rules: Sequence[Rule]) -> int:
    """Give each user of ``source`` that matches an empty layer in ``target``, in one statement; return how many.

    Raises Retry if a user was written to meanwhile whose state had to be merged.
    """
    merged = await _layered(source, rules)
    asked = _Asked.of(source, rules, 2)
    first = len(asked.line) + 1
    await db.execute(f"SELECT {_HASHED}")
    number = await db.execute(
        "INSERT INTO layer (project_id, entity_uuid, generation_uuid, uuid, form, data, version, base)"
        f" SELECT $1, chosen.uuid, ${first}, gen_random_uuid(), 'patch', {_NOTHING}, chosen.version, {_NOTHING} FROM ("
        f"  SELECT entity.uuid, entity.version FROM {asked.users} AND {asked.condition.sql}"
        "  UNION ALL SELECT entity.uuid, entity.version FROM entity"
        f"  WHERE entity.project_id = $1 AND entity.uuid = ANY (${first + 1}::uuid[])) chosen",
        *asked.line,
        target.uuid,
        list(merged.matching),
        *asked.condition.parameters,
    )
    await db.execute(f"SELECT {_AS_USUAL}")
    if await _layered_versions(source) != merged.versions:
        raise db.Retry
    return number
