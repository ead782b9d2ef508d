"""``strata worker``, but for its pausing in the middle of its steps, so that a kill finds it there."""

import asyncio
from uuid import UUID

from app.cli import main as strata
from app.storage import shadows, snapshots


def main() -> None:
    """Run ``strata`` with the pauses built in."""
    removable_layers, move_cursor, take_promise = snapshots.removable_layers, shadows.move_cursor, shadows.take_promise

    async def slowly(project_id: int, env_uuid: UUID) -> int:
        removed = await removable_layers(project_id, env_uuid)
        await asyncio.sleep(0.1)
        return removed

    async def move_slowly(project_id: int, env_uuid: UUID, version: int) -> None:
        await move_cursor(project_id, env_uuid, version)
        await asyncio.sleep(0.05)

    async def take_slowly(project_id: int) -> None:
        await take_promise(project_id)
        await asyncio.sleep(0.05)

    snapshots.removable_layers = slowly
    shadows.move_cursor = move_slowly
    shadows.take_promise = take_slowly
    strata()


main()
