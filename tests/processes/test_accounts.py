"""Several server processes on one database: what one revokes, counts or replaces holds in all, within a second."""

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
import jwt
import pytest

from tests.conftest import Database
from tests.processes.served import Served, served, strata

PASSWORD = "correct horse"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def settings(database: Database) -> dict[str, str]:
    return {"STRATA_DATABASE_URL": database.app_dsn}


@pytest.fixture(scope="module")
def servers(settings: dict[str, str]) -> Iterator[tuple[Served, Served]]:
    """Two servers on the tests' database."""
    with served(settings) as one, served(settings) as two:
        yield one, two


@pytest.fixture
def email(servers: tuple[Served, Served]) -> str:
    email = f"{uuid4().hex}@example.com"
    body = {"email": email, "password": PASSWORD}
    servers[0].client().post("/api/auth/register", json=body).raise_for_status()
    return email


def log_in(server: Served, email: str, password: str = PASSWORD) -> httpx.Response:
    return server.client().post("/api/auth/login", json={"email": email, "password": password})


def is_let_in(client: httpx.Client, path: str = "/api/projects") -> bool:
    status = client.get(path).status_code
    assert status in (200, 401)
    return status == 200


def late_answers(client: httpx.Client, path: str, revoke: Callable[[], object]) -> list[float]:
    """Ask without pause while something is revoked; return how long after that answer each last Yes was asked for."""
    asked: list[tuple[float, bool]] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            began = time.monotonic()
            asked.append((began, is_let_in(client, path)))

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.7)
    revoke()
    revoked_at = time.monotonic()
    time.sleep(1.6)
    over.set()
    asking.join()
    assert asked[0][1]
    assert not asked[-1][1]
    return [began - revoked_at for began, let_in in asked if let_in and began > revoked_at]


