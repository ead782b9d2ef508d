"""``/api/sandbox/protected-check``: comparing with a protected value without seeing it."""

from typing import Any
from uuid import UUID

from litestar import Router, post
from litestar.params import JSONBody

from app.domain.json_text import check_storable
from app.domain.model import PROJECT_KIND
from app.domain.pointer import parse_path
from app.rest.answers import Answer
from app.rest.body import Body
from app.rest.parameters import Caller, ImpliedProjectId
from app.services import protected


class ProtectedCheck(Body):
    """A value to compare with; `field_path` is a pointer if it starts with `/`, else dotted keys."""

    env_uuid: UUID
    field_path: str
    value: Any
    kind: str = PROJECT_KIND
    key: str | None = None


class Match(Answer):
    match: bool


@post("/protected-check", status_code=200)
async def check_protected_field(
    data: JSONBody[ProtectedCheck], actor: Caller, project_id: ImpliedProjectId = None
) -> Match:
    """Compare a value with a protected one, as the environment has it.

    What is not there is answered as a wrong value. Five wrong values in 15 minutes are borne from one caller for one
    field, and 20 from all; then the answer is 429.
    """
    checked = await protected.check(
        actor,
        data.env_uuid,
        parse_path(data.field_path),
        check_storable(data.value),
        kind=data.kind,
        key=data.key,
        project_id=project_id,
    )
    return Match(match=checked.match)


def protected_routes() -> Router:
    """Return the route of protected fields."""
    return Router("/api/sandbox", route_handlers=[check_protected_field], tags=["Protected fields"])
