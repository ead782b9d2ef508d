"""The description is whole: it says what the routes do, and the routes do what it says."""

from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute

from app.rest.examples import ANSWERS, BODIES
from tests.rest.conftest import Api, refused

METHODS = {"get", "put", "post", "patch", "delete"}


@pytest.fixture
async def described(client: httpx.AsyncClient) -> dict[str, Any]:
    """The description as a client gets it."""
    answer = await client.get("/docs/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def operations(described: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, item in described["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    ]


WITHOUT_BODY = {"logOut", "rotateWebhookSecret", "testWebhook", "redeliverWebhook"}


async def test_every_route_of_the_door_is_described(app: Litestar, described: dict[str, Any]) -> None:
    routes = {
        (route.path_format, method.lower())
        for route in app.routes
        if isinstance(route, HTTPRoute) and route.path.startswith("/api/")
        for handler in route.route_handlers
        if handler.resolve_include_in_schema()
        for method in handler.http_methods
    }
    assert {(path, method) for path, method, _ in operations(described)} >= routes
    assert len(routes) >= 38


async def test_every_operation_says_what_it_does(described: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(described)]
    assert len(ids) == len(set(ids))
    tags = {tag["name"] for tag in described["tags"]}
    for path, method, operation in operations(described):
        assert operation["summary"], (path, method)
        assert set(operation["tags"]) <= tags
        assert {"400", "404", "422", "500"} <= operation["responses"].keys()
        assert operation.get("security", []) == (
            [] if operation["operationId"] in ("register", "logIn", "refresh") else [{"bearer": []}]
        )
        takes_body = method in ("put", "post", "patch") and operation["operationId"] not in WITHOUT_BODY
        assert ("requestBody" in operation) == takes_body
        if "requestBody" in operation:
            assert {"413", "415"} <= operation["responses"].keys()


async def test_document_bodies_and_versions(described: dict[str, Any]) -> None:
    for path in ("/api/projects/{project_id}/data", "/api/projects/{project_id}/entities/{kind}/{key}"):
        item = described["paths"][path]
        assert item["patch"]["requestBody"]["content"].keys() == {
            "application/json",
            "application/merge-patch+json",
            "application/json-patch+json",
        }
        assert "ETag" in item["get"]["responses"]["200"]["headers"]
        assert "304" in item["get"]["responses"]
        assert {"200", "201", "412"} <= item["put"]["responses"].keys()
        names = {parameter["name"] for parameter in item["get"]["parameters"]}
        assert names >= {"project_id", "X-AgentStack-Env", "env", "as_of", "path", "If-None-Match"}
    bulk = described["paths"]["/api/projects/{project_id}/import"]["post"]
    assert bulk["requestBody"]["content"].keys() == {"application/x-ndjson"}


async def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [found for value in node.values() for found in references(value)]
        if isinstance(node, list):
            return [found for value in node for found in references(value)]
        return []

    found = set(references(described))
    assert found
    for reference in found:
        node: Any = described
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


async def test_the_guides_examples_are_shown(described: dict[str, Any]) -> None:
    by_id = {operation["operationId"]: operation for _, _, operation in operations(described)}
    for name, body in BODIES.items():
        assert by_id[name]["requestBody"]["content"]["application/json"]["example"] == {
            field: value for field, value in body.items() if value is not None
        }
    for name, answer in ANSWERS.items():
        shown = [by_id[name]["responses"].get(status) for status in ("200", "201")]
        assert any(item and item["content"]["application/json"]["example"] == answer for item in shown)


async def test_nothing_is_loaded_from_elsewhere(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.status_code == 200
    assert "http://" not in page.text
    assert "https://" not in page.text


# Of them a project has few, they are of one document, or the guide says how they are paged.
UNPAGED = {"listApiKeys", "listWebhooks", "listSegments", "generationTimeline"}


async def test_lists_are_paged_alike(described: dict[str, Any]) -> None:
    paged = 0
    for path, method, operation in operations(described):
        shown = operation["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema", {})
        reference = shown.get("$ref", "")
        properties = described["components"]["schemas"].get(reference.rpartition("/")[2], {}).get("properties", {})
        names = {parameter["name"] for parameter in operation.get("parameters", ())}
        lists = [name for name, item in properties.items() if item.get("type") == "array"]
        pages = "limit" in names and "offset" not in names
        assert ("next_cursor" in properties) == ("cursor" in names) == pages, path
        if method == "get" and len(properties) <= 2 and lists and "next_cursor" not in properties:
            assert operation["operationId"] in UNPAGED, path
        paged += "cursor" in names
    assert paged >= 15


async def test_reads_have_a_tag(api: Api) -> None:
    here = {"project_id": api.project.id}
    addresses = ["environments", "checkpoints", "tree", "limits", "promotions", "changes"]
    for address in (*(f"/api/sandbox/{name}" for name in addresses), api.documents, "/api/auth/me"):
        first = await api.get(address, params=here)
        tag = first.headers["ETag"]
        assert tag.startswith('W/"'), address
        again = await api.get(address, params=here, headers={"If-None-Match": tag})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
        assert first.headers["Cache-Control"] == again.headers["Cache-Control"] == "private, no-cache"
    await api.fork("another")
    changed = await api.get("/api/sandbox/environments", params=here)
    assert len(changed.json()["environments"]) == 2
    known = {"If-None-Match": f'"other", {changed.headers["ETag"]}'}
    assert (await api.get("/api/sandbox/environments", params=here, headers=known)).status_code == 304
    for wrong in ("", "0", '"'):
        answer = await api.get("/api/sandbox/environments", params=here, headers={"If-None-Match": wrong})
        refused(answer, 400, "bad_request")


async def test_methods_that_an_address_takes(api: Api) -> None:
    for address, methods in (
        ("/api/projects", "GET, OPTIONS, POST"),
        (f"{api.documents}/data", "GET, OPTIONS, PATCH, PUT"),
        (api.entity("user", "a"), "DELETE, GET, OPTIONS, PATCH, PUT"),
        (api.entity("user", "//"), "DELETE, GET, OPTIONS, PATCH, PUT"),
        (f"{api.documents}/entities/user", "GET, OPTIONS"),
        ("/api/sandbox/freeze", "DELETE, GET, OPTIONS, POST"),
    ):
        answer = await api.client.options(address)
        assert (answer.status_code, answer.headers["Allow"]) == (204, methods), address
    wrong = await api.client.put("/graphql")
    assert (wrong.status_code, wrong.headers["Allow"]) == (405, "GET, OPTIONS, POST")


async def test_a_query_says_one_thing(api: Api) -> None:
    listed, here = "/api/sandbox/environments", f"project_id={api.project.id}"
    for query, name in (
        (f"{here}&project_id=2147483647", "project_id"),
        (f"{here}&limit=1&limit=2", "limit"),
        ("project_id=null", "project_id"),
        ("project_id=null&project_id=null", "project_id"),
    ):
        assert refused(await api.get(f"{listed}?{query}"), 400, "bad_request")["parameter"] == name
    assert (await api.get(f"{listed}?{here}&{here}&status=draft&status=live")).status_code == 200
    refused(await api.get(f"{api.documents}/data?path=null"), 404, "path_not_found")
