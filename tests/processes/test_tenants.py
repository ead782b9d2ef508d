"""Two tenants at the same things at the same time, through one server: neither ever sees a letter of the other's."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from uuid import UUID, uuid4

import httpx
import pytest

from schema.nodes import GlobalId
from tests.conftest import Database
from tests.processes.served import Served, served
from tests.processes.test_serve import account

CLIENTS = 8
SECONDS = 10.0
GRAPHQL = """
query ($id: Int!, $env: UUID!, $ids: [ID!]!) {
  viewer { roles { project { name } } }
  project(id: $id) {
    name
    environments { nodes { name document(kind: "page", key: "a") { data overrides { path } } } }
    document { data }
    tree { label children { label document(kind: "page", key: "a") { data } } }
    history(first: 20) { nodes { key forward { set { value } } } }
  }
  environment(uuid: $env) { documents(kind: "page") { nodes { data } } diff { entities { nodes { old new } } } }
  nodes(ids: $ids) { __typename }
}
"""


@dataclass
class Tenant:
    """A project in which every value holds the tenant's mark; names, keys and shapes are those of all tenants."""

    client: httpx.Client
    project_id: int
    mark: str
    env: str

    @classmethod
    def made(cls, server: Served) -> "Tenant":
        client, project_id = account(server)
        mark = f"mark-{uuid4().hex}"
        documents = f"/api/projects/{project_id}"
        client.put(f"{documents}/data", json={"name": mark}).raise_for_status()
        for key in "abc":
            client.put(f"{documents}/entities/page/{key}", json={"n": 1, "mark": mark}).raise_for_status()
        fork = {"source_project_id": project_id, "env_name": "work"}
        env = client.post("/api/sandbox/fork", json=fork).raise_for_status().json()["anchor_uuid"]
        return cls(client, project_id, mark, env)

    def ask(self, number: int, other: "Tenant") -> list[httpx.Response]:
        """Write, and read all that there is; name things of the other tenant in between."""
        documents = f"/api/projects/{self.project_id}"
        work = {"X-AgentStack-Env": "work"}
        foreign = GlobalId("Environment", other.project_id, UUID(other.env)).encode()
        variables = {"id": self.project_id, "env": self.env, "ids": [foreign]}
        body = {"n": number, "mark": f"{self.mark}-{number}"}
        return [
            self.client.put(f"{documents}/entities/page/a", json=body, headers=work),
            self.client.get(f"{documents}/entities/page/a", headers=work),
            self.client.get(f"{documents}/data"),
            self.client.get(f"{documents}/entities/page", headers=work),
            self.client.get(f"{documents}/export", headers=work),
            self.client.get("/api/sandbox/environment/diff", params={"env_uuid": self.env}),
            self.client.post("/graphql", json={"query": GRAPHQL, "variables": variables}, headers=work),
            self.client.get(f"{documents}/data", headers={"X-AgentStack-Env": other.env}),
            self.client.get(f"/api/projects/{other.project_id}/entities/page/a", headers=work),
        ]


def _hammer(tenant: Tenant, other: Tenant) -> int:
    until, number = time.monotonic() + SECONDS, 0
    while time.monotonic() < until:
        number += 1
        answers = tenant.ask(number, other)
        *own, foreign_env, foreign_project = answers
        assert [answer.status_code for answer in own] == [200] * len(own), [answer.text for answer in own]
        assert [foreign_env.status_code, foreign_project.status_code] == [404, 404]
        assert all(other.mark not in answer.text for answer in answers)
        # To a write, the answer is a version.
        assert all(tenant.mark in answer.text for answer in own[1:])
        assert own[6].json()["data"]["nodes"] == [None]
    return number


@pytest.mark.slow
def test_tenants_never_see_one_another(database: Database) -> None:
    with served({"STRATA_DATABASE_URL": database.app_dsn}) as server, ThreadPoolExecutor(2 * CLIENTS) as threads:
        one, two = Tenant.made(server), Tenant.made(server)
        pairs = cycle(((one, two), (two, one)))
        running = [threads.submit(_hammer, *next(pairs)) for _ in range(2 * CLIENTS)]
        rounds = [hammering.result() for hammering in running]
    assert min(rounds) >= 1
    assert sum(rounds) >= 2 * CLIENTS
