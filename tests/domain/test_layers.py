"""Stacks of layers, and the one layer that a write leaves (semantics §1, §2, §11.3, §11.4)."""

from uuid import UUID

import pytest

from app.domain.layers import canonical_layer, resolve, version_tag
from app.domain.patch import NOTHING, REMOVE, Patch, Replace, apply, is_empty, to_json
from app.domain.values import MISSING, State, Value, same

PRODUCTION: dict[str, Value] = {"plan": "pro", "limits": {"cpu": 2, "ram": 4}, "note": None}

STACKS: list[tuple[str, list[Patch], State]] = [
    ("no layer shows nothing", [], MISSING),
    ("a whole document", [Replace(PRODUCTION)], PRODUCTION),
    ("empty layers show the parent", [Replace(PRODUCTION), NOTHING, NOTHING], PRODUCTION),
    (
        "layers merge from the root down",
        [Replace({"a": 1, "b": {"x": 1}}), {"b": {"y": Replace(2)}}, {"a": Replace(3), "b": {"x": REMOVE}}],
        {"a": 3, "b": {"y": 2}},
    ),
    ("a tombstone hides", [Replace({"a": 1}), REMOVE], MISSING),
    ("a merging layer over nothing is hidden", [{"a": Replace(1)}], MISSING),
    ("a merging layer over a tombstone is hidden", [Replace({"a": 1}), REMOVE, {"b": Replace(2)}], MISSING),
    (
        "what is created stands alone",
        [Replace({"a": 1}), REMOVE, Replace({"b": 2}), {"c": Replace(3)}],
        {"b": 2, "c": 3},
    ),
    ("a hidden layer leaves no trace below", [{"a": Replace(1)}, Replace({"b": 2})], {"b": 2}),
    ("hidden layers stay hidden together", [{"a": Replace(1)}, {"b": Replace(2)}, {"c": REMOVE}], MISSING),
    ("null is a document", [Replace(None)], None),
    (
        "a scalar over generations cuts the objects above off",
        [Replace({"a": {"x": 1}}), {"a": {"y": Replace(2)}}, {"a": Replace("off")}, {"a": {"z": Replace(3)}}],
        {"a": {"z": 3}},
    ),
    (
        "an object replaced by a smaller one stays smaller below",
        [Replace({"a": {"x": 1, "y": 2}}), {"a": Replace({"x": 1})}, {"a": {"z": Replace(3)}}],
        {"a": {"x": 1, "z": 3}},
    ),
]


@pytest.mark.parametrize(("stack", "shown"), [case[1:] for case in STACKS], ids=[case[0] for case in STACKS])
def test_stack(stack: list[Patch], shown: State) -> None:
    assert same(resolve(stack), shown)


def test_what_is_written_above_later_shows_through_where_it_is_not_overridden() -> None:
    own: Value = {"plan": "pro", "limits": {"cpu": 8, "ram": 4}}
    layer = canonical_layer(PRODUCTION, own)
    later: Value = {"plan": "free", "limits": {"cpu": 3, "ram": 5, "disk": 1}, "note": "kept"}
    assert same(resolve([Replace(later), layer]), {"plan": "free", "limits": {"cpu": 8, "ram": 5, "disk": 1}})


def test_two_environments_do_not_see_one_another() -> None:
    one = canonical_layer(PRODUCTION, apply(PRODUCTION, {"plan": Replace("free")}))
    other = canonical_layer(PRODUCTION, apply(PRODUCTION, {"note": REMOVE}))
    assert same(resolve([Replace(PRODUCTION), one]), {"plan": "free", "limits": {"cpu": 2, "ram": 4}, "note": None})
    assert same(resolve([Replace(PRODUCTION), other]), {"plan": "pro", "limits": {"cpu": 2, "ram": 4}})


LAYERS: list[tuple[str, State, State, dict[str, Value]]] = [
    ("nothing changed", PRODUCTION, {**PRODUCTION}, {"set": {}, "unset": []}),
    ("an override", PRODUCTION, {**PRODUCTION, "note": 1}, {"set": {"/note": 1}, "unset": []}),
    ("a deletion", PRODUCTION, MISSING, {"set": {}, "unset": [""]}),
    ("a creation", MISSING, PRODUCTION, {"set": {"": PRODUCTION}, "unset": []}),
    ("neither here nor there", MISSING, MISSING, {"set": {}, "unset": []}),
]


@pytest.mark.parametrize(("parent", "own", "layer"), [case[1:] for case in LAYERS], ids=[case[0] for case in LAYERS])
def test_layer(parent: State, own: State, layer: dict[str, Value]) -> None:
    assert same(to_json(canonical_layer(parent, own)), layer)


def test_delete_then_put_leaves_the_layer_that_put_alone_leaves() -> None:
    put: Value = {"plan": "free", "limits": {"cpu": 2}}
    deleted = canonical_layer(PRODUCTION, MISSING)
    shown_after_delete = resolve([Replace(PRODUCTION), deleted])
    layer = canonical_layer(PRODUCTION, apply(shown_after_delete, Replace(put)))
    assert same(to_json(layer), to_json({"note": REMOVE, "plan": Replace("free"), "limits": {"ram": REMOVE}}))


def test_writing_back_what_the_parent_has_leaves_an_empty_layer() -> None:
    own = apply(PRODUCTION, {"limits": Replace(None)})
    restored = apply(own, {"limits": Replace({"ram": 4, "cpu": 2})})
    assert is_empty(canonical_layer(PRODUCTION, restored))


def test_a_version_tells_heads_and_layers_apart() -> None:
    head, other = UUID(int=1), UUID(int=2)
    tags = [version_tag(head, versions) for versions in ([], [1], [2], [1, 2], [2, 1], [12], [1, 2, 3], [12, 3])]
    assert len({*tags, version_tag(other, [1])}) == len(tags) + 1
    assert version_tag(head, [1, 2]) == version_tag(UUID(int=1), (1, 2))
    assert all(len(tag) == 32 and set(tag) <= set("0123456789abcdef") for tag in tags)
