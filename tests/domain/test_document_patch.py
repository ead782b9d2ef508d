"""JSON Merge Patch and JSON Patch: the examples of their RFCs, and what has to be refused."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from app.domain.document_patch import MAX_OPERATIONS, as_json_patch, json_patch, merge_patch
from app.domain.errors import DomainError, InvalidPath, MalformedJson, PatchFailed, PatchTestFailed, ValidationFailed
from app.domain.json_text import parse_json
from app.domain.patch import diff
from app.domain.values import MISSING, Value, same

VECTORS: Final = Path(__file__).parent.parent / "vectors"


def vectors(name: str) -> list[Any]:
    """Return the cases of a file as parameters of one test, named by the section of the RFC."""
    cases = json.loads((VECTORS / name).read_text("utf-8"))
    return [pytest.param(case, id=case["section"]) for case in cases]


@pytest.mark.parametrize("case", vectors("rfc7396.json"))
def test_example_of_rfc_7396(case: dict[str, Value]) -> None:
    assert same(merge_patch(case["document"], case["patch"]), case["result"])


def test_a_merge_patch_on_nothing_makes_a_document() -> None:
    assert same(merge_patch(MISSING, {"a": {"b": None, "c": 1}, "d": None}), {"a": {"c": 1}})


def test_a_merge_patch_takes_keys_as_they_are() -> None:
    document: Value = {"a": {"b": 1}, "a.b": 2, "é": 3, "e\u0301": 4, "": 5}
    assert same(
        merge_patch(document, {"a.b": None, "é": None, "": {"x": 1}}), {"a": {"b": 1}, "e\u0301": 4, "": {"x": 1}}
    )


@pytest.mark.parametrize("case", [case for case in vectors("rfc6902.json") if "result" in case.values[0]])
def test_example_of_rfc_6902(case: dict[str, Value]) -> None:
    assert same(json_patch(case["document"], case["patch"]), case["result"])


@pytest.mark.parametrize("case", [case for case in vectors("rfc6902.json") if "error" in case.values[0]])
def test_refused_example_of_rfc_6902(case: dict[str, Value]) -> None:
    before = json.dumps(case["document"])
    with pytest.raises(DomainError) as refused:
        json_patch(case["document"], case["patch"])
    assert refused.value.code == case["error"]
    assert refused.value.fields["operation"] == case["operation"]
    assert json.dumps(case["document"]) == before


def test_example_a_13_of_rfc_6902_is_not_even_read() -> None:
    with pytest.raises(MalformedJson, match='"op" twice'):
        parse_json('[{"op": "add", "path": "/baz", "value": "qux", "op": "remove"}]')


def op(name: str, path: str, **members: Value) -> dict[str, Value]:
    """Return an operation; ``source`` is its ``from``, which Python keeps for itself."""
    renamed = {"from" if member == "source" else member: value for member, value in members.items()}
    return {"op": name, "path": path, **renamed}


APPLIED: list[tuple[Value, list[Value], Value]] = [
    ({"a": 1}, [], {"a": 1}),
    ({"a": 1}, [op("add", "", value=[1])], [1]),
    ({"a": 1}, [op("replace", "", value=None)], None),
    ({"a": 1}, [op("add", "/a", value=None)], {"a": None}),
    ({}, [op("add", "/", value=1)], {"": 1}),
    ({"a": {}}, [op("add", "/a/", value=1)], {"a": {"": 1}}),
    ({"a": [1, 2]}, [op("add", "/a/2", value=3)], {"a": [1, 2, 3]}),
    ({"a": [[1]]}, [op("add", "/a/0/-", value=2)], {"a": [[1, 2]]}),
    ({"-": 1}, [op("replace", "/-", value=2), op("add", "/0", value=3)], {"-": 2, "0": 3}),
    ({"a": None}, [op("test", "/a", value=None), op("replace", "/a", value=0)], {"a": 0}),
    ({"a": None}, [op("move", "/b", source="/a")], {"b": None}),
    ({"a": {"b": 1}}, [op("move", "/a", source="/a/b")], {"a": 1}),
    ({"a": 1, "b": 2}, [op("move", "/b", source="/a")], {"b": 1}),
    ({"a": 1}, [op("move", "/a", source="/a")], {"a": 1}),
    ([1, 2, 3], [op("move", "/2", source="/0")], [2, 3, 1]),
    ([1, 2, 3], [op("move", "/-", source="/0")], [2, 3, 1]),
    ([{"a": 1}, 2], [op("move", "/1", source="/0/a")], [{}, 1, 2]),
    ({"a": {"b": 1}}, [op("copy", "/a/c", source="/a")], {"a": {"b": 1, "c": {"b": 1}}}),
    ({"a": [1]}, [op("copy", "", source="/a")], [1]),
    ({"a": 1}, [op("copy", "/b", source="/a"), op("replace", "/b", value=2)], {"a": 1, "b": 2}),
    ({"a": {}}, [op("copy", "/b", source="/a"), op("add", "/b/c", value=2)], {"a": {}, "b": {"c": 2}}),
    ([1, 2, 3, 4], [op("remove", "/1"), op("remove", "/2")], [1, 3]),
    ({"a": {"b": 1, "c": 2}}, [op("test", "/a", value={"c": 2, "b": 1})], {"a": {"b": 1, "c": 2}}),
    ({"a.b": 1, "a": {"b": 2}}, [op("remove", "/a.b")], {"a": {"b": 2}}),
    ({"aa": 1, "a": 2}, [op("remove", "/a")], {"aa": 1}),
    ({"~": 1, "/": 2, "~1": 3}, [op("remove", "/~0"), op("remove", "/~1"), op("test", "/~01", value=3)], {"~1": 3}),
    ({"__proto__": 1}, [op("add", "/constructor", value=2)], {"__proto__": 1, "constructor": 2}),
]


@pytest.mark.parametrize(("document", "operations", "result"), APPLIED)
def test_operations(document: Value, operations: list[Value], result: Value) -> None:
    assert same(json_patch(document, operations), result)


# Each comes after an operation that does fit, so that an answer without it would show.
FAILING: list[tuple[Value, dict[str, Value], type[DomainError]]] = [
    ({}, op("remove", "/a"), PatchFailed),
    ({}, op("replace", "/a", value=1), PatchFailed),
    ({}, op("remove", ""), PatchFailed),
    ({}, op("move", "/b", source="/a"), PatchFailed),
    ({}, op("copy", "/b", source="/a"), PatchFailed),
    ({}, op("add", "/a/b", value=1), PatchFailed),
    ({"a": None}, op("add", "/a/b", value=1), PatchFailed),
    ({"a": "text"}, op("add", "/a/0", value="t"), PatchFailed),
    ({"a": {"b": 1}}, op("move", "/a/b/c", source="/a"), PatchFailed),
    ([{"a": 1}, {"b": 2}], op("move", "/0/x", source="/0"), PatchFailed),
    ({"a": [1, 2]}, op("add", "/a/3", value=1), PatchFailed),
    ({"a": [1, 2]}, op("add", "/a/-1", value=1), PatchFailed),
    ({"a": [1, 2]}, op("add", "/a/01", value=1), PatchFailed),
    ({"a": [1, 2]}, op("add", "/a/1e0", value=1), PatchFailed),
    ({"a": [1, 2]}, op("add", "/a/x", value=1), PatchFailed),
    ({"a": [1, 2]}, op("add", "/a/", value=1), PatchFailed),
    ({"a": [1, 2]}, op("add", "/a/" + "9" * 5_000, value=1), PatchFailed),
    ({"a": [1, 2]}, op("add", "/a/-/b", value=1), PatchFailed),
    ({"a": [1, 2]}, op("replace", "/a/-", value=1), PatchFailed),
    ({"a": [1, 2]}, op("replace", "/a/2", value=1), PatchFailed),
    ({"a": [1, 2]}, op("remove", "/a/2"), PatchFailed),
    ({"a": [1, 2]}, op("remove", "/a/-"), PatchFailed),
    ({"a": 1}, op("test", "/a", value="1"), PatchTestFailed),
    ({"a": 1}, op("test", "/a", value=True), PatchTestFailed),
    ({"a": []}, op("test", "/a", value={}), PatchTestFailed),
    ({"a": "é"}, op("test", "/a", value="e\u0301"), PatchTestFailed),
    ({}, op("test", "/a", value=None), PatchTestFailed),
    ({"a": [1]}, op("test", "/a/-", value=1), PatchTestFailed),
    ({}, op("spam", "/a", value=1), ValidationFailed),
    ({}, op("Add", "/a", value=1), ValidationFailed),
    ({}, op("add", "/a"), ValidationFailed),
    ({"a": 1}, op("replace", "/a"), ValidationFailed),
    ({"a": None}, op("test", "/a"), ValidationFailed),
    ({"a": 1}, op("move", "/b"), ValidationFailed),
    ({"a": 1}, op("copy", "/b", source=None), ValidationFailed),
    ({"a": 1}, {"op": "remove"}, ValidationFailed),
    ({"a": 1}, {"op": "remove", "path": ["a"]}, ValidationFailed),
    ({"a": 1}, {"op": ["remove"], "path": "/a"}, ValidationFailed),
    ({"a": 1}, {"path": "/a"}, ValidationFailed),
    ({"a": 1}, {}, ValidationFailed),
]


@pytest.mark.parametrize(("document", "operation", "refusal"), FAILING)
def test_a_failing_operation_is_named_and_changes_nothing(
    document: Value, operation: dict[str, Value], refusal: type[DomainError]
) -> None:
    before = json.dumps(document)
    with pytest.raises(refusal) as refused:
        json_patch(document, [op("test", "", value=document), operation])
    assert refused.value.fields["operation"] == 1
    assert "Operation 1" in refused.value.message
    assert json.dumps(document) == before


def test_operations_before_a_failing_one_change_nothing_either() -> None:
    document: Value = {"a": [1, {"b": 2}], "c": {"d": 3}}
    before = json.dumps(document)
    applied: list[Value] = [
        op("add", "/a/1/x", value=1),
        op("replace", "/a/0", value=9),
        op("move", "/c/e", source="/c/d"),
        op("remove", "/a/1/b"),
    ]
    with pytest.raises(PatchFailed) as refused:
        json_patch(document, [*applied, op("remove", "/nowhere")])
    assert refused.value.fields["operation"] == 4
    assert json.dumps(document) == before


@pytest.mark.parametrize("operations", [None, {}, "[]", 1, {"op": "add", "path": "/a", "value": 1}])
def test_a_json_patch_is_an_array(operations: Value) -> None:
    with pytest.raises(ValidationFailed, match="array"):
        json_patch({}, operations)


@pytest.mark.parametrize("operation", [None, 1, "remove", [], ["remove", "/a"]])
def test_an_operation_is_an_object(operation: Value) -> None:
    with pytest.raises(ValidationFailed) as refused:
        json_patch({}, [op("test", "", value={}), operation])
    assert refused.value.fields["operation"] == 1


@pytest.mark.parametrize("path", ["a", "/~", "/~2", "/~~01", "a/b"])
def test_a_path_is_a_pointer(path: str) -> None:
    for operation in (op("add", path, value=1), op("remove", path), op("copy", "/b", source=path)):
        with pytest.raises(InvalidPath) as refused:
            json_patch({"a": 1}, [op("test", "/a", value=1), operation])
        assert refused.value.fields == {"path": path, "operation": 1}


def test_a_patch_has_an_end() -> None:
    assert same(json_patch({}, [op("add", "/a", value=1)] * MAX_OPERATIONS), {"a": 1})
    with pytest.raises(ValidationFailed, match="1,000"):
        json_patch({}, [op("add", "/a", value=1)] * (MAX_OPERATIONS + 1))


def test_copies_that_double_a_document_have_an_end() -> None:
    doubling: list[Value] = [op("copy", f"/{number}", source="") for number in range(64)]
    with pytest.raises(PatchFailed, match="too large") as refused:
        json_patch({"a": 1}, doubling)
    assert refused.value.fields["operation"] == 15


def test_a_document_cannot_be_grown_deeper_than_a_path_reaches() -> None:
    nested: Value = {}
    for _ in range(60):
        nested = {"a": nested}
    growing: list[Value] = [op("add", "/a" * (60 * step), value=nested) for step in range(20)]
    with pytest.raises(InvalidPath, match="64 keys"):
        json_patch({}, growing)


def test_a_diff_shows_as_operations() -> None:
    old: Value = {"a.b": 1, "a/b": {"~": 2, "x": 3}, "list": [1], "same": {}}
    new: Value = {"a/b": {"~": None, "x": 3, "y": {}}, "list": [1, 2], "same": {}}
    operations = as_json_patch(old, diff(old, new))
    assert sorted(json.dumps(operation) for operation in operations) == sorted(
        json.dumps(operation)
        for operation in (
            op("remove", "/a.b"),
            op("replace", "/a~1b/~0", value=None),
            op("add", "/a~1b/y", value={}),
            op("replace", "/list", value=[1, 2]),
        )
    )
    assert same(json_patch(old, operations), new)
