"""Targeting rules: parsed strictly, evaluated in memory (semantics §6, reference guide "Targeting Segments").

``app/storage/segment_sql.py`` says the same to PostgreSQL, for sets of users.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from app.domain.errors import DomainError, FieldProtected, InvalidPath, ValidationFailed
from app.domain.json_text import check_storable
from app.domain.pointer import Path, format_dotted, format_pointer, parse_dotted
from app.domain.protected import MARKER, Places
from app.domain.references import MARK
from app.domain.values import MISSING, State, Value, lookup, same

MAX_RULES: Final = 100
"""Conditions and groups of one list of rules, all levels together."""

MAX_DEPTH: Final = 8
"""Groups within groups."""


class Operator(StrEnum):
    EQ = "eq"
    NEQ = "neq"
    IN = "in"
    NOT_IN = "not_in"
    GT = "gt"
    LT = "lt"
    CONTAINS = "contains"


class Combination(StrEnum):
    """How a group puts its rules together: all hold, any holds, or the one does not."""

    ALL = "all"
    ANY = "any"
    NOT = "not"


def is_number(value: State) -> bool:
    """Return whether a value is a JSON number."""
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


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


_COMBINATIONS: Final = frozenset(item.value for item in Combination)


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison. A missing field makes a positive operator false, ``neq`` and ``not_in`` true."""

    path: Path
    op: Operator
    value: Value

    def holds(self, document: State) -> bool:
        """Return whether ``document`` satisfies it; types never coerce."""
        return OPERATORS[self.op](lookup(document, self.path), self.value)

    def to_json(self) -> Value:
        """Return it as rules are written."""
        return {"field": format_dotted(self.path), "op": self.op.value, "value": self.value}


@dataclass(frozen=True, slots=True)
class Group:
    """Rules put together; ``NOT`` has one."""

    combination: Combination
    rules: "tuple[Rule, ...]"

    def holds(self, document: State) -> bool:
        """Return whether ``document`` satisfies it."""
        results = (rule.holds(document) for rule in self.rules)
        if self.combination is Combination.ANY:
            return any(results)
        return all(results) if self.combination is Combination.ALL else not all(results)

    def to_json(self) -> Value:
        """Return it as rules are written."""
        rules = [rule.to_json() for rule in self.rules]
        return {self.combination.value: rules[0] if self.combination is Combination.NOT else rules}


Rule = Condition | Group


def matches(rules: Iterable[Rule], document: State) -> bool:
    """Return whether ``document`` satisfies every rule."""
    return document is not MISSING and all(rule.holds(document) for rule in rules)


def conditions(rules: Iterable[Rule]) -> Iterator[Condition]:
    """Return the comparisons of rules, groups taken apart."""
    for rule in rules:
        if isinstance(rule, Group):
            yield from conditions(rule.rules)
        else:
            yield rule


def check_unprotected(rules: Iterable[Rule], places: Places) -> None:
    """Raise FieldProtected for a rule on a protected field, on a part of one, or that says what is in one."""
    for condition in conditions(rules):
        if place := places.covering(condition.path):
            raise FieldProtected(format_dotted(place))
        listed = condition.op in (Operator.IN, Operator.NOT_IN)
        for value in condition.value if listed and isinstance(condition.value, list) else [condition.value]:
            places.visit_at(condition.path, value, _refuse)


def _refuse(place: Path, _: Value, __: bool) -> State:
    raise FieldProtected(format_dotted(place))


def without_values(rules: Value, places: Places) -> Value:
    """Return rules, as they are written, with markers for values that say what is in protected places."""
    if isinstance(rules, list):
        return [without_values(rule, places) for rule in rules]
    if not isinstance(rules, dict):
        return rules
    if "field" not in rules:
        return {key: without_values(rule, places) for key, rule in rules.items()}
    try:
        condition = Condition(parse_dotted(str(rules["field"])), Operator(str(rules["op"])), rules["value"])
        check_unprotected([condition], places)
    except FieldProtected:
        return {**rules, "value": MARKER}
    except (InvalidPath, KeyError, ValueError):
        return rules
    return rules


