"""The database's clock, which all processes share."""

from datetime import datetime

from app.storage import db


async def now() -> datetime:
    """Return the time now, which goes on within a transaction."""
    moment: datetime = await db.fetchval("SELECT clock_timestamp()")
    return moment
