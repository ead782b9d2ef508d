"""Settings: read once from the environment, wrong ones refused at start."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from app import setting_values as values
from app.domain.client_address import Network
from app.domain.egress import Allowed
from app.domain.login_limits import LoginLimits
from app.domain.model import Plan
from app.domain.query_limits import Introspection, QueryLimits
from app.domain.rates import RateLimits
from app.domain.trusted_issuer import TrustedIssuer
from app.setting_values import InvalidSetting as InvalidSetting


@dataclass(frozen=True)
class Settings:
    database_url: str | None = None
    """``STRATA_DATABASE_URL``: PostgreSQL 15 or newer. Without it the embedded PostgreSQL is used."""

    direct_database_url: str | None = None
    """``STRATA_DIRECT_DATABASE_URL``: the same database without PgBouncer between, if ``STRATA_DATABASE_URL`` leads
    through one: for listening, jobs, migrations and backups. Then no session state is expected of the other."""

    read_database_url: str | None = None
    """``STRATA_READ_DATABASE_URL``: a read replica, which answers long looks back where it is up to date."""

    data_dir: Path | None = None
    """``STRATA_DATA_DIR``: folder of the embedded PostgreSQL. Default: a folder in the user's data directory."""

    host: str = "127.0.0.1"
    """``STRATA_HOST``: address to listen on."""

    port: int = 8000
    """``STRATA_PORT``: port to listen on."""

    workers: int = 1
    """``STRATA_WORKERS``: processes that serve, each with a pool and a cache of its own."""

    pool_size: int = 10
    """``STRATA_POOL_SIZE``: database connections of one server process."""

    pool_queue: int = 100
    """``STRATA_POOL_QUEUE``: how many may wait for a connection of one server process; others are refused (503)."""

    request_seconds: int = 10
    """``STRATA_REQUEST_SECONDS``: how long a request may take. Streams, imports and work known to be long
    have limits of their own."""

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

    metrics: bool = True
    """``STRATA_METRICS``: ``off`` if there is no ``/metrics``."""

    metrics_token: str | None = field(default=None, repr=False)
    """``STRATA_METRICS_TOKEN``: bearer token that reading ``/metrics`` takes, 16 characters at least."""

    tracing: bool = False
    """``OTEL_EXPORTER_OTLP_ENDPOINT`` or ``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT``: where spans go; other ``OTEL_*``
    variables are OpenTelemetry's own. Takes the extra ``strata[tracing]``."""

    access_log: bool = False
    """``STRATA_ACCESS_LOG``: ``on`` if each request is logged when it is answered."""

    hardened: bool = False
    """``STRATA_HARDENED``: ``on`` if nothing is offered that production does without; see ``hardened_form``."""

    webhook_allow: Allowed = field(default_factory=Allowed)
    """``STRATA_WEBHOOK_ALLOW``: names, addresses and networks to which webhooks may go although they are not on the
    public internet, and by plain http; separated by commas."""

    def hardened_form(self) -> "Settings":
        """Return these settings with the strictest value of each switch, and without what anybody may read."""
        introspection = self.introspection
        return replace(
            self,
            metrics=self.metrics and self.metrics_token is not None,
            hardened=True,
            graphiql=False,
            get_queries=False,
            suggestions=False,
            introspection=Introspection.CALLERS if introspection is Introspection.ANYONE else introspection,
        )

    @property
    def direct_url(self) -> str:
        """The address for connections that keep their session."""
        return self.direct_database_url or self.database_url or ""

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> "Settings":
        """Return the settings of ``env``. Raises InvalidSetting."""
        data_dir = env.get("STRATA_DATA_DIR")
        found = cls(
            database_url=env.get("STRATA_DATABASE_URL") or None,
            direct_database_url=env.get("STRATA_DIRECT_DATABASE_URL") or None,
            read_database_url=env.get("STRATA_READ_DATABASE_URL") or None,
            data_dir=Path(data_dir).expanduser() if data_dir else None,
            host=env.get("STRATA_HOST", cls.host),
            port=values.integer(env, "STRATA_PORT", cls.port, 0, 65_535),
            workers=values.integer(env, "STRATA_WORKERS", cls.workers, 1, 256),
            pool_size=values.integer(env, "STRATA_POOL_SIZE", cls.pool_size, 2, 1_000),
            pool_queue=values.integer(env, "STRATA_POOL_QUEUE", cls.pool_queue, 1, 100_000),
            request_seconds=values.integer(env, "STRATA_REQUEST_SECONDS", cls.request_seconds, 1, 3_600),
            cache_bytes=values.integer(env, "STRATA_CACHE_BYTES", cls.cache_bytes, 0, 1 << 40),
            max_body_bytes=values.integer(env, "STRATA_MAX_BODY_BYTES", cls.max_body_bytes, 1_024, 1 << 30),
            master_key=values.master_key(env),
            token_seconds=values.integer(env, "STRATA_TOKEN_SECONDS", cls.token_seconds, 1, 900),
            session_seconds=values.integer(env, "STRATA_SESSION_SECONDS", cls.session_seconds, 60, 365 * 86_400),
            login_limits=values.login_limits(env),
            trusted_issuer=values.trusted_issuer(env),
            default_plan=values.plan(env, cls.default_plan),
            worker=values.worker(env),
            rate_limits=values.rate_limits(env),
            trusted_proxies=values.trusted_proxies(env),
            query_limits=values.query_limits(env),
            introspection=values.introspection(env),
            suggestions=values.switch(env, "STRATA_SUGGESTIONS", cls.suggestions),
            graphiql=values.switch(env, "STRATA_GRAPHIQL", cls.graphiql),
            get_queries=values.switch(env, "STRATA_GET_QUERIES", cls.get_queries),
            trusted_documents=values.read_trusted_documents(env.get("STRATA_TRUSTED_DOCUMENTS")),
            metrics=values.switch(env, "STRATA_METRICS", cls.metrics),
            metrics_token=values.metrics_token(env),
            tracing=values.tracing(env),
            access_log=values.switch(env, "STRATA_ACCESS_LOG", cls.access_log),
            webhook_allow=values.webhook_allow(env),
        )
        return found.hardened_form() if values.switch(env, "STRATA_HARDENED", cls.hardened) else found
