"""Documents: listed, looked into, saved with care, hidden and reverted; history; checkpoints."""

import json
from uuid import UUID

import pytest

from app.domain.model import PROJECT_KEY, PROJECT_KIND, Actor, Project
from app.services import documents, environments
from app.services.branching import ForkOptions
from tests.dashboard.browser import Browser


@pytest.fixture
async def env(actor: Actor, project: Project) -> UUID:
    """An environment over a production with one page."""
    await documents.put(actor, project.id, None, "page", "home", {"title": "Home", "price": 1, "more": {"a": [1]}})
    return (await environments.fork(actor, project.id, ForkOptions("feature/a"))).environment.uuid


@pytest.fixture
def here(home: str, env: UUID) -> str:
    """The environment's address."""
    return f"{home}/environments/{env}"


HOME = "/document?kind=page&key=home"


async def test_a_document_is_added_and_changed_without_losing_digits(browser: Browser, here: str) -> None:
    page = await browser.get(f"{here}/documents?kind=page")
    assert 'home {"more":{"a":[1]},"price":1,"title":"Home"}' in page.text.replace('title":"Home","price":1,', "")
    page = await browser.submit(page, f"{here}/document", 400, kind="page", key="new", value="{oops")
    assert page.form(f"{here}/document").fields["value"] == ["{oops"]
    page = await browser.submit(page, f"{here}/document", value='{"n": 1.10}')
    assert "n 1.10 not as production who?" in page.text
    assert page.form(f"{here}/document").fields["value"] == ['\n{\n  "n": 1.10\n}']
    page = await browser.submit(page, f"{here}/document", value='{"n": 1.100}')
    assert "n 1.100" in page.text
    again = await browser.get(f"{here}/documents")
    assert (await browser.submit(again, f"{here}/document", 412, kind="page", key="new", value="1")).text.count(
        "version_conflict"
    ) == 1


async def test_where_values_come_from(browser: Browser, here: str, actor: Actor, project: Project, env: UUID) -> None:
    await documents.merge(actor, project.id, str(env), "page", "home", {"more": {"b": 2}})
    page = await browser.get(f"{here}{HOME}")
    assert "more.a [1] inherited" in page.text
    assert "more.b 2 set here" in page.text
    page = await browser.get(f"{here}{HOME}&path=/more/b")
    assert f"more.b was set just now by {actor.name} in feature/a" in page.text
    assert "in production" in (await browser.get(f"{here}{HOME}&path=/title")).text
    assert "Nobody has set" in (await browser.get(f"{here}{HOME}&path=/none")).text


async def test_what_somebody_else_saved_is_shown_and_nothing_typed_is_lost(
    browser: Browser, here: str, actor: Actor, project: Project, env: UUID
) -> None:
    page = await browser.get(f"{here}{HOME}")
    await documents.merge(actor, project.id, str(env), "page", "home", {"price": 2})
    mine = json.dumps({"title": "Mine", "price": 1, "more": {"a": [1]}})
    page = await browser.submit(page, f"{here}/document", 412, value=mine)
    assert "price 2 → 1" in page.text
    assert 'title "Home" → "Mine"' in page.text
    assert page.form(f"{here}/document").fields["value"] == ["\n" + mine]
    page = await browser.submit(page, f"{here}/document")
    assert 'title "Mine" set here' in page.text


async def test_a_document_is_hidden_and_comes_back(browser: Browser, here: str, env: UUID) -> None:
    page = await browser.submit(await browser.get(f"{here}{HOME}"), f"{here}/document/delete")
    assert "page home is deleted here." in page.text
    assert "0 added 0 modified 1 removed" in (await browser.get(f"{here}/changes")).text
    await browser.get(f"{here}{HOME}", 404)
    assert "page home" in (await browser.get(f"{here}/history")).text
    await browser.submit(await browser.get(here), f"{here}/revert")
    await browser.get(f"{here}{HOME}")


async def test_protected_values_are_never_shown_and_survive_being_saved(
    browser: Browser, home: str, actor: Actor, project: Project, env: UUID
) -> None:
    secret = "sk_live_very_secret"
    await documents.put(
        actor, project.id, None, PROJECT_KIND, PROJECT_KEY, {"config": {"protected_fields": ["config.key"]}}
    )
    await documents.merge(actor, project.id, None, PROJECT_KIND, PROJECT_KEY, {"config": {"key": secret}})
    for environment in (project.production_uuid, env):
        here = f"{home}/environments/{environment}"
        page = await browser.get(f"{here}/document?kind=project&key=project")
        assert "config.key protected" in page.text
        page = await browser.submit(page, f"{here}/document")
        for path in ("/document?kind=project&key=project", "/history", "/documents"):
            assert secret not in (await browser.get(here + path)).answer.text
    for path in ("/events", "/audit", "/releases"):
        assert secret not in (await browser.get(home + path)).answer.text
    shown = await documents.read(actor, project.id, None, PROJECT_KIND, PROJECT_KEY)
    assert "/config/key" in shown.protected


async def test_checkpoints_are_made_pinned_and_branched_from(browser: Browser, here: str) -> None:
    page = await browser.submit(await browser.get(f"{here}/checkpoints"), f"{here}/checkpoints", label="before")
    assert "Checkpoint of 2 documents made." in page.text
    page = await browser.submit(page, f"{here}/pin")
    assert "Pinned as" in page.text
    branched = await browser.submit(page, f"{here}/checkpoints/rollback", env_name="again")
    assert "again stands on the checkpoint." in branched.text
    page = await browser.submit(page, f"{here}/checkpoints/delete", 409)
    assert "Checkpoints" in page.text
