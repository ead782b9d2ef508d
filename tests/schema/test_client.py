"""A client that others wrote, against a server process of its own."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from gql import Client, GraphQLRequest, gql
from gql.transport.exceptions import TransportQueryError
from gql.transport.httpx import HTTPXAsyncTransport

from tests.conftest import Database
from tests.processes.served import Served, served

BIG = 12345678901234567890
FORK = """
    mutation ($input: ForkEnvironmentInput!) {
      forkEnvironment(input: $input) {
        ... on ForkEnvironmentPayload { environment { uuid name status } }
        ... on Refusal { code message }
      }
    }
"""


@pytest.fixture(scope="module")
def server(database: Database) -> Iterator[Served]:
    with served({"STRATA_DATABASE_URL": database.app_dsn}) as found:
        yield found


@pytest.fixture
def token(server: Served) -> str:
    account = {"email": f"{uuid4().hex}@example.com", "password": "correct horse"}
    http = server.client()
    http.post("/api/auth/register", json=account).raise_for_status()
    login = http.post("/api/auth/login", json=account).raise_for_status()
    found: str = login.json()["access_token"]
    return found


async def test_gql_reads_the_schema_and_works_with_it(server: Served, token: str) -> None:
    transport = HTTPXAsyncTransport(f"{server.url}/graphql", headers={"Authorization": f"Bearer {token}"})
    async with Client(transport=transport, fetch_schema_from_transport=True) as session:
        made = await session.execute(
            gql(
                'mutation { createProject(input: {name: "Shop"})'
                " { ... on CreateProjectPayload { project { projectId } } } }"
            )
        )
        project_id = made["createProject"]["project"]["projectId"]
        wanted = {"input": {"projectId": project_id, "envName": "one"}}
        first = (await session.execute(GraphQLRequest(FORK, variable_values=wanted)))["forkEnvironment"]
        assert first["environment"]["status"] == "DRAFT"
        again = (await session.execute(GraphQLRequest(FORK, variable_values=wanted)))["forkEnvironment"]
        assert again["code"] == "environment_name_taken"
        written = await session.execute(
            gql(
                f"mutation {{ writeDocument(input: {{projectId: {project_id}, patch: {{put: {{big: {BIG}}}}}}})"
                " { ... on WriteDocumentPayload { document { data } } } }"
            )
        )
        assert written["writeDocument"]["document"]["data"] == {"big": BIG}
        with pytest.raises(TransportQueryError) as refused:
            await session.execute(gql("{ project(id: 999999999) { name } }"))
        assert refused.value.errors is not None
        assert refused.value.errors[0]["extensions"]["code"] == "project_not_found"
