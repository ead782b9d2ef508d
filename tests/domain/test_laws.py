"""What holds for all documents and patches (semantics §2, §11.3, §11.10; hardening.md J1, J4)."""

from copy import deepcopy

import pytest

from app.domain.diff import difference
from app.domain.document_patch import as_json_patch, json_patch, merge_patch
from app.domain.layers import canonical_layer, resolve
from app.domain.patch import (
    NOTHING,
    REMOVE,
    Patch,
    Replace,
    apply,
    at,
    compose,
    diff,
    from_json,
    is_empty,
    leaves,
    restrict,
    reverse,
    to_json,
)
from app.domain.pointer import Path
from app.domain.values import MISSING, State, lookup, put, same
from tests.domain import oracle
from tests.domain.laws import Law, Laws, name_of
from tests.domain.likeness import alike, copy_of, lengthened, paths_of, respelled, text_of, without
from tests.strategies import patches, paths, states

laws = Laws(a=states, b=states, p=patches, q=patches, r=patches, path=paths)


def successors(a: State, b: State, p: Patch) -> list[State]:
    """Return an unrelated state and one that differs from ``a`` in places."""
    return [b, apply(a, p)]


@laws.law
def equality_is_equality_of_the_written_digits(a: State, b: State, p: Patch) -> None:
    for other in (b, copy_of(a), respelled(a), lengthened(a), apply(a, p)):
        assert same(a, other) == same(other, a) == (text_of(a) == text_of(other))


@laws.law
def a_diff_leads_from_one_state_to_the_other(a: State, b: State, p: Patch) -> None:
    for after in successors(a, b, p):
        assert same(apply(a, diff(a, after)), after)


@laws.law
def nothing_differs_from_its_like(a: State) -> None:
    assert is_empty(diff(a, copy_of(a)))
    assert alike(canonical_layer(a, copy_of(a)), NOTHING)


@laws.law
def no_leaf_of_a_diff_can_be_left_out(a: State, b: State, p: Patch) -> None:
    for after in successors(a, b, p):
        patch = diff(a, after)
        for path in paths_of(patch):
            assert not same(apply(a, without(patch, path)), after)


@laws.law
def a_diff_never_replaces_an_object_by_an_object(a: State, b: State, p: Patch) -> None:
    for after in successors(a, b, p):
        for path, state in leaves(diff(a, after)):
            assert not (isinstance(lookup(a, path), dict) and isinstance(state, dict))


@laws.law
def a_diff_and_its_opposite_name_the_same_paths(a: State, b: State, p: Patch) -> None:
    for after in successors(a, b, p):
        assert paths_of(diff(a, after)) == paths_of(diff(after, a))


@laws.law
def a_composed_patch_does_what_its_parts_do_in_turn(a: State, p: Patch, q: Patch) -> None:
    assert same(apply(apply(a, p), q), apply(a, compose(p, q)))


@laws.law
def composing_is_associative(p: Patch, q: Patch, r: Patch) -> None:
    assert alike(compose(compose(p, q), r), compose(p, compose(q, r)))


@laws.law
def nothing_is_neutral(a: State, p: Patch) -> None:
    assert same(apply(a, NOTHING), a)
    assert alike(compose(p, NOTHING), p)
    assert alike(compose(NOTHING, p), p)


@laws.law
def a_reversed_patch_undoes_it(a: State, p: Patch) -> None:
    assert same(apply(apply(a, p), reverse(a, p)), a)


@laws.law
def the_flat_form_holds_all_of_a_patch(a: State, b: State, p: Patch, q: Patch) -> None:
    for patch in (p, diff(a, b), compose(p, q)):
        assert alike(from_json(to_json(patch)), patch)


@laws.law
def merging_agrees_with_the_oracle(a: State, p: Patch) -> None:
    assert same(apply(a, p), oracle.merged(a, to_json(p)))


@laws.law
def resolving_agrees_with_the_oracle(a: State, b: State, p: Patch, q: Patch, r: Patch) -> None:
    for stack in ([Replace(a), p, q, r], [p, Replace(b), q, r], [p, q, REMOVE, r]):
        assert same(resolve(stack), oracle.resolved([to_json(layer) for layer in stack]))


@laws.law
def a_stack_of_layers_is_their_composition(a: State, p: Patch, q: Patch, r: Patch) -> None:
    # A tombstone hides the layers that merge below it, which composing them would not.
    if a is MISSING or any(isinstance(layer, Replace) for layer in (p, q, r)):
        return
    assert same(resolve([Replace(a), p, q, r]), apply(a, compose(p, compose(q, r))))


@laws.law
def a_layer_does_not_tell_how_it_came_about(a: State, b: State, p: Patch) -> None:
    put = canonical_layer(a, b)
    deleted_then_put = apply(apply(a, REMOVE), Replace(b))
    patched_then_put = apply(apply(a, p), Replace(b))
    assert alike(canonical_layer(a, deleted_then_put), put)
    assert alike(canonical_layer(a, patched_then_put), put)
    assert same(resolve([Replace(a), put]), b)


