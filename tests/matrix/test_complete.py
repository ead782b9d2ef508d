"""Nothing is beside the table: each operation has a row, each request of both doors an operation."""

from litestar import Litestar
from litestar.routes import HTTPRoute

from app.domain.audit import Action
from app.domain.policy import POLICY, Operation
from tests.matrix.requests import (
    ARGUMENTS,
    FIELDS,
    IN_CONTEXT,
    OF_LIVING,
    OPERATION_OF,
    PUBLIC,
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
FILES = {"/docs", "/docs/openapi.json", "/docs/{path}", "/graphql", "/static/{name}"}


def _routes(app: Litestar) -> dict[str, HTTPRoute]:
    return {
        f"{method} {route.path_format}": route
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in handler.http_methods
        if method not in ("HEAD", "OPTIONS")
    }


def test_each_operation_has_a_row_and_a_request() -> None:
    for operation in Operation:
        assert operation in POLICY, f"add {operation!r}: Rule(…) to POLICY in app/domain/policy.py"
    asked = {request.operation for request in REQUESTS}
    assert set(Operation) - asked == set(), f"no request in {HERE} is this operation"


def test_each_action_is_an_operation() -> None:
    for call in CALLS:
        assert call.action in OPERATION_OF, f"add Action.{call.action.name}: Operation.… to OPERATION_OF in {HERE}"
    assert OPERATION_OF.keys() <= set(Action)


def test_each_route_is_a_request(app: Litestar) -> None:
    known = {request.name for request in REQUESTS} | PUBLIC | TWINS.keys()
    for name, route in _routes(app).items():
        if route.path_format in FILES:
            continue
        method, path = name.split()
        cure = f'Get("{path}", Operation.…) to REST_READS in {HERE}'
        if method != "GET":
            cure = f'Rest("{method}", "{path}", Action.…) to REST in tests/operations/world.py'
        assert name in known, f"add {cure}"


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


def test_each_field_of_the_roots_is_a_request() -> None:
    assert SCHEMA.query_type is not None
    assert SCHEMA.mutation_type is not None
    names = {request.name for request in REQUESTS}
    for field in SCHEMA.query_type.fields:
        assert field in {query.name for query in QUERIES}, (
            f'add Ask("{field}", "{field}(…) {{ … }}") to QUERIES in {HERE}'
        )
    for field in SCHEMA.mutation_type.fields:
        assert field in names, f'add Mutation("{field}", …) to MUTATIONS in tests/operations/world.py'
    for field in SCHEMA.subscription_type.fields if SCHEMA.subscription_type else ():
        assert field in SUBSCRIPTIONS, f'add "{field}": … to SUBSCRIPTIONS in {HERE}'


def test_each_node_has_a_way() -> None:
    for type_ in SCHEMA.get_implementations(SCHEMA.type_map["Node"]).objects:  # type: ignore[arg-type]
        assert type_.name in WAYS, f'add "{type_.name}": Way("… {{ %s }}") to WAYS in {HERE}'


def test_no_line_is_left_over(app: Litestar) -> None:
    names = {request.name for request in REQUESTS}
    assert (PUBLIC | TWINS.keys()) <= _routes(app).keys()
    assert FIELDS.keys() <= RESOLVED
    assert names >= (IN_CONTEXT | OF_LIVING)
    assert len(names) == len(REQUESTS)
    assert ARGUMENTS
