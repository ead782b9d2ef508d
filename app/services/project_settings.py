"""The settings of projects, as every write to production asks for them."""

import time
from collections import OrderedDict
from typing import Final

from app.domain.project_settings import ProjectSettings
from app.storage import project_settings

TRUSTED_SECONDS: Final = 1.0
MAX_REMEMBERED: Final = 10_000

_remembered: OrderedDict[int, tuple[ProjectSettings, float]] = OrderedDict()


def forget(project_id: int) -> None:
    """Read the project's settings anew when they are asked for next; other processes do so within a second."""
    _remembered.pop(project_id, None)


async def of(project_id: int, *, fresh: bool = False) -> ProjectSettings:
    """Return the settings of a project, no older than a second."""
    known = _remembered.get(project_id)
    if known is not None and not fresh and time.monotonic() - known[1] < TRUSTED_SECONDS:
        return known[0]
    now = time.monotonic()
    settings = await project_settings.get(project_id)
    _remembered[project_id] = (settings, now)
    if len(_remembered) > MAX_REMEMBERED:
        _remembered.popitem(last=False)
    return settings
