"""Refuses operations that are too large before anything is done for them, and lets the caller pay for all others.

It runs before the library's rules, of which some take time that doubles with each fragment.
"""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Final

from graphql import (
    ASTValidationRule,
    DocumentNode,
    GraphQLError,
    OperationDefinitionNode,
    OverlappingFieldsCanBeMergedRule,
    ValidationContext,
    ValueNode,
    validate,
    value_from_ast_untyped,
)
from graphql import ExecutionResult as GraphQLExecutionResult
from strawberry.extensions import SchemaExtension
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule
from strawberry.types import ExecutionResult

from app.domain.errors import DomainError
from app.domain.query_limits import Introspection, IntrospectionDisabled, QueryLimitExceeded, QueryLimits
from app.domain.values import Value
from schema.context import Context
from schema.errors import presented
from schema.field_facts import UNITS_PER_POINT, SchemaFacts
from schema.fragments import Fragments
from schema.input_lists import longest_variable
from schema.measuring import Measure, Ruler

# Steps in which the library compares fields of the same name, which it does in pairs.
_COMPARISONS: Final = 10_000
_ABORTED: Final = "Validation aborted."
# Each may quote what it is about.
_MAX_ERRORS: Final = 10
_META_DEPTH: Final = 20
_META_LISTS: Final = 2
# Half as much again as tools ask for, whose queries are all alike.
_META_VALUES_PER_TYPE: Final = 1_500
_MOST_COUNTED: Final = 1_000_000
_tokens: Final = re.compile(
    r'"""(?:[^"\\]|\\[\s\S]|"(?!""))*(?:"""|\Z)'
    r'|"(?:[^"\\\n\r]|\\.)*"?'
    r"|#[^\n\r]*|\.\.\.|[_A-Za-z][_A-Za-z0-9]*|-?[0-9][-+.0-9eE]*|[^\s,\ufeff]"
).finditer


class _BoundedOverlaps(OverlappingFieldsCanBeMergedRule):
    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self.rule_context.remaining_complexity_budget = _COMPARISONS


@dataclass(frozen=True, slots=True)
class Rules:
    """What operations are held against: the limits, who may introspect, and what is known of the schema's fields.

    ``suggestions`` says whether the library's rules name what may have been meant.
    """

    limits: QueryLimits
    introspection: Introspection
    facts: SchemaFacts
    suggestions: bool = False


class Guard(SchemaExtension):
    """Holds one operation against the rules. An instance serves one operation."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._paid = self._least = 1

    def on_operation(self) -> Iterator[None]:
        """Look at the text before it is parsed."""
        limits, context = self._rules.limits, self.execution_context.context
        try:
            check_text(self.execution_context.query or "", limits)
        except DomainError as refusal:
            request_id = context.request_id if isinstance(context, Context) else ""
            raise presented(GraphQLError(refusal.message, original_error=refusal), request_id) from None
        self.execution_context.parse_options["max_tokens"] = limits.tokens
        yield
        self._correct()

    async def on_validate(self) -> AsyncIterator[None]:
        """Look at what was parsed, then let the library's rules do so."""
        found = self.execution_context
        assert found.graphql_document is not None
        try:
            self._measure(found.graphql_document)
            if isinstance(found.context, Context):
                await found.context.charge(self._paid)
        except DomainError as refusal:
            found.pre_execution_errors = [GraphQLError(refusal.message, original_error=refusal)]
        except GraphQLError as error:
            found.pre_execution_errors = [error]
        else:
            found.pre_execution_errors = self._validate(found.graphql_document)
        yield

    def _validate(self, document: DocumentNode) -> list[GraphQLError]:
        rules = self.execution_context.validation_rules
        errors = validate(
            self._rules.facts.schema,
            document,
            (*map(_bounded, rules), MaybeNullValidationRule, OneOfInputValidationRule),
            max_errors=_MAX_ERRORS,
            hide_suggestions=not self._rules.suggestions,
        )
        if errors and errors[-1].message == _ABORTED:
            refusal = QueryLimitExceeded("pairs of fields with one name", "comparisons", _COMPARISONS)
            errors[-1] = GraphQLError(refusal.message, original_error=refusal)
        return errors

    def _measure(self, document: DocumentNode) -> None:
        """Find out what the operation costs. Raises QueryLimitExceeded, IntrospectionDisabled, GraphQLError."""
        found, rules = self.execution_context, self._rules
        operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
        variables = found.variables or {}
        ruler = Ruler(rules.facts, Fragments(document), variables, _defaults(operations))
        for operation in operations:
            measure = ruler.operation(operation)
            measure.longest_list = max(measure.longest_list, longest_variable(rules.facts.schema, operation, variables))
            cost = ceil(measure.units.fixed / UNITS_PER_POINT)
            check(measure, cost, rules.limits, len(rules.facts.schema.type_map) * _META_VALUES_PER_TYPE)
            if measure.meta and not self._may_introspect():
                raise IntrospectionDisabled
            if operation.name is None or operation.name.value == found.operation_name:
                self._paid, self._least = max(1, cost), measure.least

    def _correct(self) -> None:
        """Say what it cost in the end: pages may be shorter than was asked for, the tree larger than one path."""
        context, result = self.execution_context.context, self.execution_context.result
        data = result.data if isinstance(result, ExecutionResult | GraphQLExecutionResult) else None
        if isinstance(context, Context) and data:
            walked = context.loaders.walked > 0
            most = _MOST_COUNTED if walked else self._paid * UNITS_PER_POINT
            points = ceil((self._least + count_values(data, most)) / UNITS_PER_POINT)
            context.correct(points if walked else min(points, self._paid))

    def _may_introspect(self) -> bool:
        if self._rules.introspection is Introspection.CALLERS:
            context = self.execution_context.context
            return isinstance(context, Context) and context.caller is not None
        return self._rules.introspection is Introspection.ANYONE


