"""Results as they are written to clients, over whichever transport."""

from typing import Any, Protocol, cast

from graphql import GraphQLError


class _Result(Protocol):
    data: object
    errors: list[GraphQLError] | None


def errors_of(result: object) -> list[dict[str, Any]]:
    """Return the errors of a result, formatted."""
    return [dict(error.formatted) for error in cast(_Result, result).errors or ()]


def is_refused(result: object) -> bool:
    """Return whether an operation has nothing to show but why it was not done."""
    found = cast(_Result, result)
    return found.data is None and bool(found.errors)


def body_of(result: object) -> dict[str, object]:
    """Return a result of an execution as a response: data, and errors if there are any."""
    body: dict[str, object] = {"data": cast(_Result, result).data}
    if errors := errors_of(result):
        body["errors"] = errors
    return body
