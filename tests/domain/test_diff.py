"""What the guide calls added, removed and modified (reference guide, "GET /api/sandbox/diff")."""

import pytest

from app.domain.diff import difference
from app.domain.pointer import Path
from app.domain.values import MISSING, State, Value, same

Changes = dict[Path, Value]

CASES: list[tuple[str, State, State, Changes, Changes, dict[Path, list[Value]]]] = [
    ("nothing", {"a": [1]}, {"a": [1]}, {}, {}, {}),
    ("added deep", {"a": {}}, {"a": {"b": {"c": 1}}}, {("a", "b"): {"c": 1}}, {}, {}),
    ("removed in full", {"a": {"b": {"c": 1}}}, {"a": {}}, {}, {("a", "b"): {"c": 1}}, {}),
    ("modified deep", {"a": {"b": 1, "c": 2}}, {"a": {"b": 9, "c": 2}}, {}, {}, {("a", "b"): [1, 9]}),
    ("array as a whole", {"a": [1, 2]}, {"a": [2]}, {}, {}, {("a",): [[1, 2], [2]]}),
    ("null to value", {"a": None}, {"a": 0}, {}, {}, {("a",): [None, 0]}),
    ("null to nothing", {"a": None}, {}, {}, {("a",): None}, {}),
    ("type", {"a": {"b": 1}}, {"a": 1}, {}, {}, {("a",): [{"b": 1}, 1]}),
    ("dotted beside nested", {"a.b": 1}, {"a": {"b": 1}}, {("a",): {"b": 1}}, {("a.b",): 1}, {}),
    ("a and aa", {"a": 1}, {"aa": 1}, {("aa",): 1}, {("a",): 1}, {}),
    ("created", MISSING, {"a": 1, "b": {}}, {("a",): 1, ("b",): {}}, {}, {}),
    ("created empty", MISSING, {}, {(): {}}, {}, {}),
    ("created as no object", MISSING, [1], {(): [1]}, {}, {}),
    ("deleted", {"a": 1, "b": {"c": 2}}, MISSING, {}, {("a",): 1, ("b",): {"c": 2}}, {}),
    ("deleted empty", {}, MISSING, {}, {(): {}}, {}),
    ("deleted null", None, MISSING, {}, {(): None}, {}),
    ("neither", MISSING, MISSING, {}, {}, {}),
    ("another whole", {"a": 1}, [1], {}, {}, {(): [{"a": 1}, [1]]}),
]


@pytest.mark.parametrize(
    ("old", "new", "added", "removed", "modified"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_difference(
    old: State, new: State, added: Changes, removed: Changes, modified: dict[Path, list[Value]]
) -> None:
    shown = difference(old, new)
    assert list(map(repr, shown.added.items())) == list(map(repr, added.items()))
    assert list(map(repr, shown.removed.items())) == list(map(repr, removed.items()))
    assert shown.modified.keys() == modified.keys()
    assert all(same(list(shown.modified[path]), pair) for path, pair in modified.items())
    assert shown.is_empty == (not (added or removed or modified))
