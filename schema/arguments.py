"""Arguments that many fields take."""

from datetime import datetime
from typing import Annotated, TypeAlias
from uuid import UUID

import strawberry

from app.domain.model import At
from schema.describe import present
from schema.scalars import BigInt, JSONPointer

Kind: TypeAlias = Annotated[
    str, strawberry.argument(description="Kind of the document: `project`, `user` or a name of your own.")
]
Key: TypeAlias = Annotated[
    str | None,
    strawberry.argument(description="Key of the document within its kind; only `project` may leave it out."),
]
Pointer: TypeAlias = Annotated[JSONPointer, strawberry.argument(description="Where to look in the document.")]


@strawberry.input(name="At", one_of=True, description="A moment to read at: exactly one of these.")
class AtInput:
    version: BigInt | None = strawberry.field(
        default=strawberry.UNSET, description="A version of the project, as a `Change` names it."
    )
    time: datetime | None = strawberry.field(
        default=strawberry.UNSET, description="A time: what was committed up to then."
    )
    checkpoint: UUID | None = strawberry.field(default=strawberry.UNSET, description="UUID of a checkpoint.")
    release: UUID | None = strawberry.field(
        default=strawberry.UNSET, description="UUID of a release: as it was when that had gone to production."
    )

    def moment(self) -> At:
        """Return the moment as the services take it."""
        return At(
            version=present(self.version),
            time=present(self.time),
            checkpoint=present(self.checkpoint),
            release=present(self.release),
        )


AtArgument: TypeAlias = Annotated[
    AtInput | None, strawberry.argument(description="A moment of the past; left out: as it is now.")
]
