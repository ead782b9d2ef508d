"""Nothing is beside the table: each operation has a row, each request of both doors an operation."""

from collections.abc import Iterable

from graphql import GraphQLInterfaceType, GraphQLObjectType
from litestar import Litestar
from litestar.routes import HTTPRoute

from app.domain.policy import POLICY, Operation
from tests.matrix.requests import (
    BESIDE,
    FIELDS,
    IN_CONTEXT,
    OF_LIVING,
    OPERATION_OF,
    PUBLIC,
    PUBLIC_MUTATIONS,
    QUERIES,
    REQUESTS,
    RESOLVED,
    SCHEMA,
    SUBSCRIPTIONS,
    TWINS,
    WAYS,
)
from tests.operations.world import CALLS

HERE = "tests/matrix/requests.py"
FILES = {
    *("/docs", "/docs/openapi.json", "/docs/{path}", "/graphql", "/static/{name}"),
    *("/health/live", "/health/ready", "/metrics"),
}


def _routes(app: Litestar) -> dict[str, HTTPRoute]:
    return {
        f"{method} {route.path_format}": route
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        # Its pages have a matrix of their own: tests/dashboard/test_rights.py.
        if handler.opt.get("door") != "dashboard"
        for method in handler.http_methods
        if method not in ("HEAD", "OPTIONS")
    }


def test_each_operation_has_a_row_and_a_request() -> None:
    rows = [f"Operation.{operation.name}: Rule(…)" for operation in Operation if operation not in POLICY]
    assert rows == [], "add these to POLICY in app/domain/policy.py"
    asked = {request.operation for request in REQUESTS} | BESIDE
    assert [operation for operation in Operation if operation not in asked] == [], f"no request in {HERE} is these"


def test_each_action_is_an_operation() -> None:
    lines = {f"Action.{call.action.name}: Operation.…" for call in CALLS if call.action not in OPERATION_OF}
    assert lines == set(), f"add these to OPERATION_OF in {HERE}"


def test_each_route_is_a_request(app: Litestar) -> None:
    known = {request.name for request in REQUESTS} | {call.name for call in CALLS} | PUBLIC | TWINS.keys()
    routes = [name for name, route in _routes(app).items() if name not in known and route.path_format not in FILES]
    reads = [f'Get("{name.split()[1]}", Operation.…)' for name in routes if name.startswith("GET")]
    assert reads == [], f"add these to REST_READS in {HERE}"
    assert routes == [], "add these to REST in tests/operations/world.py"


def test_twins_share_a_handler(app: Litestar) -> None:
    routes = _routes(app)
    for twin, of in TWINS.items():
        handlers = [
            handler.fn
            for name in (twin, of)
            for handler in routes[name].route_handlers
            if name.split()[0] in handler.http_methods
        ]
        assert handlers[0] is handlers[1] or handlers[0].__name__ == handlers[1].__name__, twin


def _unknown(root: GraphQLObjectType | None, known: Iterable[str]) -> list[str]:
    return sorted(set(root.fields if root else ()) - set(known))


def test_each_field_of_the_roots_is_a_request() -> None:
    missing = _unknown(SCHEMA.query_type, (query.name for query in QUERIES))
    assert missing == [], f'add Ask("name", "name(…) {{ … }}", Operation.…) for these to QUERIES in {HERE}'
    names = {call.name for call in CALLS} | {request.name for request in REQUESTS} | PUBLIC_MUTATIONS
    missing = _unknown(SCHEMA.mutation_type, names)
    assert missing == [], "add these to MUTATIONS in tests/operations/world.py"
    missing = _unknown(SCHEMA.subscription_type, SUBSCRIPTIONS)
    assert missing == [], f"add these to SUBSCRIPTIONS in {HERE}"


def test_each_node_has_a_way() -> None:
    node = SCHEMA.type_map["Node"]
    assert isinstance(node, GraphQLInterfaceType)
    names = {type_.name for type_ in SCHEMA.get_implementations(node).objects}
    missing = [f'"{name}": Way("… {{ %s }}")' for name in sorted(names - WAYS.keys())]
    assert missing == [], f"add these to WAYS in {HERE}"


def test_no_line_is_left_over(app: Litestar) -> None:
    names = {request.name for request in REQUESTS}
    assert (PUBLIC | TWINS.keys()) <= _routes(app).keys()
    assert FIELDS.keys() <= RESOLVED
    assert names >= (IN_CONTEXT | OF_LIVING)
    assert len(names) == len(REQUESTS)
