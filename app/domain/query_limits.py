"""What a GraphQL operation may be made of; fragments count as often as they are spread (hardening §3)."""

from dataclasses import dataclass
from enum import StrEnum

from app.domain.errors import DomainError, Kind


class Introspection(StrEnum):
    """Who may ask for the schema."""

    ANYONE = "anyone"
    CALLERS = "callers"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """The limits of one operation.

    ``max_bytes`` and ``tokens`` (comments are some) are of the whole document. ``depth`` is how many fields stand
    within one another; ``children`` and ``parent`` of the tree count apart, in ``tree_depth``. ``nodes`` are the
    objects that pages of the sizes asked for may hold, ``cost`` is in points of the rate limit, ``input_items`` is of
    one list in arguments or variables.
    """

    max_bytes: int = 15_000
    tokens: int = 1_000
    depth: int = 12
    tree_depth: int = 20
    aliases: int = 15
    directives: int = 50
    root_fields: int = 20
    cost: int = 5_000
    nodes: int = 50_000
    input_items: int = 250


class QueryLimitExceeded(DomainError):
    """The operation is larger than any may be; ``limit`` says in what, ``max`` how much is allowed."""

    code, kind = "query_limit_exceeded", Kind.MALFORMED

    def __init__(self, what: str, limit: str, maximum: int) -> None:
        super().__init__(f"The operation has too much: {what}, at most {maximum:,}.", limit=limit, max=maximum)


class IntrospectionDisabled(DomainError):
    code, kind = "introspection_disabled", Kind.MALFORMED

    def __init__(self) -> None:
        super().__init__("The schema cannot be asked for here.")
