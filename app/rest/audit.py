"""``/api/sandbox/audit``: who did what, for owners and admins."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Router, get
from litestar.params import QueryParameter

from app.domain.audit import Action, Door, Filter, Recorded
from app.rest.answers import Answer
from app.rest.context import implied_project
from app.rest.parameters import Caller, Cursor, ImpliedProjectId, Limit
from app.services import audit

Principal = Annotated[UUID | None, QueryParameter(name="actor", description="UUID of an account or an API key.")]
Actions = Annotated[list[Action] | None, QueryParameter(name="operation", description="Only these; repeatable.")]
ObjectId = Annotated[
    str | None,
    QueryParameter(
        name="object", description="UUID of a document, environment, snapshot or API key.", max_length=64, min_length=1
    ),
]
Since = Annotated[datetime | None, QueryParameter(description="At this time or later.")]
Until = Annotated[datetime | None, QueryParameter(description="Before this time.")]
Refused = Annotated[
    bool | None, QueryParameter(description="Only what was refused (true), or only what was done (false).")
]


class Who(Answer):
    """``key_uuid`` is null for a user; both are null where nobody could be told, or at the machine itself."""

    name: str | None
    account_uuid: UUID | None
    key_uuid: UUID | None


class WhatOn(Answer):
    type: str
    id: str
    name: str | None


class AuditAnswer(Answer):
    """One operation. ``before`` and ``after``: flat patches as in a change: what would undo it, and what it did.

    Changes of documents have versions, and stand there in full; ``before`` and ``after`` are null where there are
    several, or one is large. ``hash`` is over this row and the hash of the one before.
    """

    number: int
    created_at: datetime
    operation: Action
    refusal: str | None
    actor: Who
    door: Door
    address: str | None
    request_id: str | None
    object: WhatOn | None
    env_uuid: UUID | None
    first_version: int | None
    last_version: int | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    hash: str

    @classmethod
    def of(cls, row: Recorded) -> "AuditAnswer":
        """Return the answer for a row of the trail."""
        thing = None
        if row.object_type is not None and row.object_id is not None:
            thing = WhatOn(type=row.object_type, id=row.object_id, name=row.object_name)
        return cls(
            number=row.number,
            created_at=row.created_at,
            operation=row.operation,
            refusal=row.refusal,
            actor=Who(name=row.actor, account_uuid=row.account_uuid, key_uuid=row.key_uuid),
            door=row.door,
            address=row.address,
            request_id=row.request_id,
            object=thing,
            env_uuid=row.env_uuid,
            first_version=row.first_version,
            last_version=row.last_version,
            before=None if row.before is None else dict(row.before),
            after=None if row.after is None else dict(row.after),
            hash=row.hash.hex(),
        )


class AuditAnswers(Answer):
    entries: list[AuditAnswer]
    next_cursor: str | None


@get("/audit")
async def get_audit(
    actor: Caller,
    project_id: ImpliedProjectId = None,
    principal: Principal = None,
    actions: Actions = None,
    object_id: ObjectId = None,
    since: Since = None,
    until: Until = None,
    refused: Refused = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> AuditAnswers:
    """List what was done in a project and what was refused, newest first.

    For owners and admins, and for API keys with the scope `admin`.
    """
    wanted = Filter(
        principal_uuid=principal,
        actions=tuple(actions or ()),
        object_id=object_id,
        since=since,
        until=until,
        refused=refused,
    )
    project = implied_project(actor, project_id)
    page = await audit.list_entries(actor, project, wanted, limit=limit, cursor=cursor)
    return AuditAnswers(entries=[AuditAnswer.of(row) for row in page.items], next_cursor=page.next_cursor)


def audit_routes() -> Router:
    """Return the route of the audit trail."""
    return Router("/api/sandbox", route_handlers=[get_audit], tags=["Audit"])
