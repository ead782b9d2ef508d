"""Figures, spans and the log of requests: what they say, and what they never do."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, cast

import httpx
import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from app.domain.model import Project
from app.main import create_app
from app.metrics import MOST_OPERATIONS, OTHER, UNNAMED, Metrics
from app.settings import Settings
from app.storage import tracing
from tests.conftest import Database
from tests.doors import Headers, OwnTask

if TYPE_CHECKING:
    from httpx._transports.asgi import _ASGIApp

Labels = dict[str, str]


def figures(text: str) -> dict[str, list[tuple[Labels, float]]]:
    """Return the samples of a scrape by name."""
    found: dict[str, list[tuple[Labels, float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def _client_of(settings: Settings, address: str) -> httpx.AsyncClient:
    transport = OwnTask(app=cast("_ASGIApp", create_app(settings)), client=(address, 1))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")


@pytest.fixture
async def own(database: Database, pool: None, address: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application of its own, whose figures begin at nothing."""
    async with _client_of(Settings(database_url=database.app_dsn), address) as client:
        yield client


async def test_requests_are_counted_by_template(own: httpx.AsyncClient, owner: Headers, project: Project) -> None:
    for path in (f"/api/projects/{project.id}/data", f"/api/projects/{project.id}/data", "/api/projects/999999/data"):
        await own.get(path, headers=owner)
    await own.get("/nothing/here")
    answer = await own.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = figures(answer.text)
    counted = {(labels["route"], labels["status"]): value for labels, value in found["strata_http_requests_total"]}
    route = next(name for name, _ in counted if name.startswith("/api/projects/"))
    assert str(project.id) not in route
    assert (counted[route, "200"], counted[route, "404"], counted["(none)", "404"]) == (2, 1, 1)
    assert ({"method": "GET", "route": route}, 3) in found["strata_http_request_seconds_count"]
    assert found["strata_database_up"] == [({}, 1)]
    for name in ("jobs", "outbox_lag", "webhook_messages", "pool_connections_used", "cache_bytes", "subscribers"):
        assert f"strata_{name}" in found


async def test_operations_are_counted_by_name(own: httpx.AsyncClient, owner: Headers) -> None:
    for query in ("query Mine { viewer { name } }", "{ __typename }", "query Mine { nothing }"):
        await own.post("/graphql", json={"query": query}, headers=owner)
    found = figures((await own.get("/metrics")).text)["strata_graphql_operations_total"]
    assert {(labels["operation"], labels["outcome"], value) for labels, value in found} == {
        ("Mine", "ok", 1),
        (UNNAMED, "ok", 1),
        ("Mine", "error", 1),
    }


def test_nobody_can_make_up_figures_without_end() -> None:
    metrics = Metrics()
    for number in range(MOST_OPERATIONS * 2):
        metrics.executed(f"name{number}", "query", 0.1, failed=False)
    metrics.executed("x" * 65, "query", 0.1, failed=False)
    metrics.answered("BREW", "(none)", 405, 0.1)
    text = metrics.written(None).decode()
    names = set(re.findall(r'strata_graphql_operations_total\{operation="([^"]*)"', text))
    assert len(names) == MOST_OPERATIONS + 1
    assert OTHER in names
    assert "BREW" not in text
    assert "strata_database_up 0.0" in text


async def test_metrics_take_a_token_where_there_is_one(database: Database, pool: None, address: str) -> None:
    token = "a-token-of-32-printable-characters"
    async with _client_of(Settings(database_url=database.app_dsn, metrics_token=token), address) as client:
        assert (await client.get("/metrics")).status_code == 401
        assert (await client.get("/metrics", headers={"Authorization": "Bearer other"})).status_code == 401
        assert (await client.get("/metrics", headers={"Authorization": f"Bearer {token}"})).status_code == 200
    for settings in (Settings(metrics=False), Settings().hardened_form()):
        async with _client_of(settings, address) as client:
            assert (await client.get("/metrics")).status_code == 404
    assert Settings(metrics_token=token).hardened_form().metrics


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """The spans that are finished."""
    exporter = InMemorySpanExporter()
    tracing.start(SimpleSpanProcessor(exporter))
    yield exporter
    tracing.stop()


async def test_spans_name_what_was_done_and_quote_nothing(
    own: httpx.AsyncClient, owner: Headers, project: Project, spans: InMemorySpanExporter
) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {**owner, "traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    await own.patch(f"/api/projects/{project.id}/data", json={"word": "sesame"}, headers=headers)
    found = spans.get_finished_spans()
    assert {f"{span.context.trace_id:032x}" for span in found if span.context} == {trace}
    server = found[-1]
    assert re.fullmatch(r"PATCH /api/projects/\{.*\}/data", server.name)
    assert dict(server.attributes or {})["http.response.status_code"] == 200
    assert any(span.name.startswith("postgresql ") for span in found)
    assert "sesame" not in "".join(span.to_json() for span in found)


async def test_graphql_spans_have_the_operations_name(
    own: httpx.AsyncClient, owner: Headers, spans: InMemorySpanExporter
) -> None:
    await own.post("/graphql", json={"query": "query Mine { viewer { name } }"}, headers=owner)
    attributes = dict(spans.get_finished_spans()[-1].attributes or {})
    assert (attributes["graphql.operation.name"], attributes["graphql.operation.type"]) == ("Mine", "query")


async def test_requests_are_logged_without_what_they_hold(database: Database, pool: None, address: str) -> None:
    async with _client_of(Settings(database_url=database.app_dsn, access_log=True), address) as client:
        with capture_logs() as logged:
            answer = await client.get("/api/projects/1/data?path=sesame", headers={"X-Request-Id": "mine"})
    (line,) = logged
    assert (line["request_id"], line["method"], line["status"]) == ("mine", "GET", answer.status_code)
    assert "sesame" not in str(line)
