"""Small types that many others are made of."""

from collections.abc import Mapping

import strawberry

from app.domain.pointer import format_dotted, parse_pointer
from app.domain.values import Value
from schema.scalars import JSON, JSONPointer, shown


@strawberry.type(description="Who did something.")
class Actor:
    name: str = strawberry.field(description="E-mail address of the user, or the name of the API key.")


@strawberry.type(description="A value and where it stands.")
class PathValue:
    path: JSONPointer = strawberry.field(description="Where the value stands, exactly.")
    dotted_path: str = strawberry.field(
        description="The same in the guide's dotted form; a dot inside a key is written `\\.`."
    )
    value: JSON | None = strawberry.field(description="The value in full; JSON's null is a value too.")

    @classmethod
    def of(cls, path: tuple[str, ...], value: Value) -> "PathValue":
        return cls(path=JSONPointer(path), dotted_path=format_dotted(path), value=shown(value))


@strawberry.type(description="What a change did to a document: paths that got a value, and paths that were removed.")
class Patch:
    set: list[PathValue] = strawberry.field(description="Paths with the values that replaced what was there.")
    unset: list[JSONPointer] = strawberry.field(description="Paths that were removed.")

    @classmethod
    def of(cls, flat: Mapping[str, Value]) -> "Patch":
        set_, unset = flat.get("set"), flat.get("unset")
        assert isinstance(set_, dict)
        assert isinstance(unset, list)
        return cls(
            set=[PathValue.of(parse_pointer(pointer), value) for pointer, value in set_.items()],
            unset=[JSONPointer(parse_pointer(str(pointer))) for pointer in unset],
        )
