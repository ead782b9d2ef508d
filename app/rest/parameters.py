"""What stands in query and headers: read once, the same for every route."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Final, TypeAlias
from uuid import UUID

from litestar.di import NamedDependency
from litestar.openapi.spec import Schema
from litestar.openapi.spec.enums import OpenAPIFormat
from litestar.params import HeaderParameter, PathParameter, QueryParameter, SkipValidation

from app.domain.errors import BadRequest, MalformedJson, UnknownKind, ValidationFailed
from app.domain.json_text import check_storable, parse_json
from app.domain.model import PROJECT_KIND, Actor, At
from app.domain.names import TABLE_ALIASES, check_kind
from app.domain.paging import DEFAULT_LIMIT, MAX_CURSOR, MAX_LIMIT
from app.domain.pointer import Path, parse_path
from app.domain.values import Value
from app.rest.request import StrictRequest, environment_reference
from app.services.documents import Expected
from app.settings import Settings

MAX_ID: Final = 2**31 - 1
MAX_VERSION: Final = 2**63 - 1
IN_ENVIRONMENT: Final = (
    "The environment's name or UUID; without it the active one (`/api/sandbox/active-env`), else production."
    " Percent-encode what is not ASCII."
)
ENVIRONMENT_IN_QUERY: Final = "The same as the header, which wins over it."

ProjectId: TypeAlias = Annotated[int, PathParameter(ge=1, le=MAX_ID, description="The project's id.")]
ImpliedProjectId: TypeAlias = Annotated[
    int | None,
    QueryParameter(
        name="project_id",
        ge=1,
        le=MAX_ID,
        description="The project's id; may be left out where the environment or the API key implies it.",
    ),
]
Limit: TypeAlias = Annotated[
    int,
    QueryParameter(
        description="Items of a page.",
        schema_extra={"minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    ),
]
Cursor: TypeAlias = Annotated[
    str | None,
    QueryParameter(
        description="The `next_cursor` of the page before.",
        max_length=MAX_CURSOR,
        schema_extra={"pattern": "^[A-Za-z0-9_-]+$"},
    ),
]
AsOf: TypeAlias = Annotated[
    str | None,
    QueryParameter(
        name="as_of",
        description="Read the state at a project version (a number), at a time (ISO 8601; UTC), or after a release"
        " (its UUID).",
        schema_extra={
            "any_of": [
                Schema(pattern="^(0|[1-9][0-9]{0,17})$"),
                Schema(format=OpenAPIFormat.DATE_TIME),
                Schema(format=OpenAPIFormat.UUID),
            ]
        },
    ),
]
InDocument: TypeAlias = Annotated[
    str | None,
    QueryParameter(
        name="path",
        description="A place in the document: a JSON pointer if it starts with `/`, else dotted keys.",
    ),
]
Table: TypeAlias = Annotated[
    str | None,
    QueryParameter(name="table", description="The entity kind; the guide's table names mean `project` and `user`."),
]


# What the router provides to handlers; checked where it is made, so not once more.
Caller: TypeAlias = NamedDependency[SkipValidation[Actor]]
InEnvironment: TypeAlias = NamedDependency[SkipValidation[str | None]]
InSettings: TypeAlias = NamedDependency[SkipValidation[Settings]]
Moment: TypeAlias = NamedDependency[SkipValidation[At | None]]
Place: TypeAlias = NamedDependency[SkipValidation[Path]]
DocumentAddress: TypeAlias = NamedDependency[SkipValidation[tuple[Actor, int, str | None, str, str]]]
Condition: TypeAlias = NamedDependency[SkipValidation[Expected]]


def actor_of(request: StrictRequest) -> Actor:
    """Return who asks."""
    return request.actor


def environment_of(
    request: StrictRequest,
    by_header: Annotated[
        str | None,
        HeaderParameter(
            name="X-AgentStack-Env",
            description=IN_ENVIRONMENT,
        ),
    ] = None,
    by_query: Annotated[str | None, QueryParameter(name="env", description=ENVIRONMENT_IN_QUERY)] = None,
) -> str | None:
    """Return the environment that the request names; the parameters are there for the description only."""
    return environment_reference(request)


def settings_of(request: StrictRequest) -> Settings:
    """Return the settings that ``create_app`` was given."""
    settings: Settings = request.app.state.settings
    return settings


def address_of(
    request: StrictRequest, project_id: ProjectId, actor: Caller, env: InEnvironment
) -> tuple[Actor, int, str | None, str, str]:
    """Return who asks for which document, as the services take it: actor, project, environment, kind, key."""
    return (actor, project_id, env, *request.document_name())


def moment(as_of: AsOf = None) -> At | None:
    """Return the moment to read at, or None for now. Raises BadRequest."""
    if as_of is None:
        return None
    if as_of.isascii() and as_of.isdigit() and len(as_of) < 20 and int(as_of) <= MAX_VERSION:
        return At(version=int(as_of))
    if len(as_of) == 36 and as_of.count("-") == 4:
        with suppress(ValueError):
            return At(release=UUID(as_of))
    try:
        # An offset's "+" arrives as a space where the caller did not encode it.
        time = datetime.fromisoformat(as_of.strip().replace(" ", "+"))
        return At(time=time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise BadRequest(f"as_of is no version and no time: {as_of[:100]!r}.", parameter="as_of") from None


def place(path: InDocument = None) -> Path:
    """Return the path below which the document is read or written. Raises InvalidPath."""
    return parse_path(path) if path else ()


def rules(text: str | None) -> Sequence[Value] | None:
    """Return the rules of a ``filter``: a JSON array of rules, or ``{"rules": […]}``.

    Raises BadRequest if it is no JSON, ValidationFailed if it is other JSON.
    """
    if text is None:
        return None
    try:
        value = check_storable(parse_json(text))
    except MalformedJson as error:
        raise BadRequest(error.message.replace("The body", "The filter"), parameter="filter") from None
    if isinstance(value, dict) and value.keys() == {"rules"}:
        value = value["rules"]
    if not isinstance(value, list):
        raise ValidationFailed("A filter is an array of rules, as in a segment.", field="filter")
    return value


def kind_of_table(table: str | None) -> str:
    """Return the entity kind that ``table`` means; without one, the project's. Raises UnknownKind."""
    if table is None:
        return PROJECT_KIND
    try:
        return TABLE_ALIASES.get(table) or check_kind(table)
    except ValidationFailed:
        raise UnknownKind(table) from None
