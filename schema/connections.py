"""Relay connections: pages of ``first`` items after a cursor."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Final, Generic, TypeAlias, TypeVar

import strawberry

from app.domain.paging import DEFAULT_LIMIT, check_limit
from schema.describe import field

T = TypeVar("T")
N = TypeVar("N")

First: TypeAlias = Annotated[int | None, strawberry.argument(description="How many items, 1 to 200; null: 50.")]
After: TypeAlias = Annotated[
    str | None, strawberry.argument(description="Cursor of the item after which to begin; left out: at the start.")
]
FIRST: Final = DEFAULT_LIMIT


def size(first: int | None) -> int:
    """Return how many items a page is to have. Raises ValidationFailed."""
    return FIRST if first is None else check_limit(first)


@strawberry.type(description="Where a page stands among all pages.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether items come after this page.")
    has_previous_page: bool = strawberry.field(description="Whether this page was asked for after a cursor.")
    start_cursor: str | None = strawberry.field(description="Cursor of the first item; null if there is none.")
    end_cursor: str | None = strawberry.field(description="Cursor of the last item; null if there is none.")


@strawberry.type(description="An item of a page with its cursor.")
class Edge(Generic[T]):
    cursor: str = strawberry.field(description="Give it as `after` to get what follows this item.")
    node: T = strawberry.field(description="The item.")


async def _uncounted() -> int | None:
    return None


@strawberry.type(description="A page of items.")
class Connection(Generic[T]):
    edges: list[Edge[T]] = strawberry.field(description="The items of this page with their cursors.")
    page_info: PageInfo = strawberry.field(description="Where this page stands.")
    count: strawberry.Private[Callable[[], Awaitable[int | None]]] = _uncounted

    @field
    async def nodes(self) -> list[T]:
        """The items of this page."""
        return [edge.node for edge in self.edges]

    @field
    async def total_count(self) -> int | None:
        """How many items all pages have together; counted only when asked for.

        Null where counting would mean reading every document: with a filter, or at a moment of the past.
        """
        return await self.count()


def connect(
    items: Sequence[N],
    after: str | None,
    *,
    more: bool,
    node: Callable[[N], T],
    cursor: Callable[[N], str],
    count: Callable[[], Awaitable[int | None]] = _uncounted,
) -> Connection[T]:
    """Return ``items``, which follow the cursor ``after``, as a page; ``more`` says that others follow them."""
    edges = [Edge(cursor=cursor(item), node=node(item)) for item in items]
    info = PageInfo(
        has_next_page=more,
        has_previous_page=after is not None,
        start_cursor=edges[0].cursor if edges else None,
        end_cursor=edges[-1].cursor if edges else None,
    )
    return Connection(edges=edges, page_info=info, count=count)
