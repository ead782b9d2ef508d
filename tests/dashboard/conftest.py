"""A project as its owner sees it in a browser."""

import httpx
import pytest

from app.domain.model import Actor, Project
from tests.dashboard.browser import Browser
from tests.doors import address, app, client

__all__ = ["address", "app", "browser", "client", "home"]


@pytest.fixture
async def browser(client: httpx.AsyncClient, actor: Actor) -> Browser:
    """The owner's browser."""
    found = Browser(client)
    await found.enter(actor)
    return found


@pytest.fixture
def home(project: Project) -> str:
    """The address of the project's page."""
    return f"/projects/{project.id}"
