"""The two patch formats of HTTP: JSON Merge Patch (RFC 7396) and JSON Patch (RFC 6902)."""

from collections.abc import Callable, Mapping
from typing import Final

from app.domain.errors import InvalidPath, PatchFailed, PatchTestFailed, ValidationFailed
from app.domain.patch import Patch, leaves
from app.domain.pointer import Path, format_pointer, parse_pointer
from app.domain.values import MISSING, State, Value, lookup, same

MAX_OPERATIONS: Final = 1_000
MAX_COPIED_NODES: Final = 100_000


def merge_patch(target: State, patch: Value) -> Value:
    """Return ``target`` with a merge patch applied: ``null`` removes, objects merge, all else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, item in patch.items():
        if item is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key, MISSING), item)
    return merged


def _anything(_: Path, __: Value) -> None:
    """Let anything be copied and moved."""


def json_patch(document: Value, operations: Value, guard: Callable[[Path, Value], None] = _anything) -> Value:
    """Return ``document`` with a JSON Patch applied, all of it or none.

    ``guard`` is given the place and the value of what is to be copied or moved, and raises if it must not be.

    Raises ValidationFailed if ``operations`` is no JSON Patch, PatchFailed if one does not fit the document,
    PatchTestFailed if a ``test`` finds another value.
    """
    if not isinstance(operations, list):
        raise ValidationFailed("A JSON Patch is an array of operations (RFC 6902 §3).")
    if len(operations) > MAX_OPERATIONS:
        raise ValidationFailed(f"A JSON Patch may have at most {MAX_OPERATIONS:,} operations.")
    copied = 0
    for index, operation in enumerate(operations):
        if not isinstance(operation, dict):
            raise ValidationFailed(f"Operation {index} of the JSON Patch is no object.", operation=index)
        run = _Operation(index, operation, guard)
        document = run.apply(document)
        copied += run.copied
        if copied > MAX_COPIED_NODES:
            raise run.failed("the copies of this patch grow too large")
    return document


class _Operation:
    """One operation of a JSON Patch, with its place in the patch for error messages."""

    def __init__(self, index: int, members: Mapping[str, Value], guard: Callable[[Path, Value], None]) -> None:
        self.index = index
        self.members = members
        self.guard = guard
        self.copied = 0

    def apply(self, document: Value) -> Value:
        name = self.members.get("op")
        operation = _OPERATIONS.get(name) if isinstance(name, str) else None
        if operation is None:
            raise self._invalid("'op' must be one of " + ", ".join(_OPERATIONS))
        return operation(self, document)

    def add(self, document: Value) -> Value:
        return self._put(document, self._path("path"), self._value(), insert=True)

    def remove(self, document: Value) -> Value:
        return self._drop(document, self._path("path"))

    def replace(self, document: Value) -> Value:
        path = self._path("path")
        self._present(document, path)
        return self._put(document, path, self._value(), insert=False)

    def move(self, document: Value) -> Value:
        source, target = self._path("from"), self._path("path")
        value = self._present(document, source)
        self.guard(source, value)
        if source == target:
            return document
        if target[: len(source)] == source:
            raise self.failed("a value cannot be moved into itself")
        return self._put(self._drop(document, source), target, value, insert=True)

    def copy(self, document: Value) -> Value:
        source = self._path("from")
        value = self._present(document, source)
        self.guard(source, value)
        self.copied = _count_nodes(value, MAX_COPIED_NODES)
        return self._put(document, self._path("path"), value, insert=True)

    def test(self, document: Value) -> Value:
        path = self._path("path")
        if not same(lookup(document, path), self._value()):
            pointer = format_pointer(path)
            raise PatchTestFailed(
                f"Operation {self.index}: the value at {pointer[:200]!r} is another one.",
                operation=self.index,
                path=pointer[:200],
            )
        return document

    def _path(self, member: str) -> Path:
        text = self.members.get(member)
        if not isinstance(text, str):
            raise self._invalid(f"{member!r} must be a JSON pointer")
        try:
            return parse_pointer(text)
        except InvalidPath as error:
            raise InvalidPath(text, error.reason, operation=self.index) from None

    def _value(self) -> Value:
        if "value" not in self.members:
            raise self._invalid("'value' is missing")
        return self.members["value"]

    def _present(self, document: Value, path: Path) -> Value:
        value = lookup(document, path)
        if value is MISSING:
            raise self.failed(f"there is nothing at {format_pointer(path)[:200]!r}")
        return value

    def _put(self, node: Value, path: Path, value: Value, *, insert: bool) -> Value:
        if not path:
            return value
        key, rest = path[0], path[1:]
        if isinstance(node, dict):
            if rest and key not in node:
                raise self.failed(f"there is no {key[:200]!r} to go into")
            return {**node, key: self._put(node[key], rest, value, insert=insert) if rest else value}
        if isinstance(node, list):
            items = list(node)
            if rest or not insert:
                index = self._position(key, len(node) - 1)
                items[index] = self._put(node[index], rest, value, insert=insert)
            else:
                items.insert(len(node) if key == "-" else self._position(key, len(node)), value)
            return items
        raise self.failed(f"{key[:200]!r} is asked of a value that is neither object nor array")

    def _drop(self, node: Value, path: Path) -> Value:
        if not path:
            raise self.failed("the whole document cannot be removed; delete it instead")
        self._present(node, path)
        key, rest = path[0], path[1:]
        if isinstance(node, dict):
            if rest:
                return {**node, key: self._drop(node[key], rest)}
            return {name: item for name, item in node.items() if name != key}
        assert isinstance(node, list)
        items = list(node)
        if rest:
            items[int(key)] = self._drop(items[int(key)], rest)
        else:
            del items[int(key)]
        return items

    def _position(self, key: str, last: int) -> int:
        well_formed = key.isascii() and key.isdigit() and len(key) < 10 and (key == "0" or key[0] != "0")
        if not well_formed or int(key) > last:
            raise self.failed(f"{key[:200]!r} is no position in the array")
        return int(key)

    def _invalid(self, reason: str) -> ValidationFailed:
        return ValidationFailed(f"Operation {self.index} of the JSON Patch: {reason}.", operation=self.index)

    def failed(self, reason: str) -> PatchFailed:
        return PatchFailed(f"Operation {self.index} of the JSON Patch: {reason}.", operation=self.index)


_OPERATIONS: Final[Mapping[str, Callable[[_Operation, Value], Value]]] = {
    "add": _Operation.add,
    "remove": _Operation.remove,
    "replace": _Operation.replace,
    "move": _Operation.move,
    "copy": _Operation.copy,
    "test": _Operation.test,
}


def _count_nodes(value: Value, limit: int) -> int:
    stack, count = [value], 0
    while stack and count <= limit:
        item = stack.pop()
        count += 1
        if isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    return count


def as_json_patch(old: State, patch: Patch) -> list[Value]:
    """Return the JSON Patch that does to ``old`` what ``patch`` does."""
    operations: list[Value] = []
    for path, state in leaves(patch):
        pointer = format_pointer(path)
        present = lookup(old, path) is not MISSING
        if state is MISSING:
            if present:
                operations.append({"op": "remove", "path": pointer})
        else:
            operations.append({"op": "replace" if present else "add", "path": pointer, "value": state})
    return operations
