"""What commands leave behind: exit codes and errors, for people and for scripts."""

import json

import pytest

from tests.conftest import Database
from tests.processes.served import strata

NOWHERE = "postgresql://strata@127.0.0.1:1/strata"


@pytest.mark.parametrize(
    ("settings", "arguments", "code", "error"),
    [
        ({}, ("project", "set-plan", "999999", "pro"), 1, "project_not_found"),
        ({"STRATA_DATABASE_URL": NOWHERE}, ("project", "list"), 3, "database_unavailable"),
        ({}, ("restore", __file__), 1, "failed"),
    ],
)
def test_failures_have_a_code_and_words(
    database: Database, settings: dict[str, str], arguments: tuple[str, ...], code: int, error: str
) -> None:
    done = strata({"STRATA_DATABASE_URL": database.app_dsn} | settings, *arguments, "--json")
    assert (done.returncode, done.stdout) == (code, "")
    assert json.loads(done.stderr)["error"] == error


def test_a_forgotten_password(database: Database) -> None:
    settings = {"STRATA_DATABASE_URL": database.app_dsn, "STRATA_PASSWORD": "correct horse"}
    email = "forgetful@example.com"
    assert strata(settings, "account", "create", email).returncode == 0
    done = strata(settings | {"STRATA_PASSWORD": "battery staple"}, "account", "password", email, "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"email": email})
