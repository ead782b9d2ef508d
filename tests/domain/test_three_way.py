"""The merge's truth table (``tests/vectors/merge.json``), and what holds for all documents (semantics §3, §11.1)."""

from pathlib import Path
from typing import Any, Final

import pytest

from app.domain.carrying import Carried, LineLayer, base_of, carried_by, next_base, without
from app.domain.layers import canonical_layer
from app.domain.patch import NOTHING, Patch, Replace, apply, diff, leaves
from app.domain.pointer import format_pointer
from app.domain.three_way import Conflict, Merged, Resolution, Resolve, Side, merge_carried, merge_states
from app.domain.values import MISSING, State, Value, lookup, same
from app.storage.codec import loads
from tests.domain.laws import Law, Laws, name_of
from tests.domain.likeness import alike, paths_of
from tests.strategies import patches, states

_FILE: Final = Path(__file__).parents[1] / "vectors" / "merge.json"
ABSENT: Final[Value] = {"$absent": True}
NEW: Final[Value] = {"new": 1}
RESOLUTIONS: Final = {side.value: Resolution(side) for side in Side} | {
    "delete": Resolution(),
    "value": Resolution(state=NEW),
}


def _table(name: str) -> list[Any]:
    vectors = loads(_FILE.read_text())
    assert isinstance(vectors, dict)
    table = vectors[name]
    assert isinstance(table, list)
    return [pytest.param(row, id=str(row["name"])) for row in table if isinstance(row, dict)]


def _state(value: Value) -> State:
    return MISSING if value == ABSENT else value


def _sides(row: dict[str, Value]) -> tuple[State, State, State]:
    return _state(row["base"]), _state(row["ours"]), _state(row["theirs"])


def carried_from(base: State, theirs: State) -> Carried:
    """Return what an environment carries that made ``theirs`` of ``base``."""
    changes = diff(base, theirs)
    return Carried(changes, base_of(changes, base))


def both_ways(base: State, ours: State, theirs: State, resolve: Resolve | None = None) -> list[Merged]:
    """Merge the whole states, and what an environment carries."""
    carried = carried_from(base, theirs)
    return [merge_states(base, ours, theirs, resolve), merge_carried(ours, carried, resolve, last=base)]


def everywhere(found: Merged, resolution: Resolution) -> Resolve:
    return {conflict.path: resolution for conflict in found.conflicts}


def parts(conflict: Conflict) -> tuple[str, State, State, State]:
    return format_pointer(conflict.path), conflict.base, conflict.ours, conflict.theirs


@pytest.mark.parametrize("row", _table("clean"))
def test_what_is_clean(row: dict[str, Value]) -> None:
    for merged in both_ways(*_sides(row)):
        assert merged.conflicts == []
        assert same(merged.state, _state(row["merged"]))


@pytest.mark.parametrize("row", _table("conflict"))
def test_what_is_a_conflict(row: dict[str, Value]) -> None:
    told, resolved = row["conflicts"], row["resolved"]
    assert isinstance(told, list)
    assert isinstance(resolved, dict)
    expected = sorted(str([item[name] for name in ("path", "base", "ours", "theirs")]) for item in told)  # type: ignore[index,call-overload]
    for merged in both_ways(*_sides(row)):
        found = [[path, *(ABSENT if state is MISSING else state for state in rest)] for path, *rest in _all(merged)]
        assert sorted(map(str, found)) == expected
        for name, state in resolved.items():
            for settled in both_ways(*_sides(row), everywhere(merged, RESOLUTIONS[name])):
                assert settled.conflicts == []
                assert same(settled.state, _state(state)), name
    assert resolved.keys() == RESOLUTIONS.keys()


def _all(merged: Merged) -> list[tuple[str, State, State, State]]:
    return [parts(conflict) for conflict in merged.conflicts]


laws = Laws(a=states, b=states, c=states, p=patches, q=patches, r=patches)


@laws.law
def nothing_carried_changes_nothing(a: State) -> None:
    merged = merge_carried(a, Carried(NOTHING, NOTHING))
    assert (merged.conflicts, merged.resolved) == ([], [])
    assert same(merged.state, a)


