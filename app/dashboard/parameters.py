"""What stands in addresses of pages, read once and the same for every page."""

from typing import Annotated, Final, TypeAlias
from uuid import UUID

from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter, SkipValidation

from app.dashboard.visit import Visit

MAX_ID: Final = 2**31 - 1

Here: TypeAlias = NamedDependency[SkipValidation[Visit]]
ProjectId: TypeAlias = Annotated[int, PathParameter(ge=1, le=MAX_ID)]
EnvUuid: TypeAlias = Annotated[UUID, PathParameter()]
Flag: TypeAlias = Annotated[bool, QueryParameter()]
Text: TypeAlias = Annotated[str, QueryParameter(max_length=8_000)]
UuidInQuery: TypeAlias = Annotated[UUID | None, QueryParameter()]
Cursor: TypeAlias = Annotated[str | None, QueryParameter(max_length=8_000)]
