"""``/api/sandbox/freeze``: times in which nothing is promoted."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from litestar import Router, delete, get, post
from litestar.params import FromQuery, JSONBody, QueryParameter

from app.domain.freezes import Freeze
from app.rest.answers import Answer
from app.rest.bodies import ProjectNumber
from app.rest.body import Body
from app.rest.context import implied_project, named_once
from app.rest.parameters import Caller, Cursor, ImpliedProjectId, Limit
from app.services import freezes

All = Annotated[bool, QueryParameter(name="all", description="Those that are over too, the newest first, in pages.")]


class FreezeRequest(Body):
    """Without `starts_at` it starts now, without `ends_at` it has to be lifted; `owner` is whom to ask, else you."""

    reason: str
    owner: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    project_id: ProjectNumber | None = None


class FreezeAnswer(Answer):
    freeze_uuid: UUID
    project_id: int
    reason: str
    owner: str
    starts_at: datetime
    ends_at: datetime | None
    in_force: bool
    created_by: str
    created_at: datetime
    lifted_by: str | None
    lifted_at: datetime | None

    @classmethod
    def of(cls, freeze: Freeze) -> "FreezeAnswer":
        """Return the answer for a freeze."""
        return cls(
            freeze_uuid=freeze.uuid,
            project_id=freeze.project_id,
            reason=freeze.reason,
            owner=freeze.owner,
            starts_at=freeze.starts_at,
            ends_at=freeze.ends_at,
            in_force=freeze.is_in_force(datetime.now(UTC)),
            created_by=freeze.created_by,
            created_at=freeze.created_at,
            lifted_by=freeze.lifted_by,
            lifted_at=freeze.lifted_at,
        )


class Freezes(Answer):
    freezes: list[FreezeAnswer]
    next_cursor: str | None


@post("/freeze", status_code=201)
async def freeze(data: JSONBody[FreezeRequest], actor: Caller, project_id: ImpliedProjectId = None) -> FreezeAnswer:
    """Freeze production: nothing is promoted, advanced or switched meanwhile. For owners and admins."""
    project = implied_project(actor, named_once(project_id, data.project_id))
    made = await freezes.freeze(
        actor, project, data.reason, owner=data.owner, starts_at=data.starts_at, ends_at=data.ends_at
    )
    return FreezeAnswer.of(made)


@get("/freeze")
async def list_freezes(
    actor: Caller, project_id: ImpliedProjectId = None, all_: All = False, limit: Limit = 50, cursor: Cursor = None
) -> Freezes:
    """List the freezes in force and those to come, the first to start first."""
    project = implied_project(actor, project_id)
    if not all_:
        living = await freezes.living(actor, project)
        return Freezes(freezes=[FreezeAnswer.of(item) for item in living], next_cursor=None)
    page = await freezes.list_freezes(actor, project, limit=limit, cursor=cursor)
    return Freezes(freezes=[FreezeAnswer.of(item) for item in page.items], next_cursor=page.next_cursor)


@delete("/freeze", status_code=200)
async def lift_freeze(freeze_uuid: FromQuery[UUID], actor: Caller, project_id: ImpliedProjectId = None) -> FreezeAnswer:
    """Lift a freeze, or call off one that is to come. For owners and admins."""
    return FreezeAnswer.of(await freezes.lift(actor, freeze_uuid, project_id))


def freeze_routes() -> Router:
    """Return the routes of freezes."""
    return Router("/api/sandbox", route_handlers=[freeze, list_freezes, lift_freeze], tags=["Promotion"])
