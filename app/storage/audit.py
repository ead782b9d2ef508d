"""The audit trail: rows are added and read, nothing else; the database numbers them and chains them."""

from dataclasses import fields
from typing import Any, Final

from app.domain.audit import Action, Door, Entry, Filter, Recorded, shown
from app.domain.protected import protection
from app.domain.values import Value
from app.storage import db, replica
from app.storage.codec import dumps, loads
from app.storage.protections import of_generation

REFUSALS_EACH: Final = 10
REFUSALS_ALL: Final = 1_000
# A change's patches are shown in place where they are small; whoever wants the others reads the change.
SMALL_PATCH_BYTES: Final = 2_000

_INSERTED: Final = (
    "project_id, operation, refusal, account_uuid, key_uuid, actor, door, address, request_id, object_type, object_id,"
    " object_name, env_uuid, before, after"
)


def arguments(entry: Entry) -> tuple[object, ...]:
    """Return the values of the columns that ``insertion`` names."""
    actor, thing = entry.actor, entry.object
    return (
        entry.project_id,
        entry.action.value,
        entry.refusal,
        actor.account_uuid if actor else None,
        actor.key_uuid if actor else None,
        actor.name if actor else None,
        entry.via.door.value,
        entry.via.address,
        entry.via.request_id,
        thing.type.value if thing else None,
        thing.id if thing else None,
        thing.name if thing else None,
        entry.env_uuid,
        None if entry.before is None else dumps(entry.before),
        None if entry.after is None else dumps(entry.after),
    )


def insertion(first: int, first_version: str, last_version: str) -> str:
    """Return ``INSERT INTO audit … SELECT`` of ``arguments``, the first of them ``$first``, and two expressions."""
    columns = f"{_INSERTED}, first_version, last_version"
    return f"INSERT INTO audit ({columns}) SELECT {_parameters(first)}, {first_version}, {last_version}"


def _parameters(first: int) -> str:
    types = ("int", *["text"] * 2, *["uuid"] * 2, *["text"] * 7, "uuid", "jsonb", "jsonb")
    return ", ".join(f"${first + index}::{type_}" for index, type_ in enumerate(types))


async def add(entry: Entry) -> None:
    """Add a row to the current transaction; its head is locked until then, so do it last. Raises AuditUnavailable."""
    first, last = entry.versions or (None, None)
    await db.execute(insertion(3, "$1::bigint", "$2::bigint"), first, last, *arguments(entry))


async def add_refused(entry: Entry) -> None:
    """Add a refusal, unless the last hour has enough of them: of this operation, or of the same caller or victim.

    Refusals are the only rows that a stranger can cause, so their number has a bound.
    """
    await db.execute(
        f"WITH entry ({_INSERTED}) AS (VALUES ({_parameters(1)})), recent AS (SELECT audit.* FROM audit, entry"
        "  WHERE audit.project_id = entry.project_id AND audit.operation = entry.operation"
        "  AND audit.refusal IS NOT NULL AND audit.created_at > clock_timestamp() - interval '1 hour' LIMIT $16)"
        f" INSERT INTO audit ({_INSERTED}) SELECT * FROM entry WHERE (SELECT count(*) FROM recent) < $16"
        "  AND (SELECT count(*) FROM recent WHERE coalesce(recent.key_uuid, recent.account_uuid)"
        "   IS NOT DISTINCT FROM coalesce(entry.key_uuid, entry.account_uuid)"
        "   AND recent.object_id IS NOT DISTINCT FROM entry.object_id"
        "   AND (entry.actor IS NOT NULL OR recent.address IS NOT DISTINCT FROM entry.address)) < $17",
        *arguments(entry),
        REFUSALS_ALL,
        REFUSALS_EACH,
    )


