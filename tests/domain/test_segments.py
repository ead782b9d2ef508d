"""Rules: what is read, where a mistake is, and whom they match (semantics §6)."""

from decimal import Decimal
from uuid import UUID

import pytest

from app.domain.errors import DomainError, FieldProtected, ValidationFailed
from app.domain.protected import protection
from app.domain.rules import MAX_DEPTH, MAX_RULES, check_unprotected, matches, parse_rules
from app.domain.segments import Segment, segments_of
from app.domain.targeting import check_targeting
from app.domain.values import MISSING, State, Value

ID = "00000000-0000-4000-8000-000000000001"
ANN: Value = {"plan": "pro", "age": 41, "ratio": Decimal("1.0"), "tags": ["a", 1], "no": None, "a.b": {"": True}}


def condition(field: str = "plan", op: str = "eq", value: Value = "pro") -> Value:
    return {"field": field, "op": op, "value": value}


def nested(depth: int) -> Value:
    rule = condition()
    for _ in range(depth):
        rule = {"not": rule}
    return rule


@pytest.mark.parametrize(
    ("field", "op", "value", "expected"),
    [
        ("plan", "eq", "pro", True),
        ("plan", "neq", "pro", False),
        ("plan", "in", ["free", "pro"], True),
        ("plan", "not_in", ["pro"], False),
        ("plan", "contains", "r", True),
        ("plan", "contains", "", True),
        ("plan", "contains", ["pro"], False),
        ("tags", "contains", "a", True),
        ("tags", "contains", 1, True),
        ("tags", "contains", Decimal("1.0"), False),
        ("tags", "contains", True, False),
        ("tags", "contains", "", False),
        ("tags.1", "eq", 1, True),
        ("tags.01", "eq", 1, False),
        ("tags.-1", "eq", 1, False),
        ("age", "eq", "41", False),
        ("age", "eq", Decimal("41.0"), False),
        ("age", "gt", Decimal("40.9"), True),
        ("age", "lt", 41, False),
        ("plan", "gt", 0, False),
        ("no", "lt", 1, False),
        ("no", "eq", None, True),
        ("no.deep", "eq", None, False),
        ("ratio", "eq", 1, False),
        ("ratio", "gt", 0, True),
        ("absent", "eq", None, False),
        ("absent", "in", [None], False),
        ("absent", "contains", "", False),
        ("absent", "gt", 0, False),
        ("absent", "neq", None, True),
        ("absent", "not_in", [], True),
        ("a\\.b.", "eq", True, True),
        ("a.b", "eq", True, False),
    ],
)
def test_operators(field: str, op: str, value: Value, expected: bool) -> None:
    assert matches(parse_rules([condition(field, op, value)]), ANN) is expected


def test_groups() -> None:
    yes, no = condition(), condition(value="free")
    groups: list[tuple[Value, bool]] = [
        ({"all": [yes, yes]}, True),
        ({"all": [yes, no]}, False),
        ({"any": [no, yes]}, True),
        ({"any": [no, no]}, False),
        ({"not": yes}, False),
        ({"not": {"any": [no, {"all": [no, yes]}]}}, True),
    ]
    for rule, expected in groups:
        assert matches(parse_rules([rule]), ANN) is expected
    assert matches(parse_rules([]), ANN)
    assert not matches(parse_rules([]), MISSING)
    assert not matches(parse_rules([{"not": yes}]), MISSING)


