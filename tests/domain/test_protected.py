"""Protected places of documents and patches: what readers see, and what is stored in their place."""

from typing import Final
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.diff import difference, masked
from app.domain.errors import ValidationFailed, ValueNotStorable
from app.domain.json_text import check_storable
from app.domain.layer_history import seal_layer_patch
from app.domain.layers import canonical_layer, resolve
from app.domain.patch import apply, diff, from_json, to_json
from app.domain.pointer import Path, format_pointer
from app.domain.protected import MARKER, NOTHING_PROTECTED, Places, is_marker, protection
from app.domain.references import reference, referred
from app.domain.sealing import absorb, kept_apart, seal, seal_flat, seal_patches
from app.domain.values import MISSING, State, Value, lookup, same
from tests.strategies import documents

KEYS: Final = protection(["keys.*.secret", "page:note"])
PLACES: Final = KEYS.of("page")


class Kept:
    """Seals by value, so that equal values get equal references."""

    def __init__(self) -> None:
        self.values: dict[tuple[Path, str], UUID] = {}

    def __call__(self, path: Path, value: Value) -> Value:
        return reference(self.values.setdefault((path, repr(value)), uuid4()))


def document(secret: Value, **more: Value) -> dict[str, Value]:
    return {"keys": {"api": {"secret": secret, "id": 1}}, **more}


def test_what_readers_see() -> None:
    stored = document("s", note=[1, 2], page="x")
    assert PLACES.mask(stored) == document(MARKER, note=MARKER, page="x")
    assert KEYS.of("user").mask(stored) == document(MARKER, note=[1, 2], page="x")
    assert PLACES.pointers(stored) == ["/keys/api/secret", "/note"]
    assert NOTHING_PROTECTED.of("page").mask(stored) is stored
    assert PLACES.mask({"keys": [{"secret": 1}]}) == {"keys": [{"secret": 1}]}
    assert PLACES.mask(None) is None
    assert PLACES.mask(MISSING) is MISSING


def test_a_reference_is_no_document_and_shows_nothing() -> None:
    found = reference(uuid4())
    with pytest.raises(ValueNotStorable):
        check_storable(found)
    assert referred(MARKER) is None
    assert referred({"$protected": 5}) is None
    assert PLACES.mask({"elsewhere": found, "marker": MARKER}) == {"elsewhere": MARKER, "marker": MARKER}


def test_patches_show_nothing_from_within() -> None:
    flat: dict[str, Value] = {
        "set": {"/keys/api/secret/deep": "s", "/keys/api": {"secret": "s", "id": 2}, "/plain": 1},
        "unset": ["/note/inner", "/keys/other/secret"],
    }
    assert PLACES.mask_flat(flat) == {
        "set": {"/keys/api": {"secret": MARKER, "id": 2}, "/plain": 1, "/keys/api/secret": MARKER, "/note": MARKER},
        "unset": ["/keys/other/secret"],
    }
    assert PLACES.mask_flat({"set": {"": document("s")}, "unset": []}) == {"set": {"": document(MARKER)}, "unset": []}


def test_differences_say_only_that_there_is_one() -> None:
    old, new = document(reference(uuid4())), document(reference(uuid4()), note=reference(uuid4()))
    found = masked(difference(old, new), PLACES)
    assert found.modified == {("keys", "api", "secret"): (MARKER, MARKER)}
    assert found.added == {("note",): MARKER}
    assert to_json(found.patch) == {"set": {"/keys/api/secret": MARKER, "/note": MARKER}, "unset": []}


def test_a_marker_means_unchanged_and_a_value_is_new_even_if_it_is_the_same() -> None:
    old = reference(uuid4())
    kept = absorb(PLACES, document(MARKER, marker=MARKER), document(old), Kept())
    assert kept == document(old, marker=MARKER)
    assert absorb(PLACES, document(MARKER), {}, Kept()) == {"keys": {"api": {"id": 1}}}
    first, second = (absorb(PLACES, document("same"), document(old), Kept()) for _ in range(2))
    assert not same(first, second)
    with pytest.raises(ValidationFailed):
        absorb(PLACES, document({**MARKER, "more": 1}), document(old), Kept())


