"""Settings: what may stand there, what is there without a word, and that nothing else gets in."""

from dataclasses import fields
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import ValidationFailed
from app.domain.model import Role
from app.domain.project_settings import ProjectSettings
from app.domain.values import Value
from tests.strategies import documents

NAMES = [each.name for each in fields(ProjectSettings)]


def test_the_defaults() -> None:
    assert ProjectSettings().to_json() == {
        "auto_generation_approval_mode": "off",
        "auto_generation_approval_min_count": 1,
        "auto_generation_approval_min_percent": 50,
        "auto_checkpoint_before_promote": False,
        "require_gates_passed_on_promote": False,
        "auto_promote_on_all_pass": False,
        "auto_promote_strategy": "immediate",
        "direct_prod_roles": ["owner", "admin", "editor"],
        "canary_auto_route": False,
        "canary_error_rate_threshold": None,
        "canary_p99_latency_ms_threshold": None,
        "canary_watchdog_interval_seconds": 60,
    }


GOOD: list[tuple[str, Value]] = [
    *(("auto_generation_approval_mode", mode) for mode in "off at_least_one min_count min_percent manual_only".split()),
    ("auto_generation_approval_min_count", 100),
    ("auto_generation_approval_min_percent", 1),
    ("auto_generation_approval_min_percent", 100),
    ("auto_checkpoint_before_promote", True),
    *(("auto_promote_strategy", strategy) for strategy in "immediate canary blue_green".split()),
    ("direct_prod_roles", []),
    ("direct_prod_roles", ["owner"]),
    ("canary_error_rate_threshold", 0),
    ("canary_error_rate_threshold", Decimal("0.999")),
    ("canary_error_rate_threshold", Decimal("0.05")),
    ("canary_p99_latency_ms_threshold", Decimal("0.5")),
    ("canary_p99_latency_ms_threshold", 600_000),
    ("canary_watchdog_interval_seconds", 5),
    ("canary_watchdog_interval_seconds", 3600),
]
BAD: list[tuple[str, Value]] = [
    ("auto_generation_approval_mode", "on"),
    ("auto_generation_approval_mode", None),
    ("auto_generation_approval_min_count", 0),
    ("auto_generation_approval_min_count", 101),
    ("auto_generation_approval_min_count", True),
    ("auto_generation_approval_min_count", Decimal("1.0")),
    ("auto_generation_approval_min_percent", 101),
    ("auto_checkpoint_before_promote", 1),
    ("auto_checkpoint_before_promote", None),
    ("auto_promote_strategy", ["canary"]),
    ("direct_prod_roles", ["viewer"]),
    ("direct_prod_roles", "owner"),
    ("direct_prod_roles", [["owner"]]),
    ("direct_prod_roles", None),
    ("canary_error_rate_threshold", 1),
    ("canary_error_rate_threshold", -1),
    ("canary_error_rate_threshold", True),
    ("canary_p99_latency_ms_threshold", 0),
    ("canary_p99_latency_ms_threshold", 600_001),
    ("canary_watchdog_interval_seconds", 4),
    ("canary_watchdog_interval_seconds", 3601),
    ("canary_watchdog_interval", 60),
    ("", 1),
]


@pytest.mark.parametrize(("name", "value"), GOOD)
def test_what_may_stand_there(name: str, value: Value) -> None:
    changed = ProjectSettings().changed({name: value})
    assert changed.to_json() == {**ProjectSettings().to_json(), name: value}
    assert ProjectSettings.of(changed.to_json()) == changed


@pytest.mark.parametrize(("name", "value"), BAD)
def test_what_may_not(name: str, value: Value) -> None:
    with pytest.raises(ValidationFailed) as refusal:
        ProjectSettings().changed({name: value})
    assert refusal.value.fields["field"] == name


@given(st.dictionaries(st.sampled_from(NAMES), documents))
def test_what_is_stored_is_read_whatever_it_is(stored: dict[str, Value]) -> None:
    settings = ProjectSettings.of(stored)
    assert ProjectSettings.of(settings.to_json()) == settings
    assert settings.direct_prod_roles <= set(Role)


@given(documents)
def test_other_json_means_the_defaults(stored: Value) -> None:
    assert ProjectSettings.of(stored) == ProjectSettings()
