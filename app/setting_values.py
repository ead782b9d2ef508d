"""Reading the values of settings, each refused in words where it cannot be used."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from app.domain.client_address import Network, parse_networks
from app.domain.egress import Allowed
from app.domain.login_limits import LoginLimits
from app.domain.model import Plan
from app.domain.query_documents import parse_trusted
from app.domain.query_limits import Introspection, QueryLimits
from app.domain.rates import RateLimits
from app.domain.trusted_issuer import OWN_ISSUER, TrustedIssuer
from app.storage.master_key import parse as parse_master_key


class InvalidSetting(ValueError):
    """A ``STRATA_*`` variable has a value that cannot be used; the message names both."""


def integer(env: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    """Return a whole number between two bounds, the default without one. Raises InvalidSetting."""
    text = env.get(name)
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise InvalidSetting(f"{name} must be a whole number from {least} to {most}, not {text!r}.")
    return int(text)


def switch(env: Mapping[str, str], name: str, default: bool) -> bool:
    """Return whether something is on. Raises InvalidSetting."""
    text = env.get(name)
    if not text:
        return default
    if text.lower() not in ("on", "off"):
        raise InvalidSetting(f"{name} must be 'on' or 'off', not {text!r}.")
    return text.lower() == "on"


def plan(env: Mapping[str, str], default: Plan) -> Plan:
    """Return the plan of new projects. Raises InvalidSetting."""
    text = env.get("STRATA_DEFAULT_PLAN") or default
    try:
        return Plan(text)
    except ValueError:
        raise InvalidSetting(f"STRATA_DEFAULT_PLAN must be one of {', '.join(Plan)}, not {text!r}.") from None


def webhook_allow(env: Mapping[str, str]) -> Allowed:
    """Return where webhooks may go beside the public internet. Raises InvalidSetting."""
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


def worker(env: Mapping[str, str]) -> bool:
    """Return whether the server does background work, too. Raises InvalidSetting."""
    text = env.get("STRATA_WORKER") or "inside"
    if text not in ("inside", "apart"):
        raise InvalidSetting(f"STRATA_WORKER must be 'inside' or 'apart', not {text!r}.")
    return text == "inside"


def master_key(env: Mapping[str, str]) -> bytes | None:
    """Return the master key, if it is given here. Raises InvalidSetting."""
    text = env.get("STRATA_MASTER_KEY")
    if not text:
        return None
    try:
        return parse_master_key(text)
    except ValueError as error:
        raise InvalidSetting(f"STRATA_MASTER_KEY cannot be used: {error}.") from None


def login_limits(env: Mapping[str, str]) -> LoginLimits:
    """Return how many failed logins are borne. Raises InvalidSetting."""
    default = LoginLimits()
    return LoginLimits(
        per_minute=integer(env, "STRATA_LOGIN_FAILURES_PER_MINUTE", default.per_minute, 1, 1_000),
        per_hour=integer(env, "STRATA_LOGIN_FAILURES_PER_HOUR", default.per_hour, 1, 10_000),
        in_a_row=integer(env, "STRATA_LOGIN_FAILURES_IN_A_ROW", default.in_a_row, 1, 1_000),
        lock_seconds=integer(env, "STRATA_LOGIN_LOCK_SECONDS", default.lock_seconds, 1, 3_600),
    )


def trusted_issuer(env: Mapping[str, str]) -> TrustedIssuer | None:
    """Return the other issuer whose tokens are taken, if there is one. Raises InvalidSetting."""
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


def rate_limits(env: Mapping[str, str]) -> RateLimits | None:
    """Return the rates, None if they are off. Raises InvalidSetting."""
    text = (env.get("STRATA_RATE_LIMITS") or "on").lower()
    concurrent = integer(env, "STRATA_CONCURRENT_REQUESTS", RateLimits().concurrent, 1, 100_000)
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


def trusted_proxies(env: Mapping[str, str]) -> tuple[Network, ...]:
    """Return the proxies that are believed. Raises InvalidSetting."""
    try:
        return parse_networks(env.get("STRATA_TRUSTED_PROXIES") or "")
    except ValueError as error:
        raise InvalidSetting(f"STRATA_TRUSTED_PROXIES must be addresses and CIDRs: {error}.") from None


def query_limits(env: Mapping[str, str]) -> QueryLimits:
    """Return what a GraphQL operation may be made of. Raises InvalidSetting."""
    default = QueryLimits()
    names = [limit.name for limit in fields(QueryLimits)]
    given = {name: f"STRATA_GRAPHQL_{name.upper()}" for name in names}
    return QueryLimits(
        **{name: integer(env, variable, getattr(default, name), 1, 1 << 30) for name, variable in given.items()}
    )


def introspection(env: Mapping[str, str]) -> Introspection:
    """Return who may ask for the schema. Raises InvalidSetting."""
    text = env.get("STRATA_INTROSPECTION") or Introspection.ANYONE
    try:
        return Introspection(text)
    except ValueError:
        raise InvalidSetting(f"STRATA_INTROSPECTION must be one of {', '.join(Introspection)}, not {text!r}.") from None


def metrics_token(env: Mapping[str, str]) -> str | None:
    """Return the token that reading the metrics takes, if it takes one. Raises InvalidSetting."""
    text = env.get("STRATA_METRICS_TOKEN")
    if text and (len(text) < 16 or not text.isascii() or not text.isprintable()):
        raise InvalidSetting("STRATA_METRICS_TOKEN must be 16 printable characters at least.")
    return text or None


def tracing(env: Mapping[str, str]) -> bool:
    """Return whether OpenTelemetry has somewhere to send spans to."""
    asked = any(env.get(name) for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))
    return asked and env.get("OTEL_SDK_DISABLED", "").lower() != "true"
