"""What is true of a project's rows at any time, whoever wrote what beside whom."""

from typing import Final

from app.domain.patch import apply, from_json
from app.domain.values import MISSING, State
from app.storage import db
from app.storage.codec import loads
from tests.services.model import exact

# Each finds rows that must not be there.
_BROKEN: Final = {
    "an entity's version counts its changes": """
        SELECT entity.uuid, entity.version, count(change.version), max(change.entity_version) FROM entity
        LEFT JOIN change ON change.project_id = entity.project_id AND change.entity_uuid = entity.uuid
        WHERE entity.project_id = $1 GROUP BY entity.uuid, entity.version
        HAVING entity.version <> count(change.version) OR entity.version <> max(change.entity_version)""",
    "versions of an entity rise with those of the project": """
        SELECT * FROM (SELECT entity_uuid, entity_version,
            lag(entity_version) OVER (PARTITION BY entity_uuid ORDER BY version) AS before
            FROM change WHERE project_id = $1) AS pair WHERE entity_version <> coalesce(before, 0) + 1""",
    "no change is newer than the counter": """
        SELECT change.version FROM change JOIN project_counter USING (project_id)
        WHERE project_id = $1 AND change.version > project_counter.version""",
    "times do not run against versions": """
        SELECT * FROM (SELECT version, created_at, lag(created_at) OVER (ORDER BY version) AS before
            FROM change WHERE project_id = $1) AS pair WHERE created_at < before""",
    "a layer is as old as the last change of it": """
        SELECT layer.uuid FROM layer JOIN generation gen ON gen.project_id = layer.project_id
            AND gen.uuid = layer.generation_uuid AND gen.kind = 'line'
        JOIN LATERAL (SELECT max(entity_version) AS version FROM change WHERE change.project_id = layer.project_id
            AND change.entity_uuid = layer.entity_uuid AND change.generation_uuid = layer.generation_uuid) last ON true
        WHERE layer.project_id = $1 AND last.version IS NOT NULL AND layer.version <> last.version""",
    "production's layers bear the uuids of their entities": """
        SELECT layer.uuid FROM layer JOIN generation gen ON gen.project_id = layer.project_id
            AND gen.uuid = layer.generation_uuid AND gen.parent_uuid IS NULL
        WHERE layer.project_id = $1 AND layer.uuid <> layer.entity_uuid""",
    "production's count is exact": """
        SELECT gen.entity_count, gen.user_count, count(*) FILTER (WHERE layer.form = 'whole') FROM generation gen
        LEFT JOIN layer ON layer.project_id = gen.project_id AND layer.generation_uuid = gen.uuid
        LEFT JOIN entity ON entity.project_id = gen.project_id AND entity.uuid = layer.entity_uuid
        WHERE gen.project_id = $1 AND gen.parent_uuid IS NULL GROUP BY gen.entity_count, gen.user_count
        HAVING gen.entity_count <> count(*) FILTER (WHERE layer.form = 'whole')
            OR gen.user_count <> count(*) FILTER (WHERE layer.form = 'whole' AND entity.kind = 'user')""",
    "a snapshot's count is exact": """
        SELECT gen.uuid, gen.kind FROM generation gen LEFT JOIN layer ON layer.project_id = gen.project_id
            AND layer.generation_uuid = gen.uuid AND layer.form = 'whole'
        WHERE gen.project_id = $1 AND gen.kind <> 'line' GROUP BY gen.uuid, gen.kind, gen.entity_count
        HAVING gen.entity_count <> count(layer.uuid)""",
    "nothing is written into a snapshot": """
        SELECT change.version FROM change JOIN generation gen ON gen.project_id = change.project_id
            AND gen.uuid = change.generation_uuid WHERE change.project_id = $1 AND gen.kind <> 'line'""",
    "nothing is written into what a checkpoint sealed": """
        SELECT change.version FROM generation taken JOIN generation gen ON gen.project_id = taken.project_id
            AND gen.uuid = taken.parent_uuid AND gen.parent_uuid IS NOT NULL
        JOIN change ON change.project_id = gen.project_id AND change.generation_uuid = gen.uuid
        WHERE taken.project_id = $1 AND taken.kind = 'checkpoint'
            AND (change.version > taken.version OR NOT gen.sealed)""",
    "a line goes on from its parent's": """
        SELECT gen.uuid FROM generation gen JOIN generation parent ON parent.project_id = gen.project_id
            AND parent.uuid = gen.parent_uuid
        WHERE gen.project_id = $1 AND (gen.ancestors <> parent.ancestors || gen.uuid
            OR gen.path <> CASE WHEN gen.kind = 'line' THEN parent.path || gen.uuid ELSE ARRAY[gen.uuid] END
            OR gen.number <> parent.number + (gen.kind IN ('line', 'checkpoint'))::int
            OR gen.version < parent.version
            OR NOT (coalesce(gen.filter_uuid IN (parent.filter_uuid, gen.uuid), parent.filter_uuid IS NULL)))""",
    "a head is the newest of its environment, and open or a checkpoint": """
        SELECT env.uuid FROM environment env JOIN generation head ON head.project_id = env.project_id
            AND head.uuid = env.head_uuid
        WHERE env.project_id = $1 AND (head.env_uuid <> env.uuid OR (head.sealed AND head.kind <> 'checkpoint')
            OR EXISTS (SELECT FROM generation gen WHERE gen.project_id = env.project_id AND gen.env_uuid = env.uuid
                AND gen.kind IN ('line', 'checkpoint') AND gen.version > head.version
                AND env.env_type <> 'production'))""",
    "an archived environment keeps layers only for others": """
        SELECT layer.uuid FROM layer JOIN generation gen ON gen.project_id = layer.project_id
            AND gen.uuid = layer.generation_uuid AND gen.kind = 'line'
        JOIN environment env ON env.project_id = gen.project_id AND env.uuid = gen.env_uuid AND env.status = 'archived'
        WHERE layer.project_id = $1 AND NOT EXISTS (SELECT FROM generation lower JOIN environment other
            ON other.project_id = lower.project_id AND other.uuid = lower.env_uuid
            WHERE lower.project_id = $1 AND lower.uuid <> gen.uuid AND (gen.uuid = ANY (lower.ancestors)
                OR EXISTS (SELECT FROM former_line former WHERE former.project_id = $1
                    AND former.generation_uuid = lower.uuid AND gen.uuid = ANY (former.ancestors))))""",
    "an environment that is live overrides nothing": """
        SELECT env.uuid, layer.data FROM environment env JOIN generation head ON head.project_id = env.project_id
            AND head.uuid = env.head_uuid
        JOIN layer ON layer.project_id = env.project_id AND layer.generation_uuid = ANY (head.path[2:])
        WHERE env.project_id = $1 AND env.status = 'live' AND env.env_type <> 'production' AND head.kind = 'line'
            AND (layer.form <> 'patch' OR layer.data <> '{"set": {}, "unset": []}')""",
    "one environment is live beside production": """
        SELECT array_agg(name) FROM environment WHERE project_id = $1 AND status = 'live' AND env_type <> 'production'
        HAVING count(*) > 1""",
    "only layers of lines carry": """
        SELECT layer.uuid FROM layer JOIN generation gen ON gen.project_id = layer.project_id
            AND gen.uuid = layer.generation_uuid
        WHERE layer.project_id = $1 AND (layer.base IS NOT NULL) <> (gen.kind = 'line' AND gen.parent_uuid IS NOT NULL)
        """,
    "a base is one of what its layer overrides": """
        SELECT layer.form, layer.data, layer.base FROM layer CROSS JOIN LATERAL (
            SELECT jsonb_object_keys(layer.base -> 'set') UNION ALL
            SELECT jsonb_array_elements_text(layer.base -> 'unset')) AS carried (pointer)
        WHERE layer.project_id = $1 AND CASE WHEN layer.form = 'patch'
            THEN NOT (layer.data -> 'set' ? pointer OR layer.data -> 'unset' ? pointer) ELSE pointer <> '' END""",
    "a project points to its newest release": """
        SELECT project.release_uuid FROM project WHERE project_id = $1 AND release_uuid IS DISTINCT FROM
            (SELECT uuid FROM release WHERE release.project_id = $1 ORDER BY number DESC LIMIT 1)""",
    "releases are numbered in the order of their versions": """
        SELECT * FROM (SELECT number, version, lag(number, 1, 0) OVER pair AS before, lag(version) OVER pair AS earlier
            FROM release WHERE project_id = $1 WINDOW pair AS (ORDER BY number)) AS pair
        WHERE number <> before + 1 OR version <= earlier""",
    "a release is of one request that was completed, or undoes another": """
        SELECT promotion.uuid FROM promotion FULL JOIN (SELECT * FROM release WHERE promotion_uuid IS NOT NULL) release
            ON release.project_id = promotion.project_id AND release.uuid = promotion.release_uuid
            AND release.promotion_uuid = promotion.uuid AND release.env_uuid = promotion.env_uuid
        WHERE coalesce(promotion.project_id, release.project_id) = $1
            AND (release.uuid IS NULL) <> (promotion.status <> 'completed')""",
    "only what lives has a request that is open": """
        SELECT env.name, promotion.status FROM promotion JOIN environment env ON env.project_id = promotion.project_id
            AND env.uuid = promotion.env_uuid
        WHERE promotion.project_id = $1 AND promotion.ended_at IS NULL AND (env.status = 'archived'
            OR (promotion.status = 'rolling_out') <> (env.status = 'rolling_out'))""",
    "what rolls out has a request": """
        SELECT env.name FROM environment env WHERE env.project_id = $1 AND env.status = 'rolling_out' AND NOT EXISTS (
            SELECT FROM promotion WHERE promotion.project_id = $1 AND promotion.env_uuid = env.uuid
            AND promotion.status = 'rolling_out')""",
    "a line that was left is the present one and more": """
        SELECT former.generation_uuid FROM former_line former JOIN generation gen
            ON gen.project_id = former.project_id AND gen.uuid = former.generation_uuid
        JOIN project_counter counter ON counter.project_id = former.project_id
        WHERE former.project_id = $1 AND (NOT former.ancestors @> gen.ancestors OR NOT former.path @> gen.path
            OR cardinality(former.ancestors) <= cardinality(gen.ancestors)
            OR former.ancestors[cardinality(former.ancestors)] <> gen.uuid
            OR former.until_version < gen.version OR former.until_version > counter.version)""",
}


