"""Hypothesis strategies for what Strata holds: exact JSON values, states, patches and paths.

Documents are small and share their few keys, so that two of them overlap and values collide with objects.
Each is built from one draw of bytes: a draw per node makes ten thousand examples take minutes, not seconds.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from app.domain.patch import NOTHING, REMOVE, Patch, Replace
from app.domain.pointer import Path
from app.domain.values import MISSING, State, Value, canonical_number

T = TypeVar("T")

COMMON_KEYS: Final = ("a", "b", "aa", "a.b", "")
UNUSUAL_KEYS: Final = (
    *(".", "..", "\\", "\\.", "a\\", "/", "/a", "a/b", "~", "~0", "~1", "~01", '"', "'", "[0]", "0", "-", "-1"),
    *("__proto__", "constructor", "$protected", "é", "e\u0301", "Å", "A\u030a", "\U0001f600", " ", "\n", "\x7f"),
)
NOTABLE_SCALARS: Final[Sequence[Value]] = (
    *(None, True, False, 0, 1, -1, "", "a", "1", "null", "é", "e\u0301", "\u2028", "\U0010ffff", '\x01\\"/'),
    *(2**53, 2**53 + 1, -(2**63) - 1, 2**64, 10**308, int("9" * 309)),
    *map(Decimal, ("1.0", "1.1", "1.10", "0.0", "0.00", "-1.0", "0.1", "1E-7", "1E-400", "123456789012345678.9")),
)
_CHARACTERS: Final = "aZ0 .\\/~\"'\n\x1f\x7fßé\u0301\u200d\u2028\ud7ff\ue000\ufeff\uffff\U0001f600\U0010ffff"


class _Choices:
    """Spends drawn bytes on choices. The first option of each is the simplest; it is taken when none are left."""

    def __init__(self, drawn: bytes) -> None:
        self._left = iter(drawn)

    def number(self) -> int:
        return next(self._left, 0)

    def choose(self, options: Sequence[T]) -> T:
        return options[self.number() % len(options)]

    def text(self) -> str:
        return "".join(self.choose(_CHARACTERS) for _ in range(self.number() % 6))

    def integer(self) -> int:
        magnitude = int.from_bytes(bytes(self.number() for _ in range(self.number() % 12)))
        return self.choose((1, -1)) * magnitude

    def scalar(self) -> Value:
        match self.number() % 8:
            case 1:
                return self.text()
            case 2:
                return self.integer()
            case 3:
                return canonical_number(Decimal(self.integer()).scaleb(-1 - self.number() % 30))
        return self.choose(NOTABLE_SCALARS)

    def keys(self) -> list[str]:
        bits = self.number()
        keys = [key for position, key in enumerate(COMMON_KEYS) if bits >> position & 1]
        return [*keys, self.choose(UNUSUAL_KEYS)] if bits >= 192 else keys

    def value(self, depth: int) -> Value:
        match self.number() % 8 if depth else 0:
            case 3:
                return [self.value(depth - 1) for _ in range(self.number() % 3)]
            case 4 | 5 | 6 | 7:
                return self.document(depth)
        return self.scalar()

    def document(self, depth: int) -> dict[str, Value]:
        return {key: self.value(depth - 1) for key in self.keys()}

    def state(self) -> State:
        match self.number() % 16:
            case 1:
                return MISSING
            case 2 | 3:
                return self.value(3)
        return self.document(3)

    def patch(self) -> Patch:
        match self.number() % 16:
            case 0:
                return NOTHING
            case 1:
                return Replace(self.state())
        return self.merging(3)

    def merging(self, depth: int) -> Patch:
        return {key: self.part(depth - 1) for key in self.keys() or COMMON_KEYS[:1]}

    def part(self, depth: int) -> Patch:
        match self.number() % 4:
            case 0:
                return REMOVE
            case 1:
                return Replace(self.value(2))
        return self.merging(depth) if depth else Replace(self.scalar())

    def path(self) -> Path:
        kinds = (lambda: self.choose(COMMON_KEYS), lambda: self.choose(UNUSUAL_KEYS), self.text)
        return tuple(self.choose(kinds)() for _ in range(self.number() % 6))


def _built(build: Callable[[_Choices], T]) -> SearchStrategy[T]:
    # One size for all: Hypothesis tries the bytes of one draw for another, and would else find them unfit.
    return st.binary(min_size=48, max_size=48).map(lambda drawn: build(_Choices(drawn)))


values: Final = _built(lambda choices: choices.value(3))
"""Any JSON value, at most four containers deep."""

documents: Final = _built(lambda choices: choices.document(3))
states: Final = _built(_Choices.state)
patches: Final = _built(_Choices.patch)
"""Canonical patches: no part of one merges nothing, as none does that ``diff`` or ``from_json`` returns."""

paths: Final = _built(_Choices.path)


def document_of(drawn: bytes) -> dict[str, Value]:
    """Return the document that ``documents`` makes of 48 bytes, for programs that draw by themselves."""
    return _Choices(drawn).document(3)


def value_of(drawn: bytes) -> Value:
    """Return the value that ``values`` makes of 48 bytes."""
    return _Choices(drawn).value(3)
