"""A project as its owner sees it over HTTP, and what tells whether anything in it has changed."""

from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from app.domain.model import Project
from tests.doors import address, app, client, owner

__all__ = ["Api", "address", "api", "app", "client", "made", "owner", "refused"]


@dataclass
class Api:
    """A client with the owner's token, and the project that it asks about."""

    client: httpx.AsyncClient
    project: Project

    @property
    def documents(self) -> str:
        return f"/api/projects/{self.project.id}"

    def entity(self, kind: str, key: str) -> str:
        return f"{self.documents}/entities/{kind}/{key}"

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.client.get(path, **options)

    async def put(self, path: str, body: Any, **options: Any) -> httpx.Response:
        return await self.client.put(path, json=body, **options)

    async def patch(self, path: str, body: Any, **options: Any) -> httpx.Response:
        return await self.client.patch(path, json=body, **options)

    async def post(self, path: str, body: Any, **options: Any) -> httpx.Response:
        return await self.client.post(path, json=body, **options)

    async def fork(self, name: str, **options: Any) -> dict[str, Any]:
        """Fork production, or what ``options`` say, and return the answer."""
        body = {"source_project_id": self.project.id, "env_name": name, **options}
        return made(await self.post("/api/sandbox/fork", body))

    async def state(self) -> list[Any]:
        """Return all that a call could have changed, as far as the API shows it."""
        here = {"project_id": self.project.id}
        paths = ["environments", "checkpoints", "backups", "changes", "tree"]
        answers = [await self.get(f"/api/sandbox/{path}", params=here) for path in paths]
        answers.append(await self.get(f"{self.documents}/export"))
        answers.append(await self.get("/api/projects"))
        keys = await self.get(f"{self.documents}/api-keys")
        assert [answer.status_code for answer in (*answers, keys)] == [200] * (len(answers) + 1)
        # When a key was used last is noted also for calls that are refused.
        known = [{**key, "last_used_at": None} for key in keys.json()["api_keys"]]
        return [*(answer.content for answer in answers), known]


def made(answer: httpx.Response) -> dict[str, Any]:
    """Return the body of a success."""
    assert answer.status_code in (200, 201, 202), answer.text
    body: dict[str, Any] = answer.json()
    return body


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Return the body of a refusal that has this status and code, and is one of ours."""
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["error"]) == (status, code), answer.text
    assert body["message"]
    assert body["request_id"] == answer.headers["X-Request-Id"]
    return body


@pytest.fixture
def api(client: httpx.AsyncClient, owner: dict[str, str], project: Project) -> Api:
    """The owner's client."""
    client.headers.update(owner)
    return Api(client, project)
