"""Protected places of documents: what readers see there, and what is stored (semantics §7, §11.26).

A document as it is stored has a reference where a value is sealed. What readers see there is the marker
``{"$protected": true}``. References are data like any other to layers, patches and snapshots, so that each state keeps
the value that it had.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from typing import Final

from app.domain.errors import InvalidPath, ValidationFailed
from app.domain.globs import Patterns, advance, outermost, parse_glob
from app.domain.pointer import Path, format_pointer, parse_pointer
from app.domain.references import MARK, referred
from app.domain.values import MISSING, State, Value

MARKER: Final[dict[str, Value]] = {MARK: True}

Visit = Callable[[Path, Value, bool], State]
"""Given a place, what stands there, and whether it is protected (else it is a reference that is left of a glob taken
off the list), returns what is to stand there."""


def is_marker(value: State) -> bool:
    """Return whether ``value`` is what readers see of a sealed value."""
    return isinstance(value, dict) and len(value) == 1 and value.get(MARK) is True


@dataclass(frozen=True)
class Protection:
    """The list in force in one generation. Not ``active``: the project never had one, and has nothing sealed."""

    globs: tuple[str, ...]
    active: bool = True

    @cached_property
    def tag(self) -> str:
        """A part of the versions of documents, so that what is shown differently has another version."""
        return sha256("\n".join(self.globs).encode()).hexdigest()[:16] if self.globs else ""

    def of(self, kind: str) -> "Places":
        """Return what is protected in documents of a kind."""
        return _places(self, kind)

    def with_(self, globs: Iterable[str]) -> "Protection":
        """Return the protection of these globs, too."""
        more = set(globs) - set(self.globs)
        return protection((*self.globs, *more)) if more else self


@lru_cache(maxsize=1_024)
def _protection(globs: tuple[str, ...]) -> Protection:
    return Protection(globs)


def protection(globs: Iterable[str] | None) -> Protection:
    """Return the protection of globs; None: of a project that never had any."""
    return NOTHING_PROTECTED if globs is None else _protection(tuple(sorted(set(globs))))


NOTHING_PROTECTED: Final = Protection((), active=False)


@lru_cache(maxsize=4_096)
def _places(of: Protection, kind: str) -> "Places":
    patterns = []
    for text in of.globs:
        try:
            glob = parse_glob(text)
        except InvalidPath:
            continue
        if glob.kind in (None, kind):
            patterns.append(glob.pattern)
    return Places(tuple(patterns), of.active)


@dataclass(frozen=True, slots=True)
class Places:
    """The protected places of documents of one kind in one generation."""

    patterns: Patterns
    active: bool

    def covering(self, path: Path) -> Path | None:
        """Return the protected place that ``path`` is or lies in, or None."""
        return outermost(self.patterns, path) if self.patterns else None

    def found(self, state: State) -> list[Path]:
        """Return the protected places at which the document has something, sealed leftovers included."""
        if not self.active:
            return []
        paths: list[Path] = []

        def note(path: Path, value: Value, _: bool) -> State:
            paths.append(path)
            return value

        visit_state(state, self.patterns, (), note)
        return paths

    def check_outside(self, path: Path, value: Value, message: str) -> None:
        """Raise ValidationFailed with ``message`` if what stands at ``path`` is protected, or something in it."""

        def refuse(place: Path, _: Value, __: bool) -> State:
            raise ValidationFailed(message, path=format_pointer(place)[:200])

        if self.patterns:
            self.visit_at(path, value, refuse)

    def pointers(self, state: State) -> list[str]:
        """Return the places that ``found`` returns, as pointers."""
        return [format_pointer(path) for path in self.found(state)]

    def mask(self, state: State) -> State:
        """Return the document as readers see it."""
        return visit_state(state, self.patterns, (), _marked) if self.active else state

    def mask_below(self, path: Path, value: Value) -> Value:
        """Return what stands at ``path`` of a document as readers see it."""
        if not self.active:
            return value
        return masked if (masked := self.visit_at(path, value, _marked)) is not MISSING else None

    def mask_plain(self, path: Path, value: Value) -> Value:
        """Return what stands at ``path`` of a document with markers for what is not sealed; references stay."""

        def visit(_: Path, found: Value, __: bool) -> State:
            return found if referred(found) else MARKER

        masked = self.visit_at(path, value, visit) if self.patterns else value
        return None if masked is MISSING else masked

    def mask_flat(self, flat: Mapping[str, Value]) -> Mapping[str, Value]:
        """Return the flat form of a patch as readers see it."""
        return self.visit_flat(flat, _marked) if self.active else flat

    def visit_at(self, path: Path, value: Value, visit: Visit) -> State:
        """Return what stands at ``path``, in a protected place or around some, with ``visit`` applied."""
        patterns = self.patterns
        for length, key in enumerate(path, 1):
            patterns, hit = advance(patterns, key)
            if hit:
                return visit(path[:length], value, True)
        return visit(path, value, False) if referred(value) else visit_state(value, patterns, path, visit)

    def visit_flat(self, flat: Mapping[str, Value], visit: Visit) -> Mapping[str, Value]:
        """Return a flat patch with ``visit`` applied; what it says below a protected place, it says at it."""
        set_, unset = flat.get("set"), flat.get("unset")
        if not isinstance(set_, dict) or not isinstance(unset, list):
            return flat
        pieces: dict[Path, dict[str, Value]] = {}
        seen: dict[str, Value] = {}
        left: list[Value] = []
        for pointer, value in set_.items():
            path = parse_pointer(pointer)
            if place := self._around(path):
                pieces.setdefault(place, {})[format_pointer(path[len(place) :])] = value
            elif (shown := self.visit_at(path, value, visit)) is not MISSING:
                seen[pointer] = shown
        for removed in unset:
            if place := self._around(parse_pointer(str(removed))):
                pieces.setdefault(place, {})
            else:
                left.append(removed)
        shown_pieces = {format_pointer(place): visit(place, piece, True) for place, piece in pieces.items()}
        seen |= {pointer: shown for pointer, shown in shown_pieces.items() if shown is not MISSING}
        return {**flat, "set": seen, "unset": left}

    def _around(self, path: Path) -> Path | None:
        place = self.covering(path)
        return place if place != path else None


SEALED: Final = Places((), active=True)
"""For states that came out of layers: they have references wherever something is protected."""


def shown(state: State) -> State:
    """Return a state that came out of layers, as readers see it: with markers in the place of references."""
    return MARKER if referred(state) else visit_state(state, (), (), _marked)


def _marked(_: Path, __: Value, ___: bool) -> State:
    return MARKER


def visit_state(state: State, patterns: Patterns, path: Path, visit: Visit) -> State:
    """Return what stands at ``path``, below which ``patterns`` hold, with ``visit`` applied to each protected place."""
    if not isinstance(state, dict):
        return state
    changed: dict[str, Value] | None = None
    for key, item in state.items():
        following, hit = advance(patterns, key) if patterns else ((), False)
        if hit or referred(item):
            new = visit((*path, key), item, hit)
        elif isinstance(item, dict):
            new = visit_state(item, following, (*path, key), visit)
        else:
            continue
        if new is not item:
            changed = dict(state) if changed is None else changed
            if new is MISSING:
                del changed[key]
            else:
                changed[key] = new
    return state if changed is None else changed
