"""A short name for a value: the same for equal values, digits and absence included."""

import json
from collections.abc import Iterable, Sequence
from hashlib import sha256

from app.domain.values import MISSING, State


def digest(states: Sequence[State]) -> str:
    """Return 64 hex digits that stand for ``states``, in their order."""
    summary = sha256()
    for part in _parts(states):
        summary.update(part.encode("utf-8", "surrogatepass"))
        summary.update(b"\0")
    return summary.hexdigest()


def _parts(states: Iterable[State]) -> Iterable[str]:
    for state in states:
        if state is MISSING:
            yield "-"
        elif isinstance(state, dict):
            yield f"o{len(state)}"
            for key in sorted(state):
                yield json.dumps(key)
                yield from _parts([state[key]])
        elif isinstance(state, list):
            yield f"a{len(state)}"
            yield from _parts(state)
        elif isinstance(state, str):
            yield json.dumps(state)
        else:
            yield repr(state)