@laws.law
def where_ours_did_not_move_theirs_comes_exactly(a: State, b: State, p: Patch) -> None:
    for theirs in (b, apply(a, p)):
        for merged in both_ways(a, a, theirs):
            assert merged.conflicts == []
            assert same(merged.state, theirs)


@laws.law
def where_theirs_did_not_move_ours_stays_exactly(a: State, b: State, p: Patch) -> None:
    for ours in (b, apply(a, p)):
        for merged in both_ways(a, ours, a):
            assert merged.conflicts == []
            assert same(merged.state, ours)


@laws.law
def the_same_on_both_sides_is_clean(a: State, b: State) -> None:
    for merged in both_ways(a, b, b):
        assert merged.conflicts == []
        assert same(merged.state, b)


@laws.law
def ours_is_untouched_where_nothing_is_carried(a: State, p: Patch, q: Patch) -> None:
    theirs, ours = apply(a, p), apply(a, q)
    carried = paths_of(diff(a, theirs))
    for merged in both_ways(a, ours, theirs):
        for path, _ in leaves(diff(ours, merged.state)):
            assert any(_touch(path, other) for other in carried), path


def _touch(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


@laws.law
def with_an_open_conflict_ours_stands_there(a: State, p: Patch, q: Patch) -> None:
    ours = apply(a, q)
    for merged in both_ways(a, ours, apply(a, p)):
        for conflict in merged.conflicts:
            assert same(lookup(merged.state, conflict.path), lookup(ours, conflict.path))


@laws.law
def each_side_resolves_all(a: State, b: State, p: Patch, q: Patch) -> None:
    for base, ours, theirs in ((a, apply(a, q), apply(a, p)), (a, b, apply(a, p)), (a, apply(a, q), b)):
        for open_ in both_ways(base, ours, theirs):
            for resolution in RESOLUTIONS.values():
                for settled in both_ways(base, ours, theirs, everywhere(open_, resolution)):
                    assert settled.conflicts == []
                    assert len(settled.resolved) == len(open_.conflicts)
                    for conflict in settled.resolved:
                        assert same(lookup(settled.state, conflict.path), resolution.settled(conflict))


@laws.law
def conflicts_are_the_same_from_either_side(a: State, b: State, p: Patch, q: Patch) -> None:
    for ours, theirs in ((apply(a, q), apply(a, p)), (b, apply(a, p))):
        here, there = merge_states(a, ours, theirs), merge_states(a, theirs, ours)
        assert sorted(conflict.path for conflict in here.conflicts) == sorted(
            conflict.path for conflict in there.conflicts
        )
        if not here.conflicts:
            assert same(here.state, there.state)


@laws.law
def a_resolution_is_for_one_triple(a: State, p: Patch, q: Patch) -> None:
    ours, theirs = apply(a, q), apply(a, p)
    for conflict in merge_states(a, ours, theirs).conflicts:
        bound = {conflict.path: Resolution(Side.THEIRS, triple=conflict.triple)}
        assert len(merge_states(a, ours, theirs, bound).resolved) == 1
        other = {conflict.path: Resolution(Side.THEIRS, triple=conflict.triple[::-1] + "x")}
        assert merge_states(a, ours, theirs, other).resolved == []


def _layer(parent: State, own: State, seen: State) -> LineLayer:
    patch = canonical_layer(parent, own)
    return LineLayer(patch, base_of(patch, seen))


@laws.law
def a_base_is_that_of_what_is_carried(a: State, p: Patch) -> None:
    patch = canonical_layer(a, apply(a, p))
    base = base_of(patch, a)
    assert paths_of(base) == paths_of(patch)
    assert same(apply(apply(a, patch), base), a)


@laws.law
def writing_again_keeps_the_base(a: State, p: Patch, q: Patch) -> None:
    """What was overridden stays based on what was seen when it first was, whatever the parent became since."""
    first = _layer(a, apply(a, p), a)
    parent = apply(a, q)
    own = apply(parent, first.patch)
    for path, state in list(leaves(first.patch))[:3]:
        if not isinstance(state, int | str) or path == ():
            continue
        after = apply(own, _at(path, Replace("written again")))
        new = canonical_layer(parent, after)
        base = next_base(parent, first, new, diff(own, after))
        known = dict(leaves(first.base))
        for place, seen in leaves(base):
            if place in known:
                assert same(seen, known[place])


def _at(path: tuple[str, ...], patch: Patch) -> Patch:
    for key in reversed(path):
        patch = {key: patch}
    return patch


class Remembering:
    """The bases of one environment's overrides of scalars, kept one by one in the plainest way."""

    def __init__(self) -> None:
        self.bases: dict[tuple[str, ...], State] = {}

    def wrote(self, parent: State, own: State) -> None:
        """Take in what overrides there are now: a new one has seen what the parent shows."""
        overridden = paths_of(canonical_layer(parent, own))
        self.bases = {path: self.bases.get(path, lookup(parent, path)) for path in overridden}


@laws.law
def bases_of_many_writes_are_those_remembered_one_by_one(p: Patch, q: Patch, r: Patch) -> None:
    parent: dict[str, Value] = {"a": 1, "b": 2, "aa": {"x": 1, "y": 2}}
    layer = LineLayer(NOTHING, NOTHING)
    told = Remembering()
    own: State = dict(parent)
    keys = [("a",), ("b",), ("aa", "x"), ("aa", "y"), ("c",), ("aa", "z")]
    for number, (path, _) in enumerate([*leaves(p), *leaves(q), *leaves(r)][:12]):
        place = keys[(len(str(path)) + number) % len(keys)]
        if number % 3 == 2:
            # Production goes on; what the environment overrides stays what it is there.
            parent = _set(parent, place, f"production {number}")
            own = apply(parent, layer.patch)
            told.wrote(parent, own) if alike(canonical_layer(parent, own), layer.patch) else None
            continue
        after = _set(own, place, lookup(parent, place) if number % 5 == 4 else f"own {number}")
        change = diff(own, after)
        new = canonical_layer(parent, after)
        layer = LineLayer(new, next_base(parent, layer, new, change))
        told.wrote(parent, after)
        own = after
        assert {path: str(seen) for path, seen in leaves(layer.base)} == {
            path: str(seen) for path, seen in told.bases.items()
        }


def _set(state: State, path: tuple[str, ...], value: State) -> dict[str, Value]:
    made = apply(state, _at(path, Replace(value)))
    assert isinstance(made, dict)
    return made


@laws.law
def one_line_carries_what_its_layers_do_together(a: State, b: State, c: State) -> None:
    upper, lower = _layer(a, b, a), _layer(b, c, b)
    carried = carried_by([upper, lower])
    assert same(apply(a, carried.changes), c)
    for merged in (merge_carried(a, carried, last=a),):
        assert merged.conflicts == []
        assert same(merged.state, c)


@laws.law
def what_was_promoted_is_not_carried_again(a: State, b: State, c: State) -> None:
    upper, lower = LineLayer(canonical_layer(a, b), NOTHING), _layer(b, c, b)
    carried = carried_by([upper, lower])
    assert alike(carried.changes, lower.patch)
    assert alike(carried_by([upper]).changes, NOTHING)
    merged = merge_carried(b, carried, last=b)
    assert merged.conflicts == []
    assert same(merged.state, c)


@laws.law
def a_part_and_the_rest_are_the_whole(p: Patch, q: Patch) -> None:
    rest = without(p, q)
    assert paths_of(rest) <= paths_of(p)
    for path in paths_of(rest):
        assert not any(path[: len(top)] == top for top in paths_of(q))
    for path in paths_of(p) - paths_of(rest):
        assert any(path[: len(top)] == top for top in paths_of(q))


@pytest.mark.parametrize("law", laws.all, ids=name_of)
def test_laws(law: Law) -> None:
    laws.try_one(law)


@pytest.mark.slow
def test_laws_on_many() -> None:
    laws.try_all()
