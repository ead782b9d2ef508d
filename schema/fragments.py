"""The fragments of a document in an order in which each comes after those it spreads."""

from collections.abc import Iterator

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    SelectionSetNode,
)


class Fragments:
    """The fragments of a document. Raises GraphQLError if they spread one another in a circle."""

    def __init__(self, document: DocumentNode) -> None:
        found = [node for node in document.definitions if isinstance(node, FragmentDefinitionNode)]
        self._known = {fragment.name.value: fragment for fragment in found}
        self._state: dict[str, bool] = {}
        self.in_order: list[FragmentDefinitionNode] = []
        for name in self._known:
            self._visit(name)

    def _visit(self, name: str) -> None:
        """Add the fragment after those it spreads; without recursion, for the chain may be long."""
        waiting = [(name, self._spreads(name))] if self._begin(name) else []
        while waiting:
            current, spreads = waiting[-1]
            following = next(spreads, None)
            if following is None:
                self._state[current] = True
                self.in_order.append(self._known[current])
                waiting.pop()
            elif self._begin(following):
                waiting.append((following, self._spreads(following)))

    def _begin(self, name: str) -> bool:
        done = self._state.get(name)
        if done is False:
            raise GraphQLError(f"The fragment '{name}' spreads itself.", self._known[name])
        if done is None and name in self._known:
            self._state[name] = False
            return True
        return False

    def _spreads(self, name: str) -> Iterator[str]:
        sets: list[SelectionSetNode] = [self._known[name].selection_set]
        while sets:
            for selection in sets.pop().selections:
                if isinstance(selection, FragmentSpreadNode):
                    yield selection.name.value
                elif isinstance(selection, FieldNode | InlineFragmentNode) and selection.selection_set:
                    sets.append(selection.selection_set)
