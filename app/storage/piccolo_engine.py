"""Piccolo's engine without its work at import."""

from piccolo.engine.postgres import PostgresEngine


class LazyPostgresEngine(PostgresEngine):
    """Connects when first asked to: the stock engine asks the server for its version when it is made."""

    async def check_version(self) -> None:
        """Leave the check to ``app.storage.migrations``, which knows the oldest supported version."""