_COLUMNS: Final = (
    "audit.project_id, audit.number, audit.created_at, operation, refusal, account_uuid, key_uuid, audit.actor, door,"
    " address, request_id, object_type, object_id, object_name, audit.env_uuid, first_version, last_version, hash,"
    " coalesce(audit.before, change.reverse) AS before, coalesce(audit.after, change.forward) AS after,"
    " (SELECT kind FROM entity WHERE project_id = $1 AND uuid = change.entity_uuid) AS kind,"
    f" {of_generation('change.generation_uuid')} AS globs"
)
_FROM: Final = (
    "FROM audit LEFT JOIN change ON change.project_id = audit.project_id AND change.version = audit.first_version"
    " AND audit.first_version = audit.last_version AND audit.after IS NULL"
    f" AND pg_column_size(change.forward) <= {SMALL_PATCH_BYTES} AND pg_column_size(change.reverse) <= "
    f"{SMALL_PATCH_BYTES}"
)


def _conditions(wanted: Filter, arguments: list[object]) -> list[str]:
    conditions = []
    given = {
        "coalesce(key_uuid, account_uuid) = ": wanted.principal_uuid,
        "object_id = ": wanted.object_id,
        "audit.created_at >= ": wanted.since,
        "audit.created_at < ": wanted.until,
    }
    for condition, value in given.items():
        if value is not None:
            arguments.append(value)
            conditions.append(f"{condition}${len(arguments)}")
    if wanted.actions:
        arguments.append([action.value for action in wanted.actions])
        conditions.append(f"operation = ANY(${len(arguments)}::text[])")
        if "write_document" not in wanted.actions:
            # What the index of the rarer operations is made of.
            conditions.append("operation <> 'write_document'")
    if wanted.refused is not None:
        conditions.append(f"refusal IS {'NOT ' if wanted.refused else ''}NULL")
    return conditions


@replica.may_answer
async def list_page(project_id: int, wanted: Filter, limit: int, before: int | None) -> list[Recorded]:
    """Return up to ``limit`` rows of the project with a number below ``before``, newest first."""
    arguments: list[object] = [project_id, limit, before]
    conditions = ["audit.project_id = $1", "($3::bigint IS NULL OR number < $3)", *_conditions(wanted, arguments)]
    rows = await db.fetch(
        f"SELECT {_COLUMNS} {_FROM} WHERE {' AND '.join(conditions)} ORDER BY number DESC LIMIT $2", *arguments
    )
    return [_recorded(row) for row in rows]


@replica.may_answer
async def count(project_id: int, wanted: Filter) -> int:
    """Return how many rows meet the filter."""
    arguments: list[object] = [project_id]
    conditions = ["audit.project_id = $1", *_conditions(wanted, arguments)]
    found: int = await db.fetchval(f"SELECT count(*) FROM audit WHERE {' AND '.join(conditions)}", *arguments)
    return found


FIRST_BROKEN: Final = (
    "WITH link AS (SELECT number, hash, hash = audit_hash(lag(hash, 1, '') OVER trail, number, created_at, audit)"
    "  AND number = coalesce(lag(number) OVER trail, 0) + 1 AS is_true FROM audit WHERE project_id = $1"
    "  WINDOW trail AS (ORDER BY number))"
    " SELECT min(number) FROM (SELECT number FROM link WHERE NOT is_true UNION ALL"
    "  SELECT number FROM audit_head head WHERE project_id = $1 AND NOT EXISTS"
    "   (SELECT FROM link WHERE link.number = head.number AND link.hash = head.hash)) AS broken"
)
"""Asks for the first number at which the trail of project ``$1`` is not what was written; null: whole and true."""


@replica.may_answer
async def first_broken(project_id: int) -> int | None:
    """Return the first number at which the project's trail is not what was written, or None: whole and true."""
    number: int | None = await db.fetchval(FIRST_BROKEN, project_id)
    return number


def _recorded(row: db.Record) -> Recorded:
    read: dict[str, Any] = {
        "operation": Action(row["operation"]),
        "door": Door(row["door"]),
        "before": _patch(row, "before"),
        "after": _patch(row, "after"),
    }
    return Recorded(**{field.name: read.get(field.name, row[field.name]) for field in fields(Recorded)})


def _patch(row: db.Record, column: str) -> dict[str, Value] | None:
    value = loads(row[column]) if row[column] is not None else None
    if not isinstance(value, dict):
        return None
    return shown(protection(row["globs"]).of(row["kind"]).mask_flat(value) if row["kind"] else value)
