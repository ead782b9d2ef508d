"""Merging by example: each rule of semantics §2 once, in the flat form that is stored and shown."""

import pytest

from app.domain.patch import (
    NOTHING,
    REMOVE,
    Patch,
    Replace,
    apply,
    compose,
    diff,
    from_json,
    is_empty,
    restrict,
    to_json,
)
from app.domain.values import MISSING, State, Value, same
from tests.domain.oracle import merged

RULES: list[tuple[str, State, dict[str, Value], State]] = [
    ("objects merge", {"a": {"x": 1}, "b": 2}, {"set": {"/a/y": 3}, "unset": []}, {"a": {"x": 1, "y": 3}, "b": 2}),
    ("null is a value", {"a": 1}, {"set": {"/a": None}, "unset": []}, {"a": None}),
    ("removing is not null", {"a": 1, "b": 2}, {"set": {}, "unset": ["/a"]}, {"b": 2}),
    ("the last child removed leaves {}", {"a": {"x": 1}}, {"set": {}, "unset": ["/a/x"]}, {"a": {}}),
    ("arrays replace", {"a": [1, 2, 3]}, {"set": {"/a": [9]}, "unset": []}, {"a": [9]}),
    ("no position in an array", {"a": [1, 2]}, {"set": {"/a/0": 9}, "unset": []}, {"a": {"0": 9}}),
    ("object over scalar", {"a": 1}, {"set": {"/a/x": 2}, "unset": []}, {"a": {"x": 2}}),
    ("scalar over object", {"a": {"x": 1}}, {"set": {"/a": 2}, "unset": []}, {"a": 2}),
    ("a smaller object replaces", {"a": {"x": 1, "y": 2}}, {"set": {"/a": {"x": 1}}, "unset": []}, {"a": {"x": 1}}),
    ("the empty object replaces", {"a": {"x": 1}}, {"set": {"/a": {}}, "unset": []}, {"a": {}}),
    ("what is not there can be removed", {"b": 1}, {"set": {}, "unset": ["/a"]}, {"b": 1}),
    ("parents are made", {}, {"set": {"/a/b/c": 1}, "unset": []}, {"a": {"b": {"c": 1}}}),
    ("a and aa are two keys", {"a": 1, "aa": 2}, {"set": {"/a": 3}, "unset": []}, {"a": 3, "aa": 2}),
    ("a.b is one key", {"a": {"b": 1}, "a.b": 2}, {"set": {"/a.b": 3}, "unset": []}, {"a": {"b": 1}, "a.b": 3}),
    ("a/b is one key", {"a": {"b": 1}, "a/b": 2}, {"set": {}, "unset": ["/a~1b"]}, {"a": {"b": 1}}),
    ("NFC and NFD are two keys", {"é": 1, "e\u0301": 2}, {"set": {}, "unset": ["/é"]}, {"e\u0301": 2}),
    ("the empty key", {"": {"": 1}}, {"set": {"//": 2}, "unset": []}, {"": {"": 2}}),
    ("the whole document", {"a": 1}, {"set": {"": [1]}, "unset": []}, [1]),
    ("the whole document removed", {"a": 1}, {"set": {}, "unset": [""]}, MISSING),
    ("nothing", {"a": 1}, {"set": {}, "unset": []}, {"a": 1}),
    ("merging into nothing", MISSING, {"set": {"/a": 1}, "unset": []}, {"a": 1}),
]


@pytest.mark.parametrize(("before", "patch", "after"), [rule[1:] for rule in RULES], ids=[rule[0] for rule in RULES])
def test_rule(before: State, patch: dict[str, Value], after: State) -> None:
    assert same(apply(before, from_json(patch)), after)
    assert same(merged(before, patch), after)


