"""The REST door against its own description: schemathesis with all its checks, 50 examples for each operation."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.domain.model import Actor, Plan, Project, Role
from app.services import identity, operator
from app.storage import members
from tests.conftest import Database, MakeActor
from tests.processes.served import Served, served

HERE = Path(__file__).parent
pytestmark = pytest.mark.slow

# What they answer does not end; tests/rest reads them.
ENDLESS = "^(/api/sandbox/events|/ofrep/v1/events)"
GROUPS = {
    "accounts": r"/api/(auth|invitations|projects(/\{project_id\}(/(api-keys|members|invitations).*)?)?$)",
    "documents": r"/api/projects/\{project_id\}/(data|entities|import|export)",
    "generations": r"/api/generations",
    "forks": r"/api/sandbox/(fork|environments|environment$|active|rollback|restore|tree|revert|rebase)",
    "snapshots": r"/api/sandbox/(checkpoint|pin|snapshot|backup)",
    "promotion": r"/api/sandbox/(promot|approve|validate|releases|freeze|canary|rollout)",
    "experiments": r"/api/sandbox/(ab-test|segment|explain)|/ofrep",
}
GROUPS["all else"] = f"(?!{'|'.join(GROUPS.values())})"


@pytest.fixture(scope="module")
def server(database: Database) -> Iterator[Served]:
    with served({"STRATA_DATABASE_URL": database.app_dsn}) as found:
        yield found


def _made(client: httpx.Client, address: str, body: Any) -> Any:
    answer = client.post(address, json=body)
    assert answer.is_success, answer.text
    return answer.json()


def _furnish(client: httpx.Client, project: Project) -> dict[str, list[Any]]:
    """Put some of everything into a project; return what names it, by the names of parameters."""
    here, sandbox = f"/api/projects/{project.id}", "/api/sandbox"
    client.put(f"{here}/data", json={"config": {"currency": "EUR", "protected_fields": ["config.secret"]}})
    for number in range(3):
        assert client.put(f"{here}/entities/user/u{number}", json={"age": number}).status_code == 201
    envs, checkpoints = [str(project.production_uuid)], []
    for number in range(6):
        name = f"env-{number}"
        fork = _made(client, f"{sandbox}/fork", {"source_project_id": project.id, "env_name": name})
        envs.append(fork["anchor_uuid"])
        client.patch(f"{here}/data", params={"env": name}, json={"config": {f"k{number}": number}})
        if number < 2:
            made = _made(client, f"{sandbox}/checkpoint", {"env_uuid": envs[-1]})
            checkpoints.append(made["checkpoint_uuid"])
    pinned = _made(client, f"{sandbox}/pin", {"env_uuid": envs[1]})["pinned_uuid"]
    backup = _made(client, f"{sandbox}/backup", {"project_id": project.id})["backup_uuid"]
    done = _made(client, f"{sandbox}/promote", {"env_uuid": envs.pop()})
    canary = {"env_uuid": envs[-1], "strategy": "canary", "rollout_steps": [{"weight": 10}, {"weight": 100}]}
    begun = _made(client, f"{sandbox}/promote", canary)
    sides = {"env_a_uuid": envs[0], "env_b_uuid": envs[1]}
    test = _made(client, f"{sandbox}/ab-test", {**sides, "split_pct": 50, "metric": "conversion"})
    key = _made(client, f"{here}/api-keys", {"name": "k", "scopes": ["read"]})
    return {
        "project_id": [project.id],
        "source_project_id": [project.id],
        "env_uuid": envs,
        "parent_env_uuid": envs,
        "user_uuid": ["u0", "u1", "u2"],
        "uuid_a": [*envs, *checkpoints],
        "uuid_b": [*envs, *checkpoints],
        "against": envs,
        "root_uuid": [*checkpoints, str(project.production_uuid)],
        "checkpoint_uuid": checkpoints,
        "pinned_uuid": [pinned],
        "backup_uuid": [backup],
        "promotion_id": [done["promotion_id"], begun["promotion_id"]],
        "release_id": [done["release_id"]],
        "test_id": [test["test_id"]],
        "env_a_uuid": envs,
        "env_b_uuid": envs,
        "key_uuid": [key["uuid"]],
        "kind": ["user", "project", "order"],
        "key": ["u0", "u1", "project"],
        "field_path": ["config.secret"],
        "env": ["env-0", "env-1", "production"],
    }


async def _run(server: Served, group: str, token: str, world: dict[str, list[Any]]) -> tuple[int, str]:
    command = (
        sys.executable,
        "-c",
        "from schemathesis.cli import schemathesis; schemathesis()",
        f"--config-file={HERE / 'schemathesis.toml'}",
        "run",
        f"{server.url}/docs/openapi.json",
        "--no-color",
        f"--include-path-regex=^({GROUPS[group]})",
        f"--exclude-path-regex={ENDLESS}",
        f"--header=Authorization: Bearer {token}",
    )
    known = {"STRATA_WORLD": json.dumps(world), "SCHEMATHESIS_HOOKS": "tests.conformance.hooks"}
    process = await asyncio.create_subprocess_exec(*command, env={**os.environ, **known}, stdout=PIPE, stderr=STDOUT)
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


@pytest.mark.parametrize("group", GROUPS)
async def test_the_door_does_what_it_says(
    server: Served, actor: Actor, project: Project, make_actor: MakeActor, group: str
) -> None:
    await operator.set_plan(project.id, Plan.PREMIUM)
    member = await make_actor()
    await members.add(project.id, member.account_uuid, Role.VIEWER, None)
    token = await identity.keyring.sign(actor.account_uuid, actor.name, 900)
    world = _furnish(server.client(token), project) | {"account_uuid": [str(member.account_uuid)]}
    status, said = await _run(server, group, token, world)
    assert status == 0, said
