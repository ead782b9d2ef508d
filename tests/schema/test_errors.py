"""One catalogue for both doors: every refusal has the same code in REST and in GraphQL."""

from typing import Any

import pytest
from graphql import GraphQLError
from litestar import Litestar, get
from litestar.testing import RequestFactory

from app.domain import errors
from app.domain.errors import DomainError, Kind
from app.domain.model import Plan
from app.domain.plans import Limit, SandboxLimitExceeded
from app.rest.errors import refusal as rest_refusal
from app.storage.codec import loads
from schema.errors import Refusal, catalogue, presented, refusal_handlers, refusal_type

ALL = [error for error in dict.fromkeys(catalogue()) if "code" in vars(error)]


def _made(error: type[DomainError]) -> DomainError:
    made = error.__new__(error)
    fields: dict[str, object] = {"field": "a_field", "path": "/a/b"}
    if issubclass(error, SandboxLimitExceeded):
        fields |= {"limit_type": Limit.CHECKPOINT_COUNT, "current": 3, "max": 3, "available_from": Plan.PRO}
    DomainError.__init__(made, f"The message of {error.__name__}.", **fields)
    return made


@get("/")
async def nothing() -> None:
    """Be a route for the request factory."""


@pytest.fixture(scope="module")
def requests() -> RequestFactory:
    return RequestFactory(Litestar([nothing], openapi_config=None, logging_config=None))


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_both_doors_say_the_same(error: type[DomainError], requests: RequestFactory) -> None:
    made = _made(error)
    rest: Any = rest_refusal(requests.get("/"), made)
    body = errors_body(rest.content)
    top = presented(GraphQLError("x", original_error=made), "id")
    assert top.extensions is not None
    assert body["error"] == top.extensions["code"] == error.code
    assert body["message"] == top.message == made.message
    assert body["field"] == top.extensions["field"] == "a_field"
    kind = refusal_type(error)
    if kind is not None:
        refused = kind.of(made)
        assert (refused.code, refused.message) == (error.code, made.message)


def errors_body(content: bytes) -> dict[str, Any]:
    """Return the body of a REST answer."""
    body = loads(content)
    assert isinstance(body, dict)
    return body


def test_codes_are_unique() -> None:
    codes = [error.code for error in ALL]
    assert len(codes) == len(set(codes))
    assert "internal_error" not in codes


def test_who_is_not_let_in_or_cannot_be_served_gets_a_top_level_error() -> None:
    outside = {error.kind for error in ALL if refusal_type(error) is None}
    assert outside == {Kind.UNAUTHENTICATED, Kind.TOO_MANY, Kind.UNAVAILABLE}


def test_each_error_has_one_handler() -> None:
    handled = [error for handler in refusal_handlers() for error in handler.exception_type]
    assert len(handled) == len(set(handled))
    assert set(handled) == {error for error in catalogue() if refusal_type(error) is not None}
    for handler in refusal_handlers():
        for error in handler.exception_type:
            # A handler takes subclasses too, so a base class must not take what belongs to another handler.
            assert all(refusal_type(below) is handler.error_type for below in catalogue(error))


def test_every_type_of_refusal_is_used() -> None:
    assert {refusal_type(error) for error in ALL} - {None} == set(Refusal.__subclasses__())


def test_a_pointer_that_is_none_is_left_out() -> None:
    kind = refusal_type(errors.InvalidPath)
    assert kind is not None
    assert getattr(kind.of(errors.InvalidPath("a~5", "no")), "path", "") is None