@pytest.mark.parametrize(
    ("rules", "path"),
    [
        ("plan", "/rules"),
        ([1], "/rules/0"),
        ([condition(), {"field": "a", "op": "eq"}], "/rules/1"),
        ([{"all": [condition()], "any": []}], "/rules/0"),
        ([condition(op="like")], "/rules/0/op"),
        ([{"field": "a", "op": ["eq"], "value": 1}], "/rules/0/op"),
        ([condition(op="in", value="pro")], "/rules/0/value"),
        ([condition(op="gt", value="5")], "/rules/0/value"),
        ([condition(op="lt", value=True)], "/rules/0/value"),
        ([condition(field="")], "/rules/0/field"),
        ([condition(field="a\\x")], "/rules/0/field"),
        ([condition(field="a\0")], "/rules/0/field"),
        ([condition(field="a.$protected")], "/rules/0/field"),
        ([condition(value={"a": [{"$protected": True}]})], "/rules/0/value"),
        ([{"any": []}], "/rules/0/any"),
        ([{"not": [condition()]}], "/rules/0/not"),
        ([{"all": [condition(), {"any": [condition(op="~")]}]}], "/rules/0/all/1/any/0/op"),
        ([nested(MAX_DEPTH + 1)], "/rules/0" + "/not" * (MAX_DEPTH + 1)),
        ([condition()] * 10_000, "/rules"),
        ([{"any": [condition()] * MAX_RULES}], "/rules"),
        ([{"not": condition()}] * MAX_RULES, "/rules"),
    ],
)
def test_a_mistake_is_told_with_its_place(rules: Value, path: str) -> None:
    with pytest.raises(ValidationFailed) as refusal:
        parse_rules(rules)
    assert refusal.value.fields["path"] == path


def test_rules_are_written_as_they_are_read() -> None:
    rules: list[Value] = [nested(MAX_DEPTH), {"any": [condition("a\\.b.c", "in", [1, Decimal("1.0"), None])]}]
    parsed = parse_rules(rules)
    assert [rule.to_json() for rule in parsed] == rules


@pytest.mark.parametrize("value", ["a\0", "\ud800", 10**400, {"k\0": 1}])
def test_what_cannot_be_stored_is_no_value(value: Value) -> None:
    with pytest.raises(DomainError):
        parse_rules([condition(value=value)])


def test_no_rule_on_a_protected_field() -> None:
    places = protection(["ssn", "keys.*.secret", "**.token"]).of("user")
    for rule in (
        condition("ssn", "contains", "1"),
        condition("ssn.deep"),
        condition("keys.api.secret"),
        condition("keys", "eq", {"api": {"secret": "s"}}),
        condition("keys", "not_in", [1, {"api": {"secret": "s"}}]),
        condition("any.thing.token", "gt", 1),
    ):
        deep: Value = {"not": {"any": [condition(), rule]}}
        for wrapped in (rule, deep):
            with pytest.raises(FieldProtected):
                check_unprotected(parse_rules([wrapped]), places)
    check_unprotected(parse_rules([condition(), condition("keys", "eq", {"api": 1})]), places)


def entry(**members: Value) -> dict[str, Value]:
    return {"segment_id": ID, "name": "Pro", "rules": [condition()], **members}


def project(*segments: Value) -> State:
    return {"config": {"segments": list(segments)}}


def test_segments_are_read_tolerantly() -> None:
    found = segments_of(project(entry(), 5, entry(segment_id="x"), entry(name="again"), entry(rules=[{}])))
    assert found == {UUID(ID): Segment(UUID(ID), "Pro", parse_rules([condition()]))}
    assert found[UUID(ID)].matches(ANN)
    assert found[UUID(ID)].to_json() == entry()
    nothings: list[State] = [MISSING, {}, {"config": {"segments": {}}}, {"config": 1}]
    for nothing in nothings:
        assert segments_of(nothing) == {}


@pytest.mark.parametrize(
    ("segments", "path"),
    [
        ({}, "/config/segments"),
        ([entry()] * 501, "/config/segments"),
        ([5], "/config/segments/0"),
        ([entry(colour="red")], "/config/segments/0/colour"),
        ([entry(segment_id="1")], "/config/segments/0/segment_id"),
        ([entry(), entry()], "/config/segments/1/segment_id"),
        ([entry(name="")], "/config/segments/0/name"),
        ([entry(created_at=5)], "/config/segments/0/created_at"),
        ([entry(rules=None)], "/config/segments/0/rules"),
        ([entry(rules=[condition(op="~")])], "/config/segments/0/rules/0/op"),
    ],
)
def test_a_malformed_segment_is_not_written(segments: Value, path: str) -> None:
    document: State = {"config": {"segments": segments}}
    with pytest.raises(ValidationFailed) as refusal:
        check_targeting(project(entry()), document)
    assert refusal.value.fields["path"] == path
    check_targeting(document, document)


def test_what_can_be_read_is_written() -> None:
    check_targeting(project(), project(entry(created_at="2026-01-01T00:00:00Z")))
    check_targeting(project(entry()), {})