def parse_rules(value: Value, at: Path = ("rules",)) -> tuple[Rule, ...]:
    """Return the rules of a list; an empty one holds for every user.

    Raises ValidationFailed: ``path`` is the pointer to the mistake, below ``at``; ``rule`` the position in the list.
    """
    if not isinstance(value, list):
        raise _fault(at, "rules are an array")
    return _Parser(at).rules(value, at, 0)


class _Parser:
    """Reads one list of rules, and counts them."""

    def __init__(self, at: Path) -> None:
        self._at = at
        self._count = 0

    def rules(self, values: Sequence[Value], at: Path, depth: int) -> tuple[Rule, ...]:
        self._add(len(values))
        return tuple(self._rule(item, (*at, str(index)), depth) for index, item in enumerate(values))

    def _add(self, number: int) -> None:
        self._count += number
        if self._count > MAX_RULES:
            raise ValidationFailed(
                f"There can be at most {MAX_RULES} rules, groups and what is in them included.",
                path=format_pointer(self._at),
            )

    def _rule(self, value: Value, at: Path, depth: int) -> Rule:
        if isinstance(value, dict) and set(value) == {"field", "op", "value"}:
            return self._condition(value, at)
        if isinstance(value, dict) and len(value) == 1 and (key := next(iter(value))) in _COMBINATIONS:
            return self._group(Combination(key), value[key], (*at, key), depth + 1)
        raise self._wrong(at, "it is either an object of 'field', 'op' and 'value', or one of 'all', 'any' or 'not'")

    def _group(self, combination: Combination, value: Value, at: Path, depth: int) -> Group:
        if depth > MAX_DEPTH:
            raise self._wrong(at, f"groups are nested at most {MAX_DEPTH} deep")
        if combination is Combination.NOT:
            self._add(1)
            return Group(combination, (self._rule(value, at, depth),))
        if not isinstance(value, list) or not value:
            raise self._wrong(at, f"{combination.value!r} has an array of at least one rule")
        return Group(combination, self.rules(value, at, depth))

    def _condition(self, rule: Mapping[str, Value], at: Path) -> Condition:
        field, op, value = rule["field"], rule["op"], rule["value"]
        if not isinstance(op, str) or op not in OPERATORS:
            raise self._wrong((*at, "op"), f"'op' is one of {', '.join(OPERATORS)}")
        if op in (Operator.IN, Operator.NOT_IN) and not isinstance(value, list):
            raise self._wrong((*at, "value"), f"'value' is an array for {op!r}")
        if op in (Operator.GT, Operator.LT) and not is_number(value):
            raise self._wrong((*at, "value"), f"'value' is a number for {op!r}")
        path = self._path(field, (*at, "field"))
        self._check_value(value, (*at, "value"))
        return Condition(path, Operator(op), value)

    def _path(self, field: Value, at: Path) -> Path:
        if not isinstance(field, str) or not field:
            raise self._wrong(at, "'field' is a dotted path into the document")
        try:
            path = parse_dotted(field)
            check_storable(field)
        except InvalidPath as error:
            raise self._wrong(at, f"'field' cannot be read: {error.reason}") from None
        except DomainError:
            raise self._wrong(at, "'field' has characters that no document can have") from None
        if MARK in path:
            raise self._wrong(at, f"a field named {MARK!r} cannot be asked for")
        return path

    def _check_value(self, value: Value, at: Path) -> None:
        check_storable(value)
        if _mentions(value):
            raise self._wrong(at, f"a value with a member {MARK!r} cannot be asked for")

    def _wrong(self, at: Path, reason: str) -> ValidationFailed:
        return _fault(at, reason, rule=at[len(self._at)])


def _mentions(value: Value) -> bool:
    if isinstance(value, dict):
        return MARK in value or any(map(_mentions, value.values()))
    return isinstance(value, list) and any(map(_mentions, value))


def _fault(at: Path, reason: str, rule: str | None = None) -> ValidationFailed:
    position = {} if rule is None else {"rule": int(rule)}
    name = "The rules cannot be read" if rule is None else f"Rule {rule} cannot be read"
    return ValidationFailed(f"{name}: {reason}.", path=format_pointer(at), **position)
