"""A project as its owner sees it through GraphQL."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from app.domain.model import Project
from app.storage.codec import dumps, loads
from tests.doors import address, app, client, headers_of, owner

__all__ = ["GraphQL", "address", "app", "client", "graphql", "headers_of", "owner"]


@dataclass
class GraphQL:
    """A client of ``/graphql`` with somebody's token, and the project that it asks about."""

    client: httpx.AsyncClient
    project: Project
    headers: Mapping[str, str] = field(default_factory=dict)

    async def post(self, query: str, variables: object = None, **headers: str) -> httpx.Response:
        """Send one request; ``variables`` may hold Decimals."""
        return await self.raw(dumps({"query": query, "variables": variables}).encode(), **headers)

    async def raw(self, body: bytes, **headers: str) -> httpx.Response:
        """Send a body as it is."""
        headers = {"Content-Type": "application/json", **self.headers, **headers}
        return await self.client.post("/graphql", content=body, headers=headers)

    async def ask(self, query: str, variables: object = None, **headers: str) -> Any:
        """Return ``data`` of an answer without errors, numbers exact."""
        answer = await self.post(query, variables, **headers)
        body: Any = loads(answer.content)
        assert answer.status_code == 200, answer.text
        assert "errors" not in body, answer.text
        return body["data"]

    async def errors(self, query: str, variables: object = None, **headers: str) -> list[str]:
        """Return the codes of an answer's errors."""
        body: Any = (await self.post(query, variables, **headers)).json()
        return [error["extensions"]["code"] for error in body["errors"]]

    async def do(
        self, mutation: str, wanted: Mapping[str, object], selection: str, more: str = "", **headers: str
    ) -> Any:
        """Run a mutation and return its result, refusals with ``__typename``, ``code`` and ``message``."""
        kind = mutation[0].upper() + mutation[1:]
        query = (
            f"mutation ($input: {kind}Input!) {{ {mutation}(input: $input) {{ __typename"
            f" ... on {_payload(kind)} {{ {selection} }} ... on Refusal {{ code message }} {more} }} }}"
        )
        return (await self.ask(query, {"input": wanted}, **headers))[mutation]

    async def fork(self, name: str, **wanted: object) -> Any:
        """Fork production, or what ``wanted`` says, and return the environment."""
        selection = "environment { id uuid name status head { uuid } }"
        wanted = {"projectId": self.project.id, "envName": name, **wanted}
        return (await self.do("forkEnvironment", wanted, selection))["environment"]


def _payload(kind: str) -> str:
    return "ForkEnvironmentPayload" if kind == "RollbackToCheckpoint" else f"{kind}Payload"


@pytest.fixture
def graphql(client: httpx.AsyncClient, owner: dict[str, str], project: Project) -> GraphQL:
    """The owner's client."""
    return GraphQL(client, project, owner)