async def check_invariants(project_id: int) -> None:
    """Fail with the rows that break one."""
    for rule, statement in _BROKEN.items():
        broken = await db.fetch(statement, project_id)
        assert not broken, f"{rule}: {[dict(row) for row in broken[:3]]}"
    await _check_replay(project_id)


async def _check_replay(project_id: int) -> None:
    """All changes of production, one after another, give what production is; and each undoes what it did."""
    rows = await db.fetch(
        "SELECT change.version, change.entity_uuid, change.forward, change.reverse, change.origin FROM change"
        " JOIN generation gen ON gen.project_id = change.project_id AND gen.uuid = change.generation_uuid"
        " AND gen.parent_uuid IS NULL WHERE change.project_id = $1 ORDER BY change.version",
        project_id,
    )
    states: dict[object, State] = {}
    promoted: list[tuple[int, object, object, object]] = []
    for row in rows:
        forward, reverse = loads(row["forward"]), loads(row["reverse"])
        assert isinstance(forward, dict)
        assert isinstance(reverse, dict)
        before = states.get(row["entity_uuid"], MISSING)
        after = states[row["entity_uuid"]] = apply(before, from_json(forward))
        assert exact(apply(after, from_json(reverse))) == exact(before)
        if row["origin"] == "promotion":
            promoted.append((row["version"], row["entity_uuid"], exact(before), exact(after)))
    await _check_releases(project_id, promoted)
    stored = await db.fetch(
        "SELECT layer.entity_uuid, layer.data FROM layer JOIN generation gen ON gen.project_id = layer.project_id"
        " AND gen.uuid = layer.generation_uuid AND gen.parent_uuid IS NULL"
        " WHERE layer.project_id = $1 AND layer.form = 'whole'",
        project_id,
    )
    now = {row["entity_uuid"]: exact(loads(row["data"])) for row in stored}
    assert now == {uuid: exact(state) for uuid, state in states.items() if state is not MISSING}