@laws.law
def writing_back_the_parents_value_removes_the_override(a: State, p: Patch) -> None:
    own = apply(a, p)
    layer = canonical_layer(a, own)
    for path in paths_of(layer):
        restored = apply(own, restrict(diff(own, a), [path]))
        assert alike(canonical_layer(a, restored), without(layer, path))


@laws.law
def a_restricted_patch_has_what_stands_at_or_below_the_paths(p: Patch, q: Patch) -> None:
    paths = [*paths_of(q), *(path[:1] for path in list(paths_of(p))[::2])]
    chosen = {path for path in paths_of(p) if any(path[: len(top)] == top for top in paths)}
    restricted = restrict(p, paths)
    assert paths_of(restricted) == chosen
    assert alike(from_json(to_json(restricted)), restricted)
    assert all(same(lookup(apply(MISSING, restricted), path), lookup(apply(MISSING, p), path)) for path in chosen)


@laws.law
def a_moved_patch_changes_what_stands_there(a: State, b: State, p: Patch) -> None:
    path = ("a", "a.b", "")
    assert same(lookup(apply(a, at(path, p)), path), apply(lookup(a, path), p))
    assert same(lookup(apply(a, at(path, Replace(b))), path), b)


@laws.law
def what_is_put_at_a_path_stands_there_and_nothing_else_moves(a: State, b: State, path: Path) -> None:
    if b is MISSING:
        return
    try:
        result = put(a, path, b)
    except LookupError:
        above = [lookup(a, path[:length]) for length in range(len(path))]
        assert not all(state is MISSING or isinstance(state, dict) for state in above)
        return
    assert same(lookup(result, path), b)
    if not any(isinstance(lookup(a, path[:length]), list) for length in range(len(path))):
        assert same(result, apply(a, at(path, Replace(b))))


@laws.law
def a_difference_shows_what_is_there_before_and_after(a: State, b: State, p: Patch) -> None:
    for after in successors(a, b, p):
        shown = difference(a, after)
        assert shown.is_empty == same(a, after)
        assert alike(shown.patch, diff(a, after))
        for path, value in shown.added.items():
            assert lookup(a, path) is MISSING
            assert same(lookup(after, path), value)
        for path, value in shown.removed.items():
            assert same(lookup(a, path), value)
            assert lookup(after, path) is MISSING
        for path, (old, new) in shown.modified.items():
            assert same(lookup(a, path), old)
            assert same(lookup(after, path), new)
            assert not same(old, new)


@laws.law
def a_difference_shows_the_same_from_the_other_side(a: State, b: State, p: Patch) -> None:
    for after in successors(a, b, p):
        there, back = difference(a, after), difference(after, a)
        assert back.added.keys() == there.removed.keys()
        assert back.removed.keys() == there.added.keys()
        assert back.modified.keys() == there.modified.keys()


@laws.law
def a_difference_leaves_nothing_out(a: State, b: State, p: Patch) -> None:
    for after in successors(a, b, p):
        shown = difference(a, after)
        known = oracle.facts(a)
        for path in shown.removed:
            known = oracle.write(known, path, MISSING)
        for path, value in [*shown.added.items(), *((path, new) for path, (_, new) in shown.modified.items())]:
            known = oracle.write(known, path, value)
        # An entity that is gone shows its members one by one; {} is what is left when they are removed.
        emptied = after is MISSING and isinstance(a, dict) and len(a) > 0
        assert same(oracle.rebuilt(known), {} if emptied else after)


@laws.law
def a_diff_as_a_json_patch_does_the_same(a: State, b: State, p: Patch) -> None:
    for after in successors(a, b, p):
        if a is not MISSING and after is not MISSING:
            assert same(json_patch(a, as_json_patch(a, diff(a, after))), after)


@laws.law
def merge_patches_agree_with_the_oracle(a: State, b: State) -> None:
    if b is MISSING:
        return
    merged = merge_patch(a, b)
    assert same(merged, oracle.merge_patched(a, b))
    assert same(merge_patch(merged, b), merged)


@laws.law
def nothing_given_is_changed(a: State, b: State, p: Patch, q: Patch) -> None:
    given = deepcopy((a, b, p, q))
    apply(a, p)
    compose(p, q)
    reverse(a, p)
    resolve([Replace(a), p, q])
    difference(a, b)
    from_json(to_json(p))
    changes = diff(a, b)
    if a is not MISSING and b is not MISSING:
        merge_patch(a, b)
        json_patch(a, as_json_patch(a, changes))
    assert same(a, given[0])
    assert same(b, given[1])
    assert alike(p, given[2])
    assert alike(q, given[3])


@pytest.mark.parametrize("law", laws.all, ids=name_of)
def test_law(law: Law) -> None:
    laws.try_one(law)


@pytest.mark.slow
def test_all_laws_on_many_documents() -> None:
    laws.try_all()
