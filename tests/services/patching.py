"""RFC 7396 and RFC 6902 on documents, in the model's own way, with patches made at random to fit a document."""

import random
from collections.abc import Iterator

from app.domain.values import MISSING, State, Value

Path = tuple[str, ...]


def merge_patched(target: Value, patch: Value) -> Value:
    """RFC 7396, as its section 2 spells it."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is not None:
            result[name] = merge_patched(result.get(name), value)
        elif name in result:
            del result[name]
    return result


def places(value: Value, path: Path = ()) -> Iterator[Path]:
    """Yield the path of every object member in ``value``; arrays are not entered."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key)
            yield from places(item, (*path, key))


def at(value: Value, path: Path) -> Value:
    for key in path:
        assert isinstance(value, dict)
        value = value[key]
    return value


def put_at(value: Value, path: Path, new: Value) -> Value:
    """Return ``value`` with ``new`` at ``path``, whose last key alone may be new."""
    if not path:
        return new
    assert isinstance(value, dict)
    inner = put_at(value[path[0]], path[1:], new) if len(path) > 1 else new
    return {**value, path[0]: inner}


def without(value: Value, path: Path) -> Value:
    """Return ``value`` without what stands at ``path``."""
    assert isinstance(value, dict)
    if len(path) == 1:
        return {key: item for key, item in value.items() if key != path[0]}
    return {**value, path[0]: without(value[path[0]], path[1:])}


def pointer(path: Path) -> str:
    return "".join(f"/{key.replace('~', '~0').replace('/', '~1')}" for key in path)


def json_patch(chance: random.Random, document: Value, new: Value) -> tuple[list[Value], Value]:
    """Return a JSON Patch of a few operations that fit ``document``, and the document it makes."""
    operations: list[Value] = []
    for _ in range(chance.randint(1, 4)):
        known = list(places(document))
        if not known:
            operations.append({"op": "replace", "path": "", "value": new})
            document = new
            continue
        path, other = chance.choice(known), chance.choice(known)
        value = at(document, path)
        match chance.choice(["add", "replace", "remove", "copy", "move", "test"]):
            case "add":
                wanted = (*path, "added") if isinstance(value, dict) else (*path[:-1], "added")
                operations.append({"op": "add", "path": pointer(wanted), "value": new})
                document = put_at(document, wanted, new)
            case "replace":
                operations.append({"op": "replace", "path": pointer(path), "value": new})
                document = put_at(document, path, new)
            case "remove":
                operations.append({"op": "remove", "path": pointer(path)})
                document = without(document, path)
            case "copy":
                operations.append({"op": "copy", "from": pointer(path), "path": pointer(other)})
                document = put_at(document, other, value)
            case "move" if other[: len(path)] != path and path[: len(other)] != other:
                operations.append({"op": "move", "from": pointer(path), "path": pointer(other)})
                document = put_at(without(document, path), other, value)
            case _:
                operations.append({"op": "test", "path": pointer(path), "value": value})
    return operations, document


def taken_over(own: State, theirs: State, path: Path) -> State | None:
    """Return ``own`` with what ``theirs`` has at ``path``, or nothing there; None if an array stands in the way."""
    for length in range(len(path)):
        if isinstance(found(own, path[:length]), list) or isinstance(found(theirs, path[:length]), list):
            return None
    value = found(theirs, path)
    if value is not MISSING:
        return overlay(own, path, value)
    return own if own is MISSING or found(own, path) is MISSING else without(own, path)


def found(value: State, path: Path) -> State:
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return MISSING
        value = value[key]
    return value


def overlay(value: State, path: Path, new: Value) -> Value:
    """Return ``value`` with ``new`` at ``path``, with objects wherever none stands on the way."""
    if not path:
        return new
    members = value if isinstance(value, dict) else {}
    return {**members, path[0]: overlay(members.get(path[0], MISSING), path[1:], new)}
