"""Settings: wrong ones are refused in words, at start, and never shown."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from app.domain.query_limits import Introspection, QueryLimits
from app.domain.rates import RateLimits
from app.domain.trusted_issuer import TrustedIssuer
from app.settings import InvalidSetting, Settings

KEY = "8d5a0f6be1c94d7732a8f01b5c6e92d4417f3ab6580ce9d2137b64f8a05e9cd1"
ISSUER = {"STRATA_JWT_ISSUER": "https://id.example", "STRATA_JWT_AUDIENCE": "strata"}


@pytest.mark.parametrize("text", ["secret", KEY[:-2], "0" * 64, KEY + "00"])
def test_a_master_key_that_is_none(text: str) -> None:
    with pytest.raises(InvalidSetting, match="STRATA_MASTER_KEY") as caught:
        Settings.from_env({"STRATA_MASTER_KEY": text})
    assert text not in str(caught.value)


def test_the_master_key_is_not_shown() -> None:
    settings = Settings.from_env({"STRATA_MASTER_KEY": KEY})
    assert settings.master_key == bytes.fromhex(KEY)
    assert "master_key" not in repr(settings)


@pytest.mark.parametrize("seconds", ["0", "901", "86400", "-1", "15m"])
def test_access_tokens_live_for_a_quarter_of_an_hour_at_most(seconds: str) -> None:
    with pytest.raises(InvalidSetting, match="STRATA_TOKEN_SECONDS"):
        Settings.from_env({"STRATA_TOKEN_SECONDS": seconds})


@pytest.mark.parametrize(
    "url",
    [
        "https://id.example/keys",
        "https://id.example:8443/keys?tenant=1",
        "http://127.0.0.1:9000/keys",
        "http://[::1]:9000/keys",
        "http://localhost/keys",
    ],
)
def test_where_an_issuers_keys_may_be(url: str) -> None:
    settings = Settings.from_env({**ISSUER, "STRATA_JWKS_URL": url})
    assert settings.trusted_issuer == TrustedIssuer("https://id.example", "strata", url)


@pytest.mark.parametrize(
    "url",
    [
        "http://id.example/keys",
        "http://127.0.0.1.id.example/keys",
        "http://localhost.id.example/keys",
        "http://0.0.0.0/keys",
        "http://169.254.169.254/keys",
        "http://127.0.0.1@id.example/keys",
        "https://user:password@id.example/keys",
        "https:///keys",
        "https://",
        "https://id.example/keys#fragment",
        "https://id.example/a b",
        "https://id.example/a\r\nHost: x",
        "https://id.example:99999/keys",
        "ftp://id.example/keys",
        "file:///etc/passwd",
        "//id.example/keys",
        "keys",
    ],
)
def test_where_an_issuers_keys_may_not_be(url: str) -> None:
    with pytest.raises(InvalidSetting, match="STRATA_JWKS_URL"):
        Settings.from_env({**ISSUER, "STRATA_JWKS_URL": url})


def test_an_issuer_takes_three_settings_and_is_not_this_server() -> None:
    whole = {**ISSUER, "STRATA_JWKS_URL": "https://id.example/keys"}
    for name in whole:
        with pytest.raises(InvalidSetting, match="belong together"):
            Settings.from_env({other: value for other, value in whole.items() if other != name})
    with pytest.raises(InvalidSetting, match="this server itself"):
        Settings.from_env({**whole, "STRATA_JWT_ISSUER": "strata"})
    assert Settings.from_env({}).trusted_issuer is None


def test_rates() -> None:
    assert Settings.from_env({}).rate_limits == RateLimits()
    assert Settings.from_env({"STRATA_RATE_LIMITS": "off"}).rate_limits is None
    given = {"STRATA_RATE_LIMITS": "2.5", "STRATA_CONCURRENT_REQUESTS": "7"}
    assert Settings.from_env(given).rate_limits == RateLimits(2.5, 7)
    for text in ("no", "0", "-1", "nan", "inf", "1e9"):
        with pytest.raises(InvalidSetting, match="STRATA_RATE_LIMITS"):
            Settings.from_env({"STRATA_RATE_LIMITS": text})


def test_proxies() -> None:
    assert Settings.from_env({}).trusted_proxies == ()
    found = Settings.from_env({"STRATA_TRUSTED_PROXIES": "10.0.0.0/8, ::1"}).trusted_proxies
    assert [str(network) for network in found] == ["10.0.0.0/8", "::1/128"]
    for text in ("proxy", "10.0.0.1/8", "10.0.0.0/40", "*"):
        with pytest.raises(InvalidSetting, match="STRATA_TRUSTED_PROXIES"):
            Settings.from_env({"STRATA_TRUSTED_PROXIES": text})


def test_limits_of_queries() -> None:
    found = Settings.from_env({"STRATA_GRAPHQL_DEPTH": "5", "STRATA_INTROSPECTION": "callers"})
    assert found.query_limits == QueryLimits(depth=5)
    assert found.introspection is Introspection.CALLERS
    for name, text in (("STRATA_GRAPHQL_COST", "0"), ("STRATA_INTROSPECTION", "me")):
        with pytest.raises(InvalidSetting, match=name):
            Settings.from_env({name: text})


def test_switches_of_the_graphql_door() -> None:
    found = Settings.from_env({})
    assert (found.graphiql, found.get_queries, found.suggestions) == (True, True, False)
    found = Settings.from_env({"STRATA_GRAPHIQL": "off", "STRATA_GET_QUERIES": "OFF", "STRATA_SUGGESTIONS": "on"})
    assert (found.graphiql, found.get_queries, found.suggestions) == (False, False, True)
    for name in ("STRATA_GRAPHIQL", "STRATA_GET_QUERIES", "STRATA_SUGGESTIONS"):
        with pytest.raises(InvalidSetting, match=name):
            Settings.from_env({name: "yes"})


def test_hardened_is_the_strictest_of_each_switch() -> None:
    loose = {"STRATA_SUGGESTIONS": "on", "STRATA_GRAPHIQL": "on", "STRATA_GET_QUERIES": "on"}
    found = Settings.from_env({**loose, "STRATA_HARDENED": "on"})
    assert (found.graphiql, found.get_queries, found.suggestions) == (False, False, False)
    assert found.introspection is Introspection.CALLERS
    stricter = Settings.from_env({"STRATA_HARDENED": "on", "STRATA_INTROSPECTION": "nobody"})
    assert stricter.introspection is Introspection.NOBODY
    assert not Settings.from_env({}).hardened


README = Path(__file__).parent.parent / "README.md"
APP = README.parent / "app"
ROW = re.compile(r"^\| (`(?:STRATA|OTEL)_[^|]+) \| ([^|]+) \| [^|]+ \|$", re.MULTILINE)


def _documented() -> dict[str, str]:
    """Each setting of the README's table with its default; ``_X`` after a name is another with its beginning."""
    found: dict[str, str] = {}
    known = _known()
    for names, default in ROW.findall(README.read_text()):
        row = re.findall(r"`([A-Z_]+)`", names)
        defaults = re.findall(r"`([^`]*)`", default) or [default.strip()]
        for number, name in enumerate(row):
            whole = name if not name.startswith("_") else _whole(row[0], name, known)
            found[whole] = defaults[number] if len(defaults) == len(row) else default.strip()
    return found