DIFFS: list[tuple[str, State, State, dict[str, Value]]] = [
    ("added", {}, {"a": {"b": 1}}, {"set": {"/a": {"b": 1}}, "unset": []}),
    ("removed", {"a": 1, "b": 2}, {"b": 2}, {"set": {}, "unset": ["/a"]}),
    (
        "modified deep",
        {"a": {"b": {"c": 1, "d": 2}}},
        {"a": {"b": {"c": 9, "d": 2}}},
        {"set": {"/a/b/c": 9}, "unset": []},
    ),
    ("array as a whole", {"a": [1, 2]}, {"a": [1, 3]}, {"set": {"/a": [1, 3]}, "unset": []}),
    ("smaller object", {"a": {"x": 1, "y": 2}}, {"a": {"x": 1}}, {"set": {}, "unset": ["/a/y"]}),
    ("emptied object", {"a": {"x": 1}}, {"a": {}}, {"set": {}, "unset": ["/a/x"]}),
    ("null given", {"a": 1}, {"a": None}, {"set": {"/a": None}, "unset": []}),
    ("digits", {"a": 1}, {"a": True}, {"set": {"/a": True}, "unset": []}),
    ("object to array", {"a": {}}, {"a": []}, {"set": {"/a": []}, "unset": []}),
    ("dotted beside nested", {"a.b": 1}, {"a": {"b": 1}}, {"set": {"/a": {"b": 1}}, "unset": ["/a.b"]}),
    ("created", MISSING, {}, {"set": {"": {}}, "unset": []}),
    ("deleted", {}, MISSING, {"set": {}, "unset": [""]}),
    ("no object", {"a": 1}, [1], {"set": {"": [1]}, "unset": []}),
]


@pytest.mark.parametrize(("old", "new", "patch"), [case[1:] for case in DIFFS], ids=[case[0] for case in DIFFS])
def test_diff(old: State, new: State, patch: dict[str, Value]) -> None:
    assert same(to_json(diff(old, new)), patch)


def test_a_scalar_between_two_objects_cuts_the_older_one_off() -> None:
    older: Patch = {"a": {"x": Replace(1), "y": Replace(2)}}
    scalar: Patch = {"a": Replace(5)}
    newer: Patch = {"a": {"z": Replace(3)}}
    for patch in (compose(compose(older, scalar), newer), compose(older, compose(scalar, newer))):
        assert same(apply({"a": {"w": 0}}, patch), {"a": {"z": 3}})
    assert same(to_json(compose(scalar, newer)), {"set": {"/a": {"z": 3}}, "unset": []})


def test_removing_between_two_merges_forgets_what_was_below() -> None:
    patch = compose({"a": {"x": Replace(1)}}, compose({"a": REMOVE}, {"a": {"y": Replace(2)}}))
    assert same(to_json(patch), {"set": {"/a": {"y": 2}}, "unset": []})


def test_setting_and_removing_again_is_not_nothing() -> None:
    # The object that was merged into stays, as it does when the two are applied in turn.
    patch = compose({"a": {"x": Replace(1)}}, {"a": {"x": REMOVE}})
    assert not is_empty(patch)
    assert same(apply({}, patch), {"a": {}})


def test_only_what_merges_nothing_is_empty() -> None:
    assert is_empty(NOTHING)
    assert not is_empty(REMOVE)
    assert not is_empty(Replace({}))
    assert not is_empty({"a": Replace(None)})


def test_restricting_does_not_take_a_longer_name_for_a_path_below() -> None:
    patch = from_json({"set": {"/a": 1, "/aa": 2, "/a.b": 3, "/b/a": 4, "/b/aa": 5}, "unset": ["/a~1b"]})
    assert same(to_json(restrict(patch, [("a",)])), {"set": {"/a": 1}, "unset": []})
    assert same(to_json(restrict(patch, [("b", "a")])), {"set": {"/b/a": 4}, "unset": []})
    assert same(to_json(restrict(patch, [("b",), ("a/b",)])), {"set": {"/b/a": 4, "/b/aa": 5}, "unset": ["/a~1b"]})
    assert is_empty(restrict(patch, [("a", "b"), ("b", "a", "c"), ("c",)]))
    assert is_empty(restrict(patch, []))
    assert same(to_json(restrict(patch, [()])), to_json(patch))


def test_a_pointer_inside_a_replaced_value_takes_nothing() -> None:
    assert is_empty(restrict({"a": Replace({"b": 1})}, [("a", "b")]))
    assert is_empty(restrict(REMOVE, [("a",)]))


@pytest.mark.parametrize(
    "flat_form",
    [
        {"set": [], "unset": []},
        {"set": {}, "unset": {}},
        {"set": {"/a": 1, "/a/b": 2}, "unset": []},
        {"set": {"/a": 1}, "unset": ["/a/b"]},
    ],
)
def test_what_is_no_flat_form_is_refused(flat_form: dict[str, Value]) -> None:
    with pytest.raises(ValueError, match="patch"):
        from_json(flat_form)
