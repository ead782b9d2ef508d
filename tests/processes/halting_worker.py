"""``strata worker``, but for its pausing in the middle of each archiving, so that a kill finds it there."""

import asyncio
from uuid import UUID

from app.cli import main as strata
from app.storage import snapshots


def main() -> None:
    """Run ``strata`` with the pause built in."""
    removable_layers = snapshots.removable_layers

    async def slowly(project_id: int, env_uuid: UUID) -> int:
        removed = await removable_layers(project_id, env_uuid)
        await asyncio.sleep(0.1)
        return removed

    snapshots.removable_layers = slowly
    strata()


main()
