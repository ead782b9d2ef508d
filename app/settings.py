"""Settings: read once from the environment, wrong ones refused at start."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from app.domain.client_address import Network, parse_networks
from app.domain.egress import Allowed
from app.domain.login_limits import LoginLimits
from app.domain.model import Plan
from app.domain.query_documents import parse_trusted
from app.domain.query_limits import Introspection, QueryLimits
from app.domain.rates import RateLimits
from app.domain.trusted_issuer import OWN_ISSUER, TrustedIssuer
from app.storage import master_key


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

    master_key: bytes | None = field(default=None, repr=False)
    """``STRATA_MASTER_KEY``: 32 random bytes in base64 or hex. Without it, a file made at the first start."""

    token_seconds: int = 900
    """``STRATA_TOKEN_SECONDS``: life of an access token."""

    session_seconds: int = 30 * 86_400
    """``STRATA_SESSION_SECONDS``: how long refresh tokens carry on a login."""

    login_limits: LoginLimits = field(default_factory=LoginLimits)
    """``STRATA_LOGIN_FAILURES_PER_MINUTE``, ``…_PER_HOUR``: failed logins borne from one client address, and for one
    e-mail address. ``STRATA_LOGIN_FAILURES_IN_A_ROW``: how many lock one for the other, for
    ``STRATA_LOGIN_LOCK_SECONDS``."""

    trusted_issuer: TrustedIssuer | None = None
    """``STRATA_JWT_ISSUER``, ``STRATA_JWT_AUDIENCE``, ``STRATA_JWKS_URL``: another issuer whose JWTs are taken."""

    default_plan: Plan = Plan.PRO
    """``STRATA_DEFAULT_PLAN``: plan of a new project."""

    worker: bool = True
    """``STRATA_WORKER``: ``inside`` if the server does background work, too; ``apart`` if only 'strata worker' does."""
    rate_limits: RateLimits | None = field(default_factory=RateLimits)
    """``STRATA_RATE_LIMITS``: ``on``, ``off``, or a number that multiplies every rate.
    ``STRATA_CONCURRENT_REQUESTS``: how many requests of one project a server process answers at once."""

    trusted_proxies: tuple[Network, ...] = ()
    """``STRATA_TRUSTED_PROXIES``: addresses and CIDRs of the proxies that are believed in ``X-Forwarded-For``."""

    query_limits: QueryLimits = field(default_factory=QueryLimits)
    """``STRATA_GRAPHQL_MAX_BYTES``, ``…_TOKENS``, ``…_DEPTH``, ``…_TREE_DEPTH``, ``…_ALIASES``, ``…_DIRECTIVES``,
    ``…_ROOT_FIELDS``, ``…_COST``, ``…_NODES``, ``…_INPUT_ITEMS``: what a GraphQL operation may be made of."""

    introspection: Introspection = Introspection.ANYONE
    """``STRATA_INTROSPECTION``: who may ask for the GraphQL schema: ``anyone``, ``callers`` (with a token),
    ``nobody``."""

    suggestions: bool = False
    """``STRATA_SUGGESTIONS``: ``on`` if GraphQL errors name what may have been meant, telling parts of the schema."""

    graphiql: bool = True
    """``STRATA_GRAPHIQL``: ``off`` if browsers get no GraphiQL at ``/graphql``."""

    get_queries: bool = True
    """``STRATA_GET_QUERIES``: ``off`` if GraphQL operations come by POST alone."""

    trusted_documents: Mapping[str, str] | None = field(default=None, repr=False)
    """``STRATA_TRUSTED_DOCUMENTS``: file with the GraphQL documents, by id, that run; all do without it."""

    webhook_allow: Allowed = field(default_factory=Allowed)
    """``STRATA_WEBHOOK_ALLOW``: names, addresses and networks to which webhooks may go although they are not on the
    public internet, and by plain http; separated by commas."""

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
            master_key=_master_key(env),
            token_seconds=_integer(env, "STRATA_TOKEN_SECONDS", cls.token_seconds, 1, 900),
            session_seconds=_integer(env, "STRATA_SESSION_SECONDS", cls.session_seconds, 60, 365 * 86_400),
            login_limits=_login_limits(env),
            trusted_issuer=_trusted_issuer(env),
            default_plan=_plan(env),
            worker=_worker(env),
            rate_limits=_rate_limits(env),
            trusted_proxies=_trusted_proxies(env),
            query_limits=_query_limits(env),
            introspection=_introspection(env),
            suggestions=_switch(env, "STRATA_SUGGESTIONS", cls.suggestions),
            graphiql=_switch(env, "STRATA_GRAPHIQL", cls.graphiql),
            get_queries=_switch(env, "STRATA_GET_QUERIES", cls.get_queries),
            trusted_documents=read_trusted_documents(env.get("STRATA_TRUSTED_DOCUMENTS")),
            webhook_allow=_webhook_allow(env),
        )


def _integer(env: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = env.get(name)
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise InvalidSetting(f"{name} must be a whole number from {least} to {most}, not {text!r}.")
    return int(text)


def _switch(env: Mapping[str, str], name: str, default: bool) -> bool:
    text = env.get(name)
    if not text:
        return default
    if text.lower() not in ("on", "off"):
        raise InvalidSetting(f"{name} must be 'on' or 'off', not {text!r}.")
    return text.lower() == "on"


def _plan(env: Mapping[str, str]) -> Plan:
    text = env.get("STRATA_DEFAULT_PLAN") or Settings.default_plan
    try:
        return Plan(text)
    except ValueError:
        raise InvalidSetting(f"STRATA_DEFAULT_PLAN must be one of {', '.join(Plan)}, not {text!r}.") from None


def _webhook_allow(env: Mapping[str, str]) -> Allowed:
    try:
        return Allowed.parse(env.get("STRATA_WEBHOOK_ALLOW") or "")
    except ValueError as error:
        raise InvalidSetting(f"STRATA_WEBHOOK_ALLOW cannot be used: {error}.") from None


def read_trusted_documents(file: str | None) -> Mapping[str, str] | None:
    """Return the documents that a file lists, None without one. Raises InvalidSetting."""
    if not file:
        return None
    try:
        return parse_trusted(Path(file).expanduser().read_bytes())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InvalidSetting(f"The trusted documents in {file} cannot be used: {reason}.") from None


def _worker(env: Mapping[str, str]) -> bool:
    text = env.get("STRATA_WORKER") or "inside"
    if text not in ("inside", "apart"):
        raise InvalidSetting(f"STRATA_WORKER must be 'inside' or 'apart', not {text!r}.")
    return text == "inside"


def _master_key(env: Mapping[str, str]) -> bytes | None:
    text = env.get("STRATA_MASTER_KEY")
    if not text:
        return None
    try:
        return master_key.parse(text)
    except ValueError as error:
        raise InvalidSetting(f"STRATA_MASTER_KEY cannot be used: {error}.") from None


def _login_limits(env: Mapping[str, str]) -> LoginLimits:
    default = LoginLimits()
    return LoginLimits(
        per_minute=_integer(env, "STRATA_LOGIN_FAILURES_PER_MINUTE", default.per_minute, 1, 1_000),
        per_hour=_integer(env, "STRATA_LOGIN_FAILURES_PER_HOUR", default.per_hour, 1, 10_000),
        in_a_row=_integer(env, "STRATA_LOGIN_FAILURES_IN_A_ROW", default.in_a_row, 1, 1_000),
        lock_seconds=_integer(env, "STRATA_LOGIN_LOCK_SECONDS", default.lock_seconds, 1, 3_600),
    )


def _trusted_issuer(env: Mapping[str, str]) -> TrustedIssuer | None:
    names = ("STRATA_JWT_ISSUER", "STRATA_JWT_AUDIENCE", "STRATA_JWKS_URL")
    given = [env.get(name) or "" for name in names]
    if not any(given):
        return None
    if not all(given):
        raise InvalidSetting(f"{', '.join(names)} belong together; give all of them or none.")
    if given[0] == OWN_ISSUER:
        raise InvalidSetting(f"STRATA_JWT_ISSUER cannot be {OWN_ISSUER!r}: that is this server itself.")
    try:
        return TrustedIssuer(*given)
    except ValueError as error:
        raise InvalidSetting(f"STRATA_JWKS_URL cannot be used: {error}.") from None


def _rate_limits(env: Mapping[str, str]) -> RateLimits | None:
    text = (env.get("STRATA_RATE_LIMITS") or "on").lower()
    concurrent = _integer(env, "STRATA_CONCURRENT_REQUESTS", RateLimits().concurrent, 1, 100_000)
    if text == "off":
        return None
    if text == "on":
        return RateLimits(concurrent=concurrent)
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0.001 <= factor <= 1_000_000:
        raise InvalidSetting(f"STRATA_RATE_LIMITS must be 'on', 'off' or a number of times, not {text!r}.")
    return RateLimits(factor, concurrent)


def _trusted_proxies(env: Mapping[str, str]) -> tuple[Network, ...]:
    try:
        return parse_networks(env.get("STRATA_TRUSTED_PROXIES") or "")
    except ValueError as error:
        raise InvalidSetting(f"STRATA_TRUSTED_PROXIES must be addresses and CIDRs: {error}.") from None


def _query_limits(env: Mapping[str, str]) -> QueryLimits:
    default = QueryLimits()
    names = [limit.name for limit in fields(QueryLimits)]
    given = {name: f"STRATA_GRAPHQL_{name.upper()}" for name in names}
    return QueryLimits(
        **{name: _integer(env, variable, getattr(default, name), 1, 1 << 30) for name, variable in given.items()}
    )


def _introspection(env: Mapping[str, str]) -> Introspection:
    text = env.get("STRATA_INTROSPECTION") or Introspection.ANYONE
    try:
        return Introspection(text)
    except ValueError:
        raise InvalidSetting(f"STRATA_INTROSPECTION must be one of {', '.join(Introspection)}, not {text!r}.") from None
