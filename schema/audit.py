"""The audit trail: who did what, when, from where."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, TypeAlias
from uuid import UUID

import strawberry

from app.domain.audit import Action, Door, Filter, Recorded
from app.domain.paging import Page, encode_cursor
from schema.connections import Connection, connect
from schema.describe import describe_enum, field, present
from schema.scalars import BigInt
from schema.values import Patch

describe_enum(
    Action,
    "AuditOperation",
    "What was done, or refused.",
    {action: f"{action.value.replace('_', ' ').capitalize()}." for action in Action},
)
describe_enum(
    Door,
    "AuditDoor",
    "The way by which a call came in.",
    {
        Door.REST: "A REST request.",
        Door.GRAPHQL: "A GraphQL request.",
        Door.DASHBOARD: "A page of the dashboard.",
        Door.COMMAND_LINE: "A command at the machine itself.",
        Door.WORKER: "The server's own background work.",
    },
)


@strawberry.input(name="AuditFilter", description="Which entries are wanted: those that meet all that is given.")
class AuditFilterInput:
    actor: UUID | None = strawberry.field(
        default=strawberry.UNSET, description="UUID of the account or the API key that acted."
    )
    operations: list[Action] | None = strawberry.field(default=strawberry.UNSET, description="Only these operations.")
    object: str | None = strawberry.field(
        default=strawberry.UNSET, description="UUID of a document, environment, snapshot or API key."
    )
    since: datetime | None = strawberry.field(default=strawberry.UNSET, description="At this time or later.")
    until: datetime | None = strawberry.field(default=strawberry.UNSET, description="Before this time.")
    refused: bool | None = strawberry.field(
        default=strawberry.UNSET, description="Only what was refused (true), or only what was done (false)."
    )

    def filter(self) -> Filter:
        """Return what the service needs to know."""
        return Filter(
            principal_uuid=present(self.actor),
            actions=tuple(present(self.operations) or ()),
            object_id=present(self.object),
            since=present(self.since),
            until=present(self.until),
            refused=present(self.refused),
        )


FilterArgument: TypeAlias = Annotated[
    AuditFilterInput | None, strawberry.argument(description="Which entries; left out: all.")
]


@strawberry.type(description="Who did something, for the record.")
class AuditActor:
    name: str | None = strawberry.field(
        description="E-mail address of the user, or the name of the API key; null where nobody could be told."
    )
    account_uuid: UUID | None = strawberry.field(
        description="UUID of the user's account; for an API key, of the account that made it."
    )
    key_uuid: UUID | None = strawberry.field(description="UUID of the API key; null for a user.")


@strawberry.type(description="What something was done to.")
class AuditObject:
    type: str = strawberry.field(description="What it is, as `document` or `environment`.")
    id: str = strawberry.field(description="Its UUID; of a project, its number.")
    name: str | None = strawberry.field(description="What people call it; null if it has no name.")


@strawberry.type(
    name="Audit",
    description="An operation on record. Entries are never altered or removed: each has a hash over itself and the"
    " hash of the one before.",
)
class AuditNode:
    number: BigInt = strawberry.field(description="Its place in the project's trail, from 1 and without gaps.")
    created_at: datetime = strawberry.field(description="When it was recorded, in the order of commits.")
    operation: Action = strawberry.field(description="What was done, or refused.")
    refusal: str | None = strawberry.field(description="Code of the refusal; null for what was done.")
    actor: AuditActor = strawberry.field(description="Who asked for it.")
    door: Door = strawberry.field(description="The way by which the call came in.")
    address: str | None = strawberry.field(description="The client's network address; null for none.")
    request_id: str | None = strawberry.field(description="Id of the request, as the log has it; null for none.")
    object: AuditObject | None = strawberry.field(description="What it was done to; null for what was refused.")
    env_uuid: UUID | None = strawberry.field(description="UUID of the environment concerned; null for none.")
    first_version: BigInt | None = strawberry.field(
        description="Version of the first change of a document that it made; null for none."
    )
    last_version: BigInt | None = strawberry.field(
        description="Version of the last change of a document that it made; null for none."
    )
    hash: str = strawberry.field(description="SHA-256 over this entry and the hash of the one before, hexadecimal.")
    source: strawberry.Private[Recorded]

    @classmethod
    def of(cls, row: Recorded) -> "AuditNode":
        thing = None
        if row.object_type is not None and row.object_id is not None:
            thing = AuditObject(type=row.object_type, id=row.object_id, name=row.object_name)
        return cls(
            number=BigInt(row.number),
            created_at=row.created_at,
            operation=row.operation,
            refusal=row.refusal,
            actor=AuditActor(name=row.actor, account_uuid=row.account_uuid, key_uuid=row.key_uuid),
            door=row.door,
            address=row.address,
            request_id=row.request_id,
            object=thing,
            env_uuid=row.env_uuid,
            first_version=None if row.first_version is None else BigInt(row.first_version),
            last_version=None if row.last_version is None else BigInt(row.last_version),
            hash=row.hash.hex(),
            source=row,
        )

    @field
    async def before(self) -> Patch | None:
        """What would undo it; null where it changed several documents, or one by a large patch."""
        return None if self.source.before is None else Patch.of(self.source.before)

    @field
    async def after(self) -> Patch | None:
        """What it did; null where it changed several documents, or one by a large patch: see their history."""
        return None if self.source.after is None else Patch.of(self.source.after)


def audit_connection(
    page: Page[Recorded], after: str | None, count: Callable[[], Awaitable[int | None]]
) -> Connection[AuditNode]:
    """Return a page of the trail."""
    return connect(
        page.items,
        after,
        more=page.next_cursor is not None,
        node=AuditNode.of,
        cursor=lambda row: encode_cursor(row.number),
        count=count,
    )
