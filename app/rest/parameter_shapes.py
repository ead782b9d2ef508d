"""Parameters as the description shows them: what the signatures of handlers do not say of them."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Final

from litestar.openapi.spec import Parameter, Reference, Schema
from litestar.openapi.spec.enums import OpenAPIType

from app.domain.names import MAX_KEY
from app.rest.parameters import ENVIRONMENT_IN_QUERY, IN_ENVIRONMENT
from app.rest.surroundings import KEY_HEADER, REPLAYED_HEADER

CONTEXT: Final = (
    Parameter(
        name="X-AgentStack-Env",
        param_in="header",
        required=False,
        schema=Schema(type=OpenAPIType.STRING),
        description=IN_ENVIRONMENT,
    ),
    Parameter(
        name="env",
        param_in="query",
        required=False,
        schema=Schema(type=OpenAPIType.STRING),
        description=ENVIRONMENT_IN_QUERY,
    ),
)

KEY: Final = Parameter(
    name=KEY_HEADER,
    param_in="header",
    required=False,
    schema=Schema(type=OpenAPIType.STRING, pattern="^[!-~]{1,255}$"),
    description=(
        "A name for this request, such as a random UUID: sent again within 24 hours, it is not done again but answered "
        f"as the first time, with `{REPLAYED_HEADER}: true`. With another request it is refused."
    ),
)


KNOWN: Final = Parameter(
    name="If-None-Match",
    param_in="header",
    required=False,
    schema=Schema(type=OpenAPIType.STRING),
    description="The `ETag` of an answer that you have: if it still holds, the answer is 304 and empty.",
)

_TAG: Final = r'(W/)?"[!#-~]*"'
# What the signatures of handlers do not say of parameters, by name.
_SHAPES: Final[Mapping[str, Mapping[str, Any]]] = {
    "kind": {"pattern": "^[A-Za-z][A-Za-z0-9_.-]{0,63}$"},
    "key": {"min_length": 1, "max_length": MAX_KEY, "format": None},
    "If-Match": {"pattern": rf"^(\*|{_TAG})$"},
    "If-None-Match": {"pattern": rf"^(\*|{_TAG}(, *{_TAG})*)$"},
}


def shaped(parameter: Parameter | Reference) -> Parameter | Reference:
    """Return a parameter with all that is known of its shape; none in an address or a header can be null."""
    if not isinstance(parameter, Parameter) or not isinstance(parameter.schema, Schema):
        return parameter
    schema = parameter.schema
    found = [item for item in schema.one_of or () if isinstance(item, Schema) and item.type is not OpenAPIType.NULL]
    if len(found) == 1:
        outer = {item.name: getattr(schema, item.name) for item in fields(schema) if item.name != "one_of"}
        schema = replace(found[0], **{name: value for name, value in outer.items() if value is not None})
    shape = _SHAPES.get(parameter.name, {}) if schema.type is OpenAPIType.STRING else {}
    return replace(parameter, schema=replace(schema, **shape))
