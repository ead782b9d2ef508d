"""Refusals: one status per kind, nothing that can break or tell too much, no matter what was sent."""

import json
import logging
from collections.abc import Iterator
from typing import cast

import httpx
import pytest
from litestar import Litestar, get
from litestar.exceptions import HTTPException
from structlog.testing import capture_logs

from app.domain.errors import DomainError, Kind
from app.domain.plans import SandboxLimitExceeded
from app.rest.errors import STATUS, exception_handlers
from app.rest.metering import finish

SECRET = "sk_live_do_not_tell"


class Refused(DomainError):
    """Any refusal; the test gives it code and kind."""

    code, kind = "refused", Kind.INVALID


def subclasses(base: type[DomainError]) -> Iterator[type[DomainError]]:
    for child in base.__subclasses__():
        if child.__module__.startswith("app."):
            yield child
            yield from subclasses(child)


async def answer_to(error: Exception, **options: object) -> httpx.Response:
    """Return what a route that raises ``error`` answers."""

    @get("/route")
    async def route() -> None:
        raise error

    app = Litestar(
        [route],
        exception_handlers=exception_handlers,
        before_send=[finish],
        openapi_config=None,
        logging_config=None,
    )
    transport = httpx.ASGITransport(app=cast("httpx._transports.asgi._ASGIApp", app), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        return await client.get(f"/route?token={SECRET}")


def test_every_kind_has_a_status() -> None:
    assert set(STATUS) == set(Kind)
    assert all(400 <= status < 600 for status in STATUS.values())


@pytest.mark.parametrize("error", sorted(subclasses(DomainError), key=str))
async def test_every_refusal_of_the_catalogue(error: type[DomainError]) -> None:
    raised = error.__new__(error)
    DomainError.__init__(raised, "What is wrong.", path="/a", problems=[1])
    answer = await answer_to(raised)
    assert answer.status_code == STATUS[error.kind]
    said = {"error": error.code, "message": "What is wrong.", "path": "/a", "problems": [1]}
    detail = {"detail": said} if issubclass(error, SandboxLimitExceeded) else {}
    assert answer.json() == {**said, **detail, "request_id": answer.headers["X-Request-Id"]}
    assert ("www-authenticate" in answer.headers) == (answer.status_code == 401)
    assert ("retry-after" in answer.headers) == (answer.status_code in (429, 503))


async def test_lone_surrogates_are_answered_and_not_a_500() -> None:
    raised = type("Surrogates", (Refused,), {"code": "x", "kind": Kind.INVALID})("\ud800", a=["\udfff", {"\ud800": 1}])
    answer = await answer_to(raised)
    assert answer.status_code == 422
    assert json.loads(answer.content)["message"] == "?"


async def test_an_unexpected_error_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.WARNING, "httpx"), capture_logs() as logged:
        answer = await answer_to(RuntimeError(f"SELECT secret {SECRET}"))
    assert (answer.status_code, answer.json()["error"]) == (500, "internal_error")
    assert answer.json().keys() == {"error", "message", "request_id"}
    assert [entry["request_id"] for entry in logged] == [answer.headers["X-Request-Id"]]
    assert logged[0]["exception"] == "RuntimeError"
    assert "test_errors.py" in logged[0]["frames"][-1]
    for text in (answer.text, str(logged), caplog.text):
        assert SECRET not in text
        assert "SELECT" not in text


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 413, 415, 418, 429, 500, 502, 503])
async def test_the_framework_speaks_like_us(status: int) -> None:
    answer = await answer_to(HTTPException(status_code=status, detail=SECRET))
    body = answer.json()
    assert body.keys() >= {"error", "message", "request_id"}
    assert SECRET not in answer.text
    assert answer.status_code == (500 if status == 502 else status)