def test_what_a_shorter_list_leaves_sealed_stays_sealed() -> None:
    left = reference(uuid4())
    unprotected = protection([]).of("page")
    assert unprotected.mask({"s": left}) == {"s": MARKER}
    assert absorb(unprotected, {"s": MARKER, "t": MARKER}, {"s": left}, Kept()) == {"s": left, "t": MARKER}
    assert absorb(unprotected, {"s": "new"}, {"s": left}, Kept()) == {"s": "new"}


def test_nothing_travels() -> None:
    ours, theirs = reference(uuid4()), reference(uuid4())
    assert kept_apart(PLACES, document(theirs, page=2), document(ours, page=1)) == document(ours, page=2)
    assert kept_apart(PLACES, document(theirs), {}) == {"keys": {"api": {"id": 1}}}
    assert kept_apart(PLACES, {"keys": {"api": {}}, "note": theirs}, document(ours)) == {
        "keys": {"api": {"secret": ours}}
    }
    assert kept_apart(PLACES, {"keys": {}}, document(ours)) == {"keys": {}}
    assert kept_apart(PLACES, {}, {"note": ours}) == {"note": ours}
    assert kept_apart(PLACES, MISSING, document(ours)) is MISSING


def test_a_layer_below_a_protected_place_becomes_all_of_it() -> None:
    keep = Kept()
    above: State = document({"a": 1, "b": 2})
    own = apply(above, from_json({"set": {"/keys/api/secret/a": 5}, "unset": []}))
    path = [diff(MISSING, above), canonical_layer(above, own)]
    sealed = seal_patches(PLACES, path, keep)
    assert same(resolve(sealed), seal(PLACES, own, keep))
    assert to_json(sealed[1])["set"] == {"/keys/api/secret": keep(("keys", "api", "secret"), {"a": 5, "b": 2})}


def plain_left(places: Places, value: State) -> list[str]:
    return [format_pointer(path) for path in places.found(value) if referred(lookup(value, path)) is None]


names = st.sampled_from(["a", "b", "**", "*", "a*"])
globs = st.lists(st.lists(names, min_size=1, max_size=3).map(".".join), min_size=1, max_size=3)


@given(documents, documents, globs)
def test_sealing_any_documents(old: Value, new: Value, listed: list[str]) -> None:
    places, keep = protection(listed).of("page"), Kept()
    sealed = seal(places, old, keep)
    assert plain_left(places, sealed) == []
    assert seal(places, sealed, keep) is sealed
    assert same(places.mask(sealed), places.mask(old))
    assert is_marker(old) or same(absorb(places, places.mask(sealed), sealed, keep), sealed)
    path = [diff(MISSING, old), canonical_layer(old, new)]
    assert plain_left(places, resolve(seal_patches(places, path, keep))) == []
    flat = seal_flat(places, to_json(diff(old, new)), keep)
    assert seal_flat(places, flat, keep) == flat
    from_json(flat)


@given(documents, documents, documents, globs)
def test_sealing_the_history_of_layers(above: Value, old: Value, new: Value, listed: list[str]) -> None:
    """What undoes a change of a sealed layer leads to a layer that says nothing protected."""
    places, keep = protection(listed).of("page"), Kept()

    def layer(state: Value) -> dict[str, Value]:
        return {"form": "patch", "data": to_json(canonical_layer(above, state))}

    sealed = seal_layer_patch(places, to_json(diff(layer(new), layer(old))), keep)
    assert seal_layer_patch(places, sealed, keep) == sealed
    whole = seal_layer_patch(
        places, to_json(diff({"form": "whole", "data": new}, {"form": "whole", "data": old})), keep
    )
    assert seal_layer_patch(places, whole, keep) == whole
