"""Laws: statements about all values. Each is tried alone on a few drawn values, and all together on many."""

import inspect
import os
from collections.abc import Callable
from typing import Any, Final

from hypothesis import given, settings
from hypothesis.strategies import SearchStrategy

FEW: Final = 200
MANY: Final = 4_000

Law = Callable[..., None]


class Laws:
    """Laws over values of the same strategies; a law takes those that its parameters name.

    Drawing costs more than checking, so the many are drawn once for all laws.
    """

    def __init__(self, **strategies: SearchStrategy[Any]) -> None:
        self._strategies = strategies
        self.all: list[Law] = []

    def law(self, statement: Law) -> Law:
        """Add a law: a function that asserts."""
        self.all.append(statement)
        return statement

    def try_one(self, law: Law) -> None:
        self._try([law], FEW)

    def try_all(self) -> None:
        self._try(self.all, MANY)

    def _try(self, laws: list[Law], examples: int) -> None:
        named = [(law, frozenset(inspect.signature(law).parameters)) for law in laws]
        needed = frozenset[str]().union(*(names for _, names in named))

        def check(**drawn: Any) -> None:
            for law, names in named:
                law(**{name: drawn[name] for name in names})

        # A failing example is shown as it is; a database of them would mix those of all laws.
        tried = settings(
            max_examples=examples, deadline=None, database=None, derandomize="CI" in os.environ, print_blob=False
        )
        tried(given(**{name: self._strategies[name] for name in sorted(needed)})(check))()


def name_of(law: Law) -> str:
    return law.__name__
