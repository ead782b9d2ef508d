import pytest

from app.domain.model import Actor, Project
from tests.services.shop import Shop


@pytest.fixture
async def shop(actor: Actor, project: Project) -> Shop:
    """A project with one page."""
    made = Shop(actor, project)
    await made.put(None, {"title": "Home", "price": 1, "tags": ["x"]})
    return made