def _whole(first: str, end: str, known: set[str]) -> str:
    parts = first.split("_")
    return next(whole for n in range(len(parts), 0, -1) if (whole := "_".join(parts[:n]) + end) in known)


def _known() -> set[str]:
    """Each variable that the program names, those of GraphQL's limits included."""
    texts = [path.read_text() for path in APP.rglob("*.py")]
    named = {name for text in texts for name in re.findall(r"\b(?:STRATA|OTEL_EXPORTER)_[A-Z_]*[A-Z]\b", text)}
    return named | {f"STRATA_GRAPHQL_{limit.name.upper()}" for limit in fields(QueryLimits)}


def test_the_readme_lists_every_setting() -> None:
    # Of the last two one is for the command line's passwords, the other for the tests' own database.
    assert set(_documented()) == _known() - {"STRATA_PASSWORD", "STRATA_TEST_FAST_PG"}


def test_the_readme_says_the_defaults() -> None:
    source = (APP / "settings.py").read_text()
    names = re.findall(r'^    (\w+): [^\n]+\n    """``((?:STRATA|OTEL)_\w+)``:', source, re.MULTILINE)
    assert len(names) > 20
    documented, default = _documented(), Settings()
    for field, name in names:
        value = getattr(default, field)
        if isinstance(value, bool):
            value = {True: "on", False: "off"}[value] if name != "STRATA_WORKER" else "inside"
        if isinstance(value, int | str):
            assert documented[name] in (str(value), "none"), name
