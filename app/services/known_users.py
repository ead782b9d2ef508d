"""Stored documents of users, as rules see them, for as long as their project does not change, or a second."""

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from app.domain.json_text import unstorable_text
from app.domain.model import USER_KIND
from app.domain.values import MISSING, State
from app.services.kept import TRUSTED_SECONDS
from app.storage import layers
from app.storage.layers import DocumentKey

MAX_REMEMBERED: Final = 4_000
# Larger ones are read each time: what is remembered stays within 64 MB of text.
_MAX_SIZE: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class _Stored:
    state: State
    version: int
    read_at: float


_remembered: OrderedDict[tuple[int, UUID, str], _Stored] = OrderedDict()


async def stored(project_id: int, generation_uuid: UUID, user: str, version: int) -> State:
    """Return the user's document in a generation as readers see it, MISSING if there is none.

    ``version`` is one of the project that the caller has seen within the last second: what was read then is good for
    as long as it is the last.
    """
    key = (project_id, generation_uuid, user)
    known = _remembered.get(key)
    now = time.monotonic()
    if known is not None and (known.version == version or now - known.read_at < TRUSTED_SECONDS):
        return known.state
    if unstorable_text(user):
        return MISSING
    stack = (await layers.stacks(project_id, [DocumentKey(generation_uuid, USER_KIND, user)]))[0]
    state = MISSING if stack is None else stack.seen
    size = 0 if stack is None else sum(len(layer.data or "") for layer in stack.layers)
    _remembered.pop(key, None)
    if size <= _MAX_SIZE:
        _remembered[key] = _Stored(state, version, now)
        if len(_remembered) > MAX_REMEMBERED:
            _remembered.popitem(last=False)
    return state
