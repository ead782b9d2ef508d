"""Domain values as JSON and back, guided by their types: frozen dataclasses of ids, times, enums and documents.

What is read back equals what was stored, digits included.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from types import NoneType
from typing import Any, Final, NamedTuple, get_args, get_origin, get_type_hints
from uuid import UUID

from app.domain.values import MISSING, Missing
from app.storage.codec import dumps, loads

WITHHELD: Final = "withheld"
"""In a field's metadata: shown once and never stored; read back as None."""


class _Form(NamedTuple):
    to_json: Callable[[Any], Any]
    from_json: Callable[[Any], Any]


def dump(value: object, type_: Any) -> str:
    """Return the JSON text of a value of ``type_``, without what is marked as withheld."""
    return dumps(_form(type_).to_json(value))


def load(text: str, type_: Any) -> Any:
    """Return the value of ``type_`` that ``dump`` made ``text`` of. Raises TypeError, KeyError, ValueError."""
    return _form(type_).from_json(loads(text))


def value_of(held: object, type_: Any) -> Any:
    """Return the value of ``type_`` that its JSON, read already, says. Raises TypeError, KeyError, ValueError."""
    return _form(type_).from_json(held)


def canonical(value: object) -> bytes:
    """Return a text that is the same for equal values, of these types or others; to compare, not to be read."""
    return json.dumps(value, sort_keys=True, default=_member).encode()


def _member(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, frozenset):
        return sorted(value)
    return {type(value).__name__: str(value)}


def _same(value: Any) -> Any:
    return value


_AS_IT_IS: Final = _Form(_same, _same)
_FORMS: Final[Mapping[Any, _Form]] = {
    UUID: _Form(str, UUID),
    datetime: _Form(datetime.isoformat, datetime.fromisoformat),
    **dict.fromkeys((str, int, bool, NoneType, Any), _AS_IT_IS),
}
# A state is a document or none, and any JSON value can be a document; so it stands in a list, or the list is empty.
_STATE: Final = _Form(lambda state: [] if state is MISSING else [state], lambda held: held[0] if held else MISSING)


@cache
def _form(type_: Any) -> _Form:
    if type_ in _FORMS:
        return _FORMS[type_]
    origin, parts = get_origin(type_), get_args(type_)
    if origin is None:
        return _form_of_class(type_)
    if NoneType in parts or Decimal in parts:
        return _form_of_union(parts)
    if issubclass(origin, Mapping):
        return _AS_IT_IS
    if issubclass(origin, Sequence | frozenset):
        item, build = _form(parts[0]), list if origin is Sequence else origin
        return _Form(lambda held: [item.to_json(one) for one in held], lambda held: build(map(item.from_json, held)))
    raise TypeError(f"no form for {type_}")


def _form_of_union(parts: tuple[Any, ...]) -> _Form:
    if Decimal in parts:
        return _STATE if Missing in parts else _AS_IT_IS
    inner = [part for part in parts if part is not NoneType]
    if len(inner) != 1:
        raise TypeError(f"no form for a union of {inner}")
    form = _form(inner[0])
    return _Form(
        lambda value: None if value is None else form.to_json(value),
        lambda value: None if value is None else form.from_json(value),
    )


def _form_of_class(type_: Any) -> _Form:
    if issubclass(type_, Enum):
        return _Form(lambda value: value.value, type_)
    make: Callable[..., Any] = type_
    if not is_dataclass(type_):
        raise TypeError(f"no form for {type_}")
    hints = get_type_hints(type_)
    stored = {field.name: _form(hints[field.name]) for field in fields(type_) if WITHHELD not in field.metadata}
    withheld = dict.fromkeys(field.name for field in fields(type_) if WITHHELD in field.metadata)

    def build(held: Mapping[str, Any]) -> Any:
        # A member that an older version did not know is left to its default.
        return make(**{name: form.from_json(held[name]) for name, form in stored.items() if name in held}, **withheld)

    return _Form(lambda value: {name: form.to_json(getattr(value, name)) for name, form in stored.items()}, build)
