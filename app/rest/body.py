"""Bodies as typed structures: no coercion, no unknown fields, every problem named."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar

import msgspec
from litestar._openapi.schema_generation import SchemaCreator
from litestar._openapi.schema_generation.plugins.struct import StructSchemaPlugin
from litestar.dto import AbstractDTO
from litestar.openapi.spec import Reference, Schema
from litestar.typing import FieldDefinition

from app.domain.errors import ValidationFailed
from app.domain.json_text import check_storable, parse_json
from app.domain.pointer import format_pointer
from app.domain.values import Value
from app.rest.request import JSON, StrictRequest

S = TypeVar("S", bound=msgspec.Struct)

_MAX_PROBLEMS: Final = 20
# msgspec says "Expected `str`, got `int` - at `$.rules[0].field`".
_located = re.compile(r"(?P<what>.*?)(?: - at `(?:key in )?\$(?P<where>.*)`)?", re.DOTALL).fullmatch
_steps = re.compile(r"\.([^.\[\]]+)|\[([^\]]*)\]").findall


class Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Base of all request bodies."""


def read_body(value: Value, body: type[S]) -> S:
    """Return ``value`` as a ``body``. Raises ValidationFailed with all ``problems``, the first one's ``path``."""
    try:
        return msgspec.convert(value, body)
    except msgspec.ValidationError as error:
        problems = list(_problems(value, body)) or [_problem(str(error))]
        first = problems[0]
        raise ValidationFailed(
            f"The body cannot be used: {first['message']} (at {first['path'] or 'its top'}).",
            path=first["path"],
            problems=problems[:_MAX_PROBLEMS],
        ) from None


def _problems(value: Value, body: type[msgspec.Struct]) -> Iterator[dict[str, str]]:
    if not isinstance(value, Mapping):
        yield {"path": "", "message": "Expected an object"}
        return
    fields = {field.encode_name: field for field in msgspec.structs.fields(body)}
    for name in value.keys() - fields.keys():
        yield {"path": format_pointer((name,)), "message": "This field is not known here"}
    for name, field in fields.items():
        if name not in value:
            if field.required:
                yield {"path": format_pointer((name,)), "message": "This field is missing"}
            continue
        try:
            msgspec.convert(value[name], field.type)
        except msgspec.ValidationError as error:
            yield _problem(str(error), name)


def _problem(text: str, *above: str) -> dict[str, str]:
    found = _located(text)
    steps = _steps(found["where"] or "") if found else []
    path = (*above, *(key or index for key, index in steps))
    return {"path": format_pointer(path), "message": found["what"] if found else text}


class ClosedBodies(StructSchemaPlugin):
    """Describes bodies as they are read: with no other fields than theirs."""

    def is_plugin_supported_field(self, field_definition: FieldDefinition) -> bool:
        """Return whether this is a body, or stands in one."""
        return not field_definition.is_union and field_definition.is_subclass_of(Body)

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: SchemaCreator) -> Schema:
        """Return the structure's schema, closed."""
        schema = super().to_openapi_schema(field_definition, schema_creator)
        schema.additional_properties = False
        return schema


class BodyReader(AbstractDTO[Any]):
    """How Litestar gets ``data``: by ``read_body`` from strict JSON, never by its own lenient conversion."""

    def decode_bytes(self, value: bytes) -> msgspec.Struct:
        """Return the body as the structure that the handler declares."""
        request, handler = self.asgi_connection, self.asgi_connection.route_handler
        assert isinstance(request, StrictRequest)
        assert handler.parsed_data_field is not None
        request.expect_media_type((JSON,))
        body: type[Body] = handler.parsed_data_field.annotation
        return read_body(check_storable(parse_json(value)), body)

    @classmethod
    def create_for_field_definition(cls, *args: object, **kwargs: object) -> None:
        """Prepare nothing: the structures need no transfer model."""

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: SchemaCreator
    ) -> Reference | Schema:
        """Return the schema of the structure itself."""
        return schema_creator.for_field_definition(field_definition)