def test_logging_out_holds_everywhere_within_a_second(servers: tuple[Served, Served], email: str) -> None:
    one, two = servers
    tokens = log_in(one, email).json()
    client = two.client(tokens["access_token"])
    out = one.client(tokens["access_token"])
    late = late_answers(client, "/api/projects", lambda: out.post("/api/auth/logout").raise_for_status())
    assert max(late, default=0) <= 1
    assert not is_let_in(one.client(tokens["access_token"]))
    refreshed = two.client().post("/api/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert refreshed.status_code == 401


def test_a_copied_refresh_token_ends_the_session_everywhere(servers: tuple[Served, Served], email: str) -> None:
    one, two = servers
    first = log_in(one, email).json()
    second = two.client().post("/api/auth/refresh", json={"refresh_token": first["refresh_token"]}).json()
    assert is_let_in(one.client(second["access_token"]))
    assert one.client().post("/api/auth/refresh", json={"refresh_token": first["refresh_token"]}).status_code == 401
    time.sleep(1)
    for server in servers:
        assert not is_let_in(server.client(second["access_token"]))
        body = {"refresh_token": second["refresh_token"]}
        assert server.client().post("/api/auth/refresh", json=body).status_code == 401


def test_a_revoked_key_is_refused_everywhere_within_a_second(
    servers: tuple[Served, Served], settings: dict[str, str], email: str
) -> None:
    one, two = servers
    owner = one.client(log_in(one, email).json()["access_token"])
    project_id = owner.post("/api/projects", json={"name": "Shop"}).json()["id"]
    path = f"/api/projects/{project_id}"
    keys = f"{path}/api-keys"
    made = owner.post(keys, json={"name": "storefront", "scopes": ["read"]}).raise_for_status().json()
    late = late_answers(two.client(made["key"]), path, lambda: owner.delete(f"{keys}/{made['uuid']}"))
    assert max(late, default=0) <= 1
    options = ("--owner", email, "--scope", "read", "--days", "30", "--json")
    other = json.loads(strata(settings, "key", "create", str(project_id), "deploy", *options).stdout)
    client = two.client(other["key"])
    assert is_let_in(client, path)
    said = strata(settings, "key", "revoke", other["prefix"])
    assert (said.returncode, said.stdout) == (0, f"{other['prefix']} is revoked.\n")
    time.sleep(1)
    assert not is_let_in(client, path)
    listed = json.loads(strata(settings, "key", "list", str(project_id), "--json").stdout)
    assert [key["prefix"] for key in listed] == [other["prefix"], made["prefix"]]
    assert all(key["revoked_at"] and key["last_used_at"] for key in listed)
    assert other["key"] not in json.dumps(listed)


def test_the_signing_key_is_replaced_under_running_servers(
    servers: tuple[Served, Served], settings: dict[str, str], email: str
) -> None:
    one, two = servers
    tokens = log_in(one, email).json()
    old = tokens["access_token"]
    kid = json.loads(strata(settings, "key", "rotate", "--json").stdout)["kid"]
    deadline = time.monotonic() + 8
    token = old
    while jwt.get_unverified_header(token)["kid"] != kid:
        assert time.monotonic() < deadline
        answer = one.client().post("/api/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
        tokens = answer.raise_for_status().json()
        token = tokens["access_token"]
        assert is_let_in(two.client(token))
        assert is_let_in(two.client(old))
    said = strata(settings, "key", "rotate", "--at-once")
    assert said.returncode == 0
    time.sleep(1)
    for server in servers:
        assert not is_let_in(server.client(token))
        assert not is_let_in(server.client(old))
    tokens = two.client().post("/api/auth/refresh", json={"refresh_token": tokens["refresh_token"]}).json()
    assert is_let_in(one.client(tokens["access_token"]))


async def _age_failures(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute("UPDATE login_attempt SET started_at = started_at - interval '15 minutes'")
    await connection.close()


def test_failed_logins_are_counted_by_all_servers_together(
    servers: tuple[Served, Served], database: Database, email: str
) -> None:
    one, two = servers
    answers = [log_in(server, email, "wrong").status_code for server in (one, two, one, two, one)]
    assert answers == [401] * 5
    for server in servers:
        locked = log_in(server, email)
        assert (locked.status_code, locked.json()["error"]) == (429, "too_many_attempts")
        assert 800 < int(locked.headers["Retry-After"]) <= 900
    asyncio.run(_age_failures(database.app_dsn))
    assert log_in(two, email).status_code == 200


def test_a_master_key_is_made_beside_an_embedded_database_and_stays(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for parent in (tmp_path, *tmp_path.parents):
        if parent != Path("/tmp") and parent.is_relative_to("/tmp"):
            parent.chmod(0o755)
    settings = {"STRATA_DATA_DIR": str(folder)}
    command = ("account", "create", "ada@example.com", "--json")
    assert "will make a master key" in strata(settings, "doctor").stdout
    assert not (folder / "master.key").exists()
    assert strata(settings | {"STRATA_PASSWORD": PASSWORD}, *command).returncode == 0
    key_file = folder / "master.key"
    assert key_file.stat().st_mode & 0o777 == 0o600
    with served(settings) as server:
        token = log_in(server, "ada@example.com").json()["access_token"]
    with served(settings) as server:
        assert is_let_in(server.client(token))
        assert "The master key opens the database's signing keys (1)." in strata(settings, "doctor").stdout
    key_file.rename(folder / "lost")
    started = strata(settings, "serve", "--port", "0")
    assert (started.returncode, "is not the one" in started.stderr, "Traceback" in started.stderr) == (1, True, False)
    found = strata(settings, "doctor")
    assert (found.returncode, "strata key rotate --at-once" in found.stdout) == (1, True)
    assert strata(settings, "key", "rotate", "--at-once").returncode == 0
    assert strata(settings, "doctor").returncode == 0


def test_the_doctor_and_the_start_say_what_is_wrong_with_the_master_key(
    settings: dict[str, str], tmp_path: Path
) -> None:
    short = strata(settings | {"STRATA_MASTER_KEY": "00" * 31}, "serve", "--port", "0")
    assert (short.returncode, "STRATA_MASTER_KEY cannot be used" in short.stderr) == (1, True)
    other = strata(settings | {"STRATA_MASTER_KEY": os.urandom(32).hex()}, "serve", "--port", "0")
    assert (other.returncode, "is not the one" in other.stderr) == (1, True)
    in_config = settings | {"STRATA_MASTER_KEY": "", "XDG_CONFIG_HOME": str(tmp_path)}
    found = strata(in_config, "doctor")
    assert "warning  The first start will make a master key" in found.stdout
    assert "set STRATA_MASTER_KEY" in found.stdout
    assert list(tmp_path.iterdir()) == []
    assert strata(in_config, "project", "list").returncode == 0
    made = tmp_path / "strata" / "master.key"
    assert made.stat().st_mode & 0o777 == 0o600
    made.chmod(0o644)
    found = strata(in_config, "doctor")
    assert (found.returncode, "chmod 600" in found.stdout) == (1, True)