def check_text(query: str, limits: QueryLimits) -> None:
    """Let a document pass, or raise QueryLimitExceeded."""
    if len(query) > limits.max_bytes or len(query.encode(errors="surrogatepass")) > limits.max_bytes:
        raise QueryLimitExceeded("bytes of the document", "max_bytes", limits.max_bytes)
    for number, _ in enumerate(_tokens(query)):
        if number >= limits.tokens:
            raise QueryLimitExceeded("tokens, comments included", "tokens", limits.tokens)


def check(measure: Measure, cost: int, limits: QueryLimits, meta_values: int) -> None:
    """Let an operation of this size pass, or raise QueryLimitExceeded."""
    found: list[tuple[int, int, str, str]] = [
        (measure.depth, limits.depth, "depth", "fields within one another"),
        (measure.tree_depth, limits.tree_depth, "tree_depth", "'children' and 'parent' within one another"),
        (measure.aliases, limits.aliases, "aliases", "aliases"),
        (measure.directives, limits.directives, "directives", "directives"),
        (measure.fields, limits.root_fields, "root_fields", "fields at its root"),
        (measure.longest_list, limits.input_items, "input_items", "items in a list of the input"),
        (measure.nodes.fixed, limits.nodes, "nodes", "objects that its pages may hold"),
        (cost, limits.cost, "cost", "cost in points"),
        (measure.once, 1, "secret_fields", "fields that compare a secret"),
        (measure.meta_depth, _META_DEPTH, "introspection", "introspection within one another"),
        (measure.meta_lists, _META_LISTS, "introspection", "lists of introspection within one another"),
        (measure.meta_values, meta_values, "introspection", "values of introspection"),
    ]
    for size, maximum, name, what in found:
        if size > maximum:
            raise QueryLimitExceeded(what, name, maximum)


def count_values(data: object, most: int) -> int:
    """Return how many values an answer holds; it stops counting at ``most``."""
    count, waiting = 0, [data]
    while waiting and count < most:
        value = waiting.pop()
        count += 1
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            count -= 1
            waiting.extend(value)
    return count


def _bounded(rule: type[ASTValidationRule]) -> type[ASTValidationRule]:
    return _BoundedOverlaps if rule is OverlappingFieldsCanBeMergedRule else rule


def _defaults(operations: list[OperationDefinitionNode]) -> Mapping[str, Value]:
    given: dict[str, ValueNode] = {
        variable.variable.name.value: variable.default_value
        for operation in operations
        for variable in operation.variable_definitions or ()
        if variable.default_value is not None
    }
    return {name: value_from_ast_untyped(node) for name, node in given.items()}