async def _check_releases(project_id: int, promoted: list[tuple[int, object, object, object]]) -> None:
    """What releases say that they did is what was done to production, each time."""
    rows = await db.fetch(
        "SELECT release.version, entity_uuid, before, after FROM release JOIN release_entity touched"
        " ON touched.project_id = $1 AND touched.release_uuid = release.uuid WHERE release.project_id = $1",
        project_id,
    )
    versions = sorted({row["version"] for row in rows})
    told = [
        (row["version"], str(row["entity_uuid"]), *(exact(_state(row[side])) for side in ("before", "after")))
        for row in rows
    ]
    done = [
        (next((each for each in versions if each >= version), None), str(uuid), before, after)
        for version, uuid, before, after in promoted
    ]
    assert sorted(told, key=str) == sorted(done, key=str)


def _state(text: str | None) -> State:
    return MISSING if text is None else loads(text)


async def fingerprint(project_id: int) -> dict[str, str]:
    """Return a digest of all rows of the project, by table."""
    tables = await db.fetch(
        "SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'project_id'"
    )
    found: dict[str, str] = {}
    for row in tables:
        name = row["table_name"]
        found[name] = await db.fetchval(
            f"SELECT coalesce(md5(string_agg(part::text, ',' ORDER BY part::text)), '') FROM {name} part"
            " WHERE project_id = $1",
            project_id,
        )
    return found
