"""Flags: read strictly with the place of each mistake, and dealt out as the vectors say."""

from collections import Counter
from copy import deepcopy
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import FieldProtected, ValidationFailed
from app.domain.evaluation import Context, Evaluated, Failed, FlagSet, InvalidContext, bucket, context_of, evaluate
from app.domain.flags import BrokenFlag, Flag, check_flags, flags_of
from app.domain.json_text import parse_json
from app.domain.protected import Places, Protection
from app.domain.values import MISSING, Value

VECTORS: Any = parse_json((Path(__file__).parent.parent / "vectors" / "flags.json").read_bytes())
OPEN = Places((), active=False)
SEGMENT = "7d1f0a52-7c0e-4a35-9c5f-0d6a3b8a1c11"
RULE: dict[str, Any] = {"field": "country", "op": "eq", "value": "DE"}
GOOD: dict[str, Any] = {
    "variants": {"on": True, "off": False},
    "defaultVariant": "off",
    "rules": [{"segment": SEGMENT, "variant": "on"}, {"rules": [RULE], "split": {"on": 25, "off": 75}}],
}


def document(*segments: str, **flags: Any) -> dict[str, Any]:
    listed: list[Any] = [
        {"segment_id": uuid, "name": "premium", "rules": [{"field": "tier", "op": "eq", "value": "premium"}]}
        for uuid in segments
    ]
    return {"config": {"flags": flags, "segments": listed}}


def flag_set(places: Places = OPEN, **flags: Any) -> FlagSet:
    return FlagSet(document(SEGMENT, **flags), OPEN, places)


def of(flags: FlagSet, key: str, user: str | None, **known: Value) -> Any:
    return evaluate([flags.find(key)], user, known)[0]


@pytest.mark.parametrize("vector", VECTORS["buckets"], ids=lambda vector: f"{vector['flag']}-{vector['user'][:10]}")
def test_buckets(vector: dict[str, Any]) -> None:
    said = sha256(f"flag:{vector['flag']}:{vector['user']}".encode()).digest()
    assert bucket(vector["flag"], vector["user"]) == vector["bucket"] == int.from_bytes(said[:8], "big") % 10_000


@pytest.mark.parametrize("vector", VECTORS["splits"], ids=lambda vector: f"{vector['split']}-{vector['user'][:10]}")
def test_splits(vector: dict[str, Any]) -> None:
    variants: dict[str, Any] = dict.fromkeys(vector["split"], 1)
    flag: dict[str, Any] = {
        "variants": variants,
        "defaultVariant": min(variants),
        "rules": [{"split": vector["split"]}],
    }
    found = of(FlagSet(document(**{vector["flag"]: flag}), OPEN, OPEN), vector["flag"], vector["user"])
    assert (found.variant, found.reason) == (vector["variant"], "SPLIT")


def test_shares_are_those_of_the_split() -> None:
    flags = flag_set(f={"variants": {"a": 1, "b": 2}, "defaultVariant": "a", "rules": [{"split": {"a": 10, "b": 90}}]})
    counted = Counter(of(flags, "f", str(user)).variant for user in range(10_000))
    assert 900 < counted["a"] < 1_100


