"""The application: routes, errors, pool, and nothing that decides."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar

from app.services import documents, identity
from app.services.cache import MergeCache
from app.settings import Settings
from app.storage import db


def create_app(settings: Settings) -> Litestar:
    """Return the application on the database of ``settings``, which is migrated already."""

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        await db.open_pool(settings.database_url or "", settings.pool_size)
        try:
            await identity.keyring.load()
            documents.merge_cache = MergeCache(settings.cache_bytes)
            # What exists now lives as long as the process: the collector need not look at it again.
            gc.collect()
            gc.freeze()
            yield
        finally:
            await db.close_pool()

    return Litestar(route_handlers=[], lifespan=[lifespan], openapi_config=None)
