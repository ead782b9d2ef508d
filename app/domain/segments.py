"""Targeting rules: the operators of the reference guide, evaluated in memory (semantics §6)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from app.domain.errors import FieldProtected, ValidationFailed
from app.domain.pointer import Path, format_dotted, parse_dotted
from app.domain.protected import Places
from app.domain.values import MISSING, State, Value, lookup, same

MAX_RULES: Final = 100


class Operator(StrEnum):
    EQ = "eq"
    NEQ = "neq"
    IN = "in"
    NOT_IN = "not_in"
    GT = "gt"
    LT = "lt"
    CONTAINS = "contains"


def _number(value: State) -> int | Decimal | None:
    return value if isinstance(value, int | Decimal) and not isinstance(value, bool) else None


def _is_in(found: State, value: Value) -> bool:
    return isinstance(value, list) and any(same(found, item) for item in value)


def _greater(found: State, value: Value) -> bool:
    left, right = _number(found), _number(value)
    return left is not None and right is not None and left > right


def _less(found: State, value: Value) -> bool:
    left, right = _number(found), _number(value)
    return left is not None and right is not None and left < right


def _contains(found: State, value: Value) -> bool:
    if isinstance(found, str):
        return isinstance(value, str) and value in found
    return isinstance(found, list) and any(same(item, value) for item in found)


OPERATORS: Final[Mapping[str, Callable[[State, Value], bool]]] = {
    Operator.EQ: same,
    Operator.NEQ: lambda found, value: not same(found, value),
    Operator.IN: _is_in,
    Operator.NOT_IN: lambda found, value: not _is_in(found, value),
    Operator.GT: _greater,
    Operator.LT: _less,
    Operator.CONTAINS: _contains,
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One condition. A missing field makes a positive operator false, ``neq`` and ``not_in`` true."""

    path: Path
    op: str
    value: Value

    @classmethod
    def parse(cls, position: int, rule: Value) -> "Rule":
        """Return the rule of ``{"field", "op", "value"}``. Raises ValidationFailed with its position."""
        if not isinstance(rule, dict) or set(rule) != {"field", "op", "value"}:
            raise ValidationFailed(f"Rule {position} must be an object of 'field', 'op' and 'value'.", rule=position)
        field, op, value = rule["field"], rule["op"], rule["value"]
        if not isinstance(field, str) or not field:
            raise ValidationFailed(f"The 'field' of rule {position} must be a dotted path.", rule=position)
        if not isinstance(op, str) or op not in OPERATORS:
            raise ValidationFailed(f"The 'op' of rule {position} must be one of {', '.join(OPERATORS)}.", rule=position)
        if op in ("in", "not_in") and not isinstance(value, list):
            raise ValidationFailed(f"The 'value' of rule {position} must be an array for {op!r}.", rule=position)
        if op in ("gt", "lt") and _number(value) is None:
            raise ValidationFailed(f"The 'value' of rule {position} must be a number for {op!r}.", rule=position)
        return cls(parse_dotted(field), op, value)

    @classmethod
    def parse_all(cls, rules: Sequence[Value]) -> list["Rule"]:
        """Return all rules. Raises ValidationFailed."""
        if len(rules) > MAX_RULES:
            raise ValidationFailed(f"There can be at most {MAX_RULES} rules.", count=len(rules))
        return [cls.parse(position, rule) for position, rule in enumerate(rules)]

    def holds(self, document: State) -> bool:
        """Return whether ``document`` satisfies the rule; types never coerce."""
        return OPERATORS[self.op](lookup(document, self.path), self.value)


def check_unprotected(rules: Iterable[Rule], places: Places) -> None:
    """Raise FieldProtected for a rule on a protected field, or on a part of one."""
    for rule in rules:
        if places.covering(rule.path):
            raise FieldProtected(format_dotted(rule.path))


def matches(rules: Iterable[Rule], document: State) -> bool:
    """Return whether ``document`` satisfies every rule."""
    return document is not MISSING and all(rule.holds(document) for rule in rules)
