"""Both evaluators of rules say the same of any document (semantics §6)."""

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Final

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.domain.rules import Combination, Condition, Group, Operator, Rule, matches, parse_rules
from app.domain.values import Value, canonical_number
from app.storage import db
from app.storage.codec import dumps
from app.storage.segment_sql import compiled
from tests.strategies import NOTABLE_SCALARS, UNUSUAL_KEYS, values

KEYS: Final = ("a", "b", "0", "1", "01", "-1", "+0", " 0", "a.b", "")
NUMBERS: Final = tuple(map(Decimal, ("1", "1.0", "1.00", "-1", "0", "-0.0", "1E2", "1.5E-3", "5", "41.5")))
_SCALARS: Final[list[Value]] = [
    None,
    True,
    False,
    "",
    "5",
    5,
    "1",
    "true",
    "null",
    "caf\u00e9",
    "cafe\u0301",
    "%",
    "_",
    "\\",
]
_CONTAINERS: Final[list[Value]] = [[], {}, [1], [Decimal("1.0")], ["a"], [[1]], [None], {"a": 1}, {"a": Decimal("1.0")}]
EDGES: Final[tuple[Value, ...]] = (
    *_SCALARS,
    *_CONTAINERS,
    [{"a": 1}],
    *map(canonical_number, NUMBERS),
    *NOTABLE_SCALARS,
)

leaves = st.one_of(st.sampled_from(EDGES), values)
keys = st.one_of(st.sampled_from(KEYS), st.sampled_from([key for key in UNUSUAL_KEYS if key != "$protected"]))
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)),
    max_leaves=8,
)
documents = st.one_of(st.dictionaries(keys, trees, max_size=4), trees)
paths = st.lists(keys, min_size=1, max_size=3).map(tuple)
numbers = st.sampled_from([canonical_number(number) for number in NUMBERS])


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    """Return a condition; its value is of the type that the operator takes."""
    op = draw(st.sampled_from(list(Operator)))
    if op in (Operator.GT, Operator.LT):
        value: Value = draw(numbers)
    elif op in (Operator.IN, Operator.NOT_IN):
        value = draw(st.lists(trees, max_size=4))
    else:
        value = draw(trees)
    return Condition(draw(paths), op, value)


def groups(inner: st.SearchStrategy[Rule]) -> st.SearchStrategy[Rule]:
    several = st.lists(inner, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Group, st.sampled_from([Combination.ALL, Combination.ANY]), several),
        st.builds(Group, st.just(Combination.NOT), inner.map(lambda rule: (rule,))),
    )


rules = st.lists(st.recursive(conditions(), groups, max_leaves=6), max_size=3)

Evaluate = Callable[[Sequence[Rule], Sequence[Value]], Awaitable[list[bool]]]


async def in_database(wanted: Sequence[Rule], found: Sequence[Value]) -> list[bool]:
    """Return, for each document, what the database says of the rules."""
    condition = compiled(wanted, "document", 2)
    rows = await db.fetch(
        f"SELECT {condition.sql} AS holds FROM unnest($1::jsonb[]) WITH ORDINALITY AS given (document, at) ORDER BY at",
        [dumps(document) for document in found],
        *condition.parameters,
    )
    return [row["holds"] for row in rows]


def mentioned(wanted: Rule, document: Value) -> Value:
    """Return ``document`` with, at the path of a condition, about what it asks for."""
    while isinstance(wanted, Group):
        wanted = wanted.rules[0]
    value = wanted.value
    if wanted.op in (Operator.IN, Operator.NOT_IN) and isinstance(value, list) and value:
        value = value[0]
    for key in reversed(wanted.path):
        value = {key: value}
    return {**document, **value} if isinstance(document, dict) and isinstance(value, dict) else value


@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(rules, st.lists(documents, min_size=1, max_size=5))
@example([Condition(("a",), Operator.EQ, 1)], [{"a": Decimal("1.0")}, {"a": True}, {"a": "1"}, {"a": 1}])
@example([Condition(("a", "-1"), Operator.EQ, 1)], [{"a": [1]}, {"a": {"-1": 1}}])
@example([Condition(("a", "01", "0"), Operator.NEQ, 1)], [{"a": [[1], [1]]}, {"a": {"01": [1]}}])
@example([Condition(("a",), Operator.CONTAINS, 1)], [{"a": [Decimal("1.0")]}, {"a": [[1]]}, {"a": 1}, {"a": "1"}])
@example([Condition(("a",), Operator.CONTAINS, "")], [{"a": ""}, {"a": []}, {"a": ["a"]}, {"a": None}, {}])
@example([Condition(("a",), Operator.NOT_IN, [])], [{"a": 1}, {}, 5, None, []])
async def test_both_evaluators_agree(pool: None, wanted: list[Rule], found: list[Value]) -> None:
    if wanted:
        found = [*found, *(mentioned(wanted[0], document) for document in found)]
    assert await in_database(wanted, found) == [matches(wanted, document) for document in found]


@pytest.mark.parametrize("text", ["'; DROP TABLE layer; --", "$1", "\\'", '"', "%s", "{}", "{0}"])
async def test_nothing_of_a_rule_stands_in_the_statement(pool: None, text: str) -> None:
    field = text.replace("\\", "\\\\").replace(".", "\\.")
    asked: list[tuple[str, Value]] = [("eq", text), ("contains", text), ("in", [text]), ("neq", {text: text})]
    for op, value in asked:
        parsed = parse_rules([{"field": field, "op": op, "value": value}])
        document: Value = {text: value if op != "in" else text}
        assert text not in compiled(parsed, "document", 2).sql or text in ("{}", "$1")
        assert await in_database(parsed, [document]) == [op != "neq"]