def test_who_is_in_stays_in_when_a_share_grows() -> None:
    def inside(percent: int) -> set[int]:
        split: dict[str, Any] = {"on": percent, "off": 100 - percent}
        flags = flag_set(f={**GOOD, "rules": [{"split": split}]})
        return {user for user in range(500) if of(flags, "f", str(user)).variant == "on"}

    assert inside(5) < inside(20) < inside(50) < inside(100) == set(range(500))


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (5, ""),
        ({"value": 1, "variants": {}}, ""),
        ({}, ""),
        ({"value": None}, "/value"),
        ({"value": 1, "rules": [{"variant": "a"}]}, ""),
        ({"value": 1, "defaultVariant": "a"}, ""),
        ({"value": 1, "enabled": 1}, "/enabled"),
        ({"value": 1, "description": 1}, "/description"),
        ({"value": 1, "metadata": {"a": []}}, "/metadata/a"),
        ({"value": 1, "metadata": []}, "/metadata"),
        ({"value": 1, "more": 1}, "/more"),
        ({**GOOD, "variants": {}}, "/variants"),
        ({**GOOD, "variants": {"on": True, "off": None}}, "/variants/off"),
        ({**GOOD, "variants": {"on": True, "off": 0}}, "/variants"),
        ({**GOOD, "variants": {str(number): 1 for number in range(101)}}, "/variants"),
        ({**GOOD, "defaultVariant": "maybe"}, "/defaultVariant"),
        ({"variants": {"on": True}}, "/defaultVariant"),
        ({**GOOD, "rules": {}}, "/rules"),
        ({**GOOD, "rules": [{"variant": "on"}] * 101}, "/rules"),
        ({**GOOD, "rules": [5]}, "/rules/0"),
        ({**GOOD, "rules": [{"variant": "on", "split": {}}]}, "/rules/0"),
        ({**GOOD, "rules": [{"rules": [RULE]}]}, "/rules/0"),
        ({**GOOD, "rules": [{"variant": "on", "weight": 1}]}, "/rules/0"),
        ({**GOOD, "rules": [{"variant": "maybe"}]}, "/rules/0/variant"),
        ({**GOOD, "rules": [{"variant": "on"}, {"segment": str(UUID(int=1)), "variant": "on"}]}, "/rules/1/segment"),
        ({**GOOD, "rules": [{"segment": "premium", "variant": "on"}]}, "/rules/0/segment"),
        ({**GOOD, "rules": [{"segment": SEGMENT, "rules": [RULE], "variant": "on"}]}, "/rules/0"),
        ({**GOOD, "rules": [{"rules": [{**RULE, "op": "like"}], "variant": "on"}]}, "/rules/0/rules/0/op"),
        ({**GOOD, "rules": [{"rules": [{**RULE, "op": "in"}], "variant": "on"}]}, "/rules/0/rules/0/value"),
        ({**GOOD, "rules": [{"rules": [RULE] * 101, "variant": "on"}]}, "/rules/0/rules"),
        ({**GOOD, "rules": [{"split": {}}]}, "/rules/0/split"),
        ({**GOOD, "rules": [{"split": {"on": 50, "off": 49}}]}, "/rules/0/split"),
        ({**GOOD, "rules": [{"split": {"on": 50, "off": -1}}]}, "/rules/0/split/off"),
        ({**GOOD, "rules": [{"split": {"on": True, "off": 99}}]}, "/rules/0/split/on"),
        ({**GOOD, "rules": [{"split": {"on": "50", "off": 50}}]}, "/rules/0/split/on"),
        ({**GOOD, "rules": [{"split": {"on": Decimal("0.001"), "off": Decimal("99.999")}}]}, "/rules/0/split/off"),
        ({**GOOD, "rules": [{"split": {"maybe": 100}}]}, "/rules/0/split/maybe"),
    ],
)
def test_mistakes_are_refused_with_their_place(change: Value, path: str) -> None:
    wrong = document(SEGMENT, good=GOOD, wrong=change)
    with pytest.raises(ValidationFailed) as refused:
        check_flags(document(SEGMENT, good=GOOD), wrong, OPEN)
    assert refused.value.fields["path"] == f"/config/flags/wrong{path}"
    # What is there all the same is told apart from flags that can be read.
    found = flags_of(wrong, OPEN)
    assert isinstance(found["good"], Flag)
    assert isinstance(found["wrong"], BrokenFlag)
    failed = of(FlagSet(wrong, OPEN, OPEN), "wrong", "ada")
    assert isinstance(failed, Failed)
    assert failed.code == "PARSE_ERROR"
    # Whoever changes something else is not held up by it.
    check_flags(wrong, {**wrong, "other": 1}, OPEN)
    other: Any = deepcopy(wrong)
    other["config"]["flags"]["more"] = {"value": 1}
    check_flags(wrong, other, OPEN)


@pytest.mark.parametrize("flags", [5, [], None, {"/a": {"value": 1}}, {"": {"value": 1}}, {"x" * 257: {"value": 1}}])
def test_keys_and_their_object(flags: Value) -> None:
    with pytest.raises(ValidationFailed):
        check_flags({}, {"config": {"flags": flags}}, OPEN)


def test_too_many_flags() -> None:
    with pytest.raises(ValidationFailed):
        check_flags({}, document(**{str(number): {"value": 1} for number in range(1_001)}), OPEN)


def test_a_segment_that_a_flag_needs_cannot_go() -> None:
    with pytest.raises(ValidationFailed) as refused:
        check_flags(document(SEGMENT, f=GOOD), document(f=GOOD), OPEN)
    assert refused.value.fields["path"] == "/config/flags/f/rules/0/segment"


def test_rules_do_not_ask_for_what_is_protected() -> None:
    places = Protection(("user:country",)).of("user")
    with pytest.raises(FieldProtected):
        check_flags({}, document(SEGMENT, f=GOOD), places)
    failed = of(flag_set(places, f=GOOD), "f", "ada", country="DE")
    assert isinstance(failed, Failed)
    assert failed.code == "PARSE_ERROR"


def test_groups_of_rules() -> None:
    rules: list[Any] = [{"any": [RULE, {"not": {"field": "tier", "op": "neq", "value": "premium"}}]}]
    flags = flag_set(f={**GOOD, "rules": [{"rules": rules, "variant": "on"}]})
    assert [
        of(flags, "f", "ada", **known).value for known in ({"country": "DE"}, {"tier": "premium"}, {"country": "FR"})
    ] == [True, True, False]


def test_what_is_said_lies_over_what_is_stored() -> None:
    context = Context("ada", {"targetingKey": "ada", "address": {"city": "Bonn"}, "tags": [1], "plan": None})
    stored: Value = {"address": {"city": "Rome", "zip": 1}, "tags": [2], "plan": "pro", "age": 3}
    assert context.over(stored) == {
        "targetingKey": "ada",
        "address": {"city": "Bonn", "zip": 1},
        "tags": [1],
        "plan": None,
        "age": 3,
    }
    assert context.over(MISSING) == context.attributes


@pytest.mark.parametrize("value", [5, [], None, {"targetingKey": 5}, {"targetingKey": "x" * 257}])
def test_contexts_that_are_none(value: Value) -> None:
    with pytest.raises(InvalidContext):
        context_of(value)


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_key_and_user(key: str, user: str) -> None:
    flags = flag_set(f=GOOD)
    assert isinstance(of(flags, key, user), Evaluated | Failed)
    assert 0 <= bucket(key, user) < 10_000
