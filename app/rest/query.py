"""What a query may not leave open: a parameter given twice, or ``null`` where a number or a UUID is meant."""

from functools import cache
from types import NoneType
from typing import get_args

from litestar.handlers import BaseRouteHandler
from litestar.params import ParameterKwarg

from app.domain.errors import BadRequest
from app.rest.request import StrictRequest


def refuse_ambiguous(request: StrictRequest) -> None:
    """Let a query pass that can be read in one way. Raises BadRequest.

    The framework takes the last of several, and ``null`` for a parameter that was not given.
    """
    query = request.scope["query_string"]
    if b"&" not in query and b"null" not in query.lower():
        return
    shapes = _shapes(request.route_handler)
    for name, (is_list, is_text) in shapes.items():
        given = set(request.query_params.getall(name, []))
        if len(given) > 1 and not is_list:
            raise BadRequest(f"{name} is given twice, and not the same.", parameter=name)
        if not is_text and any(value.lower() == "null" for value in given):
            raise BadRequest(f"{name}: 'null' is no value; leave it out.", parameter=name)


@cache
def _shapes(handler: BaseRouteHandler) -> dict[str, tuple[bool, bool]]:
    """Return the parameters of a handler in the query by name: whether it is a list, whether any text will do."""
    found = {}
    for name, field in handler.parsed_fn_signature.parameters.items():
        definition = field.kwarg_definition
        named = definition.name if isinstance(definition, ParameterKwarg) and definition.name else name
        kinds = {kind for kind in (get_args(field.annotation) or (field.annotation,)) if kind is not NoneType}
        found[named] = (field.is_non_string_sequence or any("list" in str(kind) for kind in kinds), str in kinds)
    return found
