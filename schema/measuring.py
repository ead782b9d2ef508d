"""How large an operation is, fragments counted as often as they are spread: one pass over the document.

Each fragment is measured once, after those it spreads, so a document in which every fragment spreads the next one
twice takes no longer than any other of its length.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from graphql import (
    DirectiveNode,
    FieldNode,
    FragmentSpreadNode,
    GraphQLNamedType,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
)

from app.domain.paging import DEFAULT_LIMIT, MAX_LIMIT
from app.domain.values import Value
from schema.field_facts import FieldFacts, SchemaFacts
from schema.fragments import Fragments
from schema.input_lists import longest_argument

_MOST: Final = 10**12
# There are far fewer fields and arguments than the sizes assumed multiply to, and they are at hand.
_META_VALUES_PER_UNIT: Final = 300


@dataclass(slots=True)
class Amount:
    """``fixed``, and ``each`` for every item of the page around it, whose size a fragment does not know."""

    fixed: int = 0
    each: int = 0

    def add(self, fixed: int, each: int = 0) -> None:
        """Count more; far beyond every limit it makes no difference how much."""
        self.fixed = min(_MOST, self.fixed + fixed)
        self.each = min(_MOST, self.each + each)

    def of(self, page: int) -> int:
        """Return the amount where the page has that size."""
        return self.fixed + self.each * page


@dataclass(slots=True)
class Measure:
    """The size of a selection set.

    ``fields`` are those of its own level, ``meta_*`` is of introspection, ``least`` are the units of an answer whose
    pages and lists are empty.
    """

    depth: int = 0
    tree_depth: int = 0
    meta_depth: int = 0
    meta_lists: int = 0
    longest_list: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0
    once: int = 0
    meta_values: int = 0
    meta: int = 0
    least: int = 0
    units: Amount = field(default_factory=Amount)
    nodes: Amount = field(default_factory=Amount)

    def take_in(self, other: "Measure") -> None:
        """Count what all levels of ``other`` have in common with this one."""
        self.meta_lists = max(self.meta_lists, other.meta_lists)
        self.longest_list = max(self.longest_list, other.longest_list)
        self.aliases = min(_MOST, self.aliases + other.aliases)
        self.directives = min(_MOST, self.directives + other.directives)
        self.once = min(_MOST, self.once + other.once)
        self.meta_values = min(_MOST, self.meta_values + other.meta_values)
        self.meta = min(_MOST, self.meta + other.meta)

    def spread(self, other: "Measure") -> None:
        """Count a fragment as if it stood here itself."""
        self.take_in(other)
        self.depth = max(self.depth, other.depth)
        self.tree_depth = max(self.tree_depth, other.tree_depth)
        self.meta_depth = max(self.meta_depth, other.meta_depth)
        self.fields = min(_MOST, self.fields + other.fields)
        self.least = min(_MOST, self.least + other.least)
        self.units.add(other.units.fixed, other.units.each)
        self.nodes.add(other.nodes.fixed, other.nodes.each)


class Ruler:
    """Measures the operations of one document. ``variables`` are as the caller sent them."""

    def __init__(
        self, facts: SchemaFacts, fragments: Fragments, variables: Mapping[str, Value], defaults: Mapping[str, Value]
    ) -> None:
        self._facts = facts
        self._variables = {**defaults, **variables}
        self._fragments: dict[str, Measure] = {}
        for fragment in fragments.in_order:
            of = facts.schema.get_type(fragment.type_condition.name.value)
            measure = self._selections(fragment.selection_set, of)
            measure.directives += len(fragment.directives or ())
            self._fragments[fragment.name.value] = measure

    def operation(self, node: OperationDefinitionNode) -> Measure:
        """Return the size of an operation."""
        measure = self._selections(node.selection_set, self._facts.schema.get_root_type(node.operation))
        given = [directive for variable in node.variable_definitions or () for directive in variable.directives or ()]
        measure.directives += len(node.directives or ()) + len(given)
        return measure

    def _selections(self, node: SelectionSetNode, parent: GraphQLNamedType | None) -> Measure:
        measure = Measure()
        for selection in node.selections:
            self._selection(measure, selection, parent)
        return measure

    def _selection(self, measure: Measure, node: SelectionNode, parent: GraphQLNamedType | None) -> None:
        measure.directives += len(node.directives or ())
        if node.directives:
            measure.longest_list = max(measure.longest_list, self._longest_in(node.directives))
        if isinstance(node, FieldNode):
            self._field(measure, node, self._facts.field(parent, node.name.value))
        elif isinstance(node, InlineFragmentNode):
            of = node.type_condition
            inside = self._facts.schema.get_type(of.name.value) if of else parent
            measure.spread(self._selections(node.selection_set, inside))
        elif isinstance(node, FragmentSpreadNode):
            found = self._fragments.get(node.name.value)
            if found is not None:
                measure.spread(found)

    def _field(self, measure: Measure, node: FieldNode, facts: FieldFacts) -> None:
        below = self._selections(node.selection_set, facts.type) if node.selection_set else Measure()
        measure.take_in(below)
        measure.fields += 1
        measure.aliases += node.alias is not None
        measure.once += facts.once
        measure.longest_list = max(measure.longest_list, longest_argument(node, facts.definition))
        self._deepen(measure, below, facts)
        if facts.enters_meta:
            measure.meta += 1
            measure.meta_values = min(_MOST, measure.meta_values + below.units.fixed)
            units = facts.units + below.units.fixed // _META_VALUES_PER_UNIT
            measure.units.add(units)
            measure.least = min(_MOST, measure.least + units)
        else:
            self._count(measure, below, node, facts)

    @staticmethod
    def _deepen(measure: Measure, below: Measure, facts: FieldFacts) -> None:
        if facts.meta:
            measure.meta_depth = max(measure.meta_depth, below.meta_depth + 1)
            measure.meta_lists = max(measure.meta_lists, below.meta_lists + facts.meta_list)
            return
        measure.meta_depth = max(measure.meta_depth, below.meta_depth)
        measure.depth = max(measure.depth, below.depth + (not facts.tree))
        measure.tree_depth = max(measure.tree_depth, below.tree_depth + facts.tree)

    def _count(self, measure: Measure, below: Measure, node: FieldNode, facts: FieldFacts) -> None:
        measure.least += facts.units + (0 if facts.is_item or facts.size > 1 else below.least)
        if facts.is_item:
            measure.units.add(facts.units, 1 + below.units.of(DEFAULT_LIMIT))
            measure.nodes.add(0, facts.nodes + below.nodes.of(DEFAULT_LIMIT))
        elif facts.paged:
            page = self._page(node)
            measure.units.add(facts.units + below.units.of(page))
            measure.nodes.add(facts.nodes + below.nodes.of(page))
        elif facts.size > 1:
            size = self._named(node, facts.size)
            measure.units.add(facts.units + size * (1 + below.units.of(DEFAULT_LIMIT)))
            measure.nodes.add(size * (facts.nodes + below.nodes.of(DEFAULT_LIMIT)))
        else:
            measure.units.add(facts.units + below.units.fixed, below.units.each)
            measure.nodes.add(facts.nodes + below.nodes.fixed, below.nodes.each)

    def _page(self, node: FieldNode) -> int:
        """Return the size of the page that ``first`` asks for; the largest where that is not clear."""
        value = _argument(node, "first")
        if value is None or isinstance(value, NullValueNode):
            return DEFAULT_LIMIT
        if isinstance(value, IntValueNode):
            return max(0, min(MAX_LIMIT, int(value.value[:6])))
        given = self._variables.get(value.name.value, MAX_LIMIT) if isinstance(value, VariableNode) else MAX_LIMIT
        if given is None:
            return DEFAULT_LIMIT
        return max(0, min(MAX_LIMIT, given)) if isinstance(given, int) else MAX_LIMIT

    def _named(self, node: FieldNode, size: int) -> int:
        """Return how many things ``ids`` names, else ``size``."""
        value = _argument(node, "ids")
        if isinstance(value, ListValueNode):
            return len(value.values)
        given = self._variables.get(value.name.value) if isinstance(value, VariableNode) else None
        return len(given) if isinstance(given, list) else size

    def _longest_in(self, directives: Sequence[DirectiveNode]) -> int:
        return max(
            longest_argument(directive, self._facts.schema.get_directive(directive.name.value))
            for directive in directives
        )


def _argument(node: FieldNode, name: str) -> ValueNode | None:
    return next((argument.value for argument in node.arguments or () if argument.name.value == name), None)
