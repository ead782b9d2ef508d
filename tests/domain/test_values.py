"""Equality, spelling and places of values (semantics §11.10)."""

from copy import deepcopy
from decimal import Decimal
from itertools import product

import pytest

from app.domain.values import MISSING, State, Value, canonical_number, lookup, put, same

DIFFERENT: list[Value] = [
    *(None, False, True, 0, 1, -1, "", "0", "1", "null", "true"),
    *map(Decimal, ("0.0", "0.00", "1.0", "1.00", "-1.0", "1.1", "1.10")),
    *("é", "e\u0301", "a", "A", "a "),
    *(2**53, 2**53 + 1, Decimal("9007199254740992.0")),
    [],
    [None],
    [[]],
    [{}],
    [0, 1],
    [1, 0],
    [0],
    [False],
    [Decimal("0.0")],
    {},
    {"": None},
    {"a": None},
    {"aa": None},
    {"a": []},
    {"a": {}},
    {"é": 1},
    {"e\u0301": 1},
    {"a": 1, "b": 2},
    {"a": 2, "b": 1},
    {"a": 1},
    {"a.b": 1},
    {"a": {"b": 1}},
]


def test_a_value_is_the_same_as_its_like_alone() -> None:
    likes = deepcopy(DIFFERENT)
    for (place, one), (other_place, other) in product(enumerate(DIFFERENT), enumerate(likes)):
        alike = place == other_place
        assert same(one, other) == same([one], [other]) == same({"a": one}, {"a": other}) == alike
        assert not same(MISSING, one)
        assert not same(one, MISSING)


def test_equal_numbers_need_not_be_one_object() -> None:
    for text in ("1.10", "0.0", "123456789012345678901234567890.5"):
        assert same(Decimal(text), Decimal(text))
    assert same(2**70, int(str(2**70)))


def test_the_order_of_keys_does_not_matter_and_that_of_items_does() -> None:
    assert same({"a": 1, "b": [1, 2]}, {"b": [1, 2], "a": 1})
    assert not same({"b": [1, 2]}, {"b": [2, 1]})


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("1e2", 100),
        ("1E+2", 100),
        ("1.50e1", Decimal("15.0")),
        ("12.5e1", 125),
        ("-0.0", Decimal("0.0")),
        ("-0.00", Decimal("0.00")),
        ("-0e1", 0),
        ("1.10", Decimal("1.10")),
        ("1e-7", Decimal("0.0000001")),
        ("-1.0", Decimal("-1.0")),
        ("9007199254740993", 2**53 + 1),
    ],
)
def test_a_number_has_one_spelling(written: str, kept: int | Decimal) -> None:
    number = canonical_number(Decimal(written))
    assert same(number, kept)
    assert same(canonical_number(Decimal(number)), kept)


@pytest.mark.parametrize("name", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="finite"):
        canonical_number(Decimal(name))


DOCUMENT: Value = {"a": {"b": [10, {"c": None}]}, "a.b": 1, "": {"": 2}, "0": 3, "aa": 4, "é": 5}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ((), DOCUMENT),
        (("a", "b", "0"), 10),
        (("a", "b", "1", "c"), None),
        (("a.b",), 1),
        (("", ""), 2),
        (("0",), 3),
        (("aa",), 4),
        (("é",), 5),
    ],
)
def test_lookup_finds(path: tuple[str, ...], found: State) -> None:
    assert same(lookup(DOCUMENT, path), found)


@pytest.mark.parametrize(
    "key", ["2", "-", "-1", "00", "01", "+1", " 1", "1 ", "1.0", "1e0", "\u0660", "²", "", "9" * 5_000]
)
def test_lookup_takes_no_other_position_than_a_plain_number(key: str) -> None:
    assert lookup(DOCUMENT, ("a", "b", key)) is MISSING


@pytest.mark.parametrize("path", [("b",), ("aaa",), ("a.b", "c"), ("a", "b", "0", "x"), ("e\u0301",), ("__class__",)])
def test_lookup_finds_nothing(path: tuple[str, ...]) -> None:
    assert lookup(DOCUMENT, path) is MISSING
    assert lookup(MISSING, path) is MISSING


@pytest.mark.parametrize(
    ("before", "path", "after"),
    [
        (MISSING, (), 1),
        (MISSING, ("a", "b"), {"a": {"b": 1}}),
        ({"a": {"b": 2, "c": 3}}, ("a", "b"), {"a": {"b": 1, "c": 3}}),
        ({"a.b": 2}, ("a", "b"), {"a.b": 2, "a": {"b": 1}}),
        ({"a": [{"b": 2}, 3]}, ("a", "0", "b"), {"a": [{"b": 1}, 3]}),
        ({"a": [2, 3]}, ("a", "1"), {"a": [2, 1]}),
    ],
)
def test_put(before: State, path: tuple[str, ...], after: Value) -> None:
    unchanged = deepcopy(before)
    assert same(put(before, path, 1), after)
    assert same(before, unchanged)


@pytest.mark.parametrize(
    ("before", "path"),
    [
        ({"a": [2]}, ("a", "1")),
        ({"a": [2]}, ("a", "-")),
        ({"a": [2]}, ("a", "b")),
        ({"a": None}, ("a", "b")),
        ({"a": "text"}, ("a", "0")),
        (1, ("a",)),
    ],
)
def test_put_does_not_go_into_what_has_no_such_place(before: State, path: tuple[str, ...]) -> None:
    with pytest.raises(LookupError):
        put(before, path, 1)
