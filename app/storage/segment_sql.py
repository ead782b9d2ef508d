"""Targeting rules as a condition of SQL, for sets of users; ``app/domain/rules.py`` says the same in memory.

Nothing of a rule stands in the text: paths and values are parameters, all else is written here.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from app.domain.pointer import Path
from app.domain.rules import Combination, Condition, Group, Operator, Rule
from app.domain.values import Value, is_index
from app.storage.codec import dumps


@dataclass(frozen=True, slots=True)
class Compiled:
    """A condition that is never null, and what its parameters stand for."""

    sql: str
    parameters: list[object]


def compiled(rules: Iterable[Rule], document: str, first: int) -> Compiled:
    """Return the condition under which ``document``, an expression of type jsonb, satisfies all rules.

    Its parameters are numbered from ``first`` on.
    """
    compiler = _Compiler(document, first)
    sql = compiler.joined(rules, " AND ")
    return Compiled(sql, compiler.parameters)


@dataclass(slots=True)
class _Compiler:
    document: str
    first: int
    parameters: list[object] = field(default_factory=list)

    def parameter(self, value: object, sql_type: str) -> str:
        self.parameters.append(value)
        return f"${self.first + len(self.parameters) - 1}::{sql_type}"

    def json(self, value: Value) -> str:
        return self.parameter(dumps(value), "jsonb")

    def joined(self, rules: Iterable[Rule], by: str) -> str:
        return f"({by.join(map(self.rule, rules)) or 'true'})"

    def rule(self, rule: Rule) -> str:
        if isinstance(rule, Condition):
            return f"coalesce({_OPERATORS[rule.op](self, self.at(rule.path), rule.value)}, {_is_negative(rule.op)})"
        return self.group(rule)

    def group(self, group: Group) -> str:
        match group.combination:
            case Combination.ALL:
                return self.joined(group.rules, " AND ")
            case Combination.ANY:
                return self.joined(group.rules, " OR ")
            case Combination.NOT:
                return f"NOT {self.joined(group.rules, ' AND ')}"

    def at(self, path: Path) -> str:
        """Return what stands at a path, null where nothing does."""
        found = self.document
        for key in path:
            # ``#>`` goes into arrays, too, and takes more for a position than a path does; ``->`` is faster.
            step = self.parameter([key], "text[]") if is_index(key) else self.parameter(key, "text")
            found = f"({found} {'#>' if is_index(key) else '->'} {step})"
        return found


def _is_negative(op: Operator) -> str:
    return "true" if op in (Operator.NEQ, Operator.NOT_IN) else "false"


def _equal(compiler: _Compiler, found: str, value: Value) -> str:
    wanted = compiler.json(value)
    # To ``jsonb``, 1 and 1.0 are equal; their texts are not.
    digits = f" AND {found}::text = {wanted}::text" if _has_numbers(value) else ""
    return f"({found} = {wanted}{digits})"


def _has_numbers(value: Value) -> bool:
    return isinstance(value, list | dict) or (isinstance(value, int | Decimal) and not isinstance(value, bool))


def _listed(compiler: _Compiler, found: str, value: Value) -> str:
    return f"({found}::text IN (SELECT item::text FROM jsonb_array_elements({compiler.json(value)}) item))"


def _compared(sign: str) -> Callable[[_Compiler, str, Value], str]:
    def compare(compiler: _Compiler, found: str, value: Value) -> str:
        return f"(jsonb_typeof({found}) = 'number' AND {found} {sign} {compiler.json(value)})"

    return compare


def _contains(compiler: _Compiler, found: str, value: Value) -> str:
    holder = compiler.json([value])
    member = f"jsonb_typeof({found}) = 'array' AND {found} @> {holder}"
    if _has_numbers(value):
        items = f"CASE WHEN jsonb_typeof({found}) = 'array' THEN {found} ELSE '[]' END"
        member += (
            f" AND EXISTS (SELECT FROM jsonb_array_elements({items}) item WHERE item::text = ({holder} -> 0)::text)"
        )
    if not isinstance(value, str):
        return f"({member})"
    text = f"strpos({found} #>> '{{}}', {compiler.parameter(value, 'text')})"
    return f"(CASE jsonb_typeof({found}) WHEN 'string' THEN {text} > 0 ELSE {member} END)"


_OPERATORS: Final[Mapping[Operator, Callable[[_Compiler, str, Value], str]]] = {
    Operator.EQ: _equal,
    Operator.NEQ: lambda compiler, found, value: f"NOT {_equal(compiler, found, value)}",
    Operator.IN: _listed,
    Operator.NOT_IN: lambda compiler, found, value: f"NOT {_listed(compiler, found, value)}",
    Operator.GT: _compared(">"),
    Operator.LT: _compared("<"),
    Operator.CONTAINS: _contains,
}
