"""Settings: read once from the environment, wrong ones refused at start."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.domain.model import Plan


class InvalidSetting(ValueError):
    """A ``STRATA_*`` variable has a value that cannot be used; the message names both."""


@dataclass(frozen=True)
class Settings:
    database_url: str | None = None
    """``STRATA_DATABASE_URL``: PostgreSQL 15 or newer. Without it the embedded PostgreSQL is used."""

    data_dir: Path | None = None
    """``STRATA_DATA_DIR``: folder of the embedded PostgreSQL. Default: a folder in the user's data directory."""

    host: str = "127.0.0.1"
    """``STRATA_HOST``: address to listen on."""

    port: int = 8000
    """``STRATA_PORT``: port to listen on."""

    pool_size: int = 10
    """``STRATA_POOL_SIZE``: database connections of one server process."""

    cache_bytes: int = 64 * 1024 * 1024
    """``STRATA_CACHE_BYTES``: memory for merged documents in one server process."""

    max_body_bytes: int = 1024 * 1024
    """``STRATA_MAX_BODY_BYTES``: largest request body; imports have a limit per line instead."""

    token_seconds: int = 900
    """``STRATA_TOKEN_SECONDS``: life of an access token."""

    default_plan: Plan = Plan.PRO
    """``STRATA_DEFAULT_PLAN``: plan of a new project."""

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> "Settings":
        """Return the settings of ``env``. Raises InvalidSetting."""
        data_dir = env.get("STRATA_DATA_DIR")
        return cls(
            database_url=env.get("STRATA_DATABASE_URL") or None,
            data_dir=Path(data_dir).expanduser() if data_dir else None,
            host=env.get("STRATA_HOST", cls.host),
            port=_integer(env, "STRATA_PORT", cls.port, 0, 65_535),
            pool_size=_integer(env, "STRATA_POOL_SIZE", cls.pool_size, 2, 1_000),
            cache_bytes=_integer(env, "STRATA_CACHE_BYTES", cls.cache_bytes, 0, 1 << 40),
            max_body_bytes=_integer(env, "STRATA_MAX_BODY_BYTES", cls.max_body_bytes, 1_024, 1 << 30),
            token_seconds=_integer(env, "STRATA_TOKEN_SECONDS", cls.token_seconds, 1, 86_400),
            default_plan=_plan(env),
        )


def _integer(env: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = env.get(name)
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise InvalidSetting(f"{name} must be a whole number from {least} to {most}, not {text!r}.")
    return int(text)


def _plan(env: Mapping[str, str]) -> Plan:
    text = env.get("STRATA_DEFAULT_PLAN") or Settings.default_plan
    try:
        return Plan(text)
    except ValueError:
        raise InvalidSetting(f"STRATA_DEFAULT_PLAN must be one of {', '.join(Plan)}, not {text!r}.") from None
