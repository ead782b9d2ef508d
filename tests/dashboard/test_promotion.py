"""The way to production in a browser: looking, conflicts, approval, canary, release, undoing, freezes."""

from uuid import UUID

import pytest

from app.domain.model import Actor, Project, Role
from app.services import documents, environments, settings
from app.services.branching import ForkOptions
from tests.conftest import MakeActor
from tests.dashboard.browser import Browser
from tests.dashboard.test_rights import member_of


@pytest.fixture
async def env(actor: Actor, project: Project) -> UUID:
    """An environment that changes two pages of production."""
    for key in ("a", "b"):
        await documents.put(actor, project.id, None, "page", key, {"title": key, "price": 1})
    found = (await environments.fork(actor, project.id, ForkOptions("feature/a"))).environment.uuid
    for key in ("a", "b"):
        await documents.merge(actor, project.id, str(found), "page", key, {"title": f"new {key}"})
    return found


@pytest.fixture
def here(home: str, env: UUID) -> str:
    """The environment's address."""
    return f"{home}/environments/{env}"


async def _title(actor: Actor, project: Project, key: str) -> object:
    state = (await documents.read(actor, project.id, None, "page", key)).state
    assert isinstance(state, dict)
    return state["title"]


async def test_chosen_documents_are_promoted_and_undone(
    browser: Browser, here: str, home: str, actor: Actor, project: Project
) -> None:
    page = await browser.get(f"{here}/promote")
    assert "2 documents would change in production" in page.text
    first = page.form(f"{here}/promote").fields["carry"][0]
    page = await browser.submit(page, f"{here}/promote", carry=first, do="look")
    assert "1 document would change in production" in page.text
    assert await _title(actor, project, "a") == "a"
    page = await browser.get(f"{here}/promote")
    page = await browser.submit(page, f"{here}/promote", carry=first, message="the first", do="promote")
    assert "It is in production." in page.text
    assert (await _title(actor, project, "a"), await _title(actor, project, "b")) == ("new a", "b")
    release = next(link for link in page.links if "/releases/" in link)
    page = await browser.submit(await browser.get(release), f"{release}/undo", message="no")
    assert "Undone, by this release." in page.text
    assert await _title(actor, project, "a") == "a"
    page = await browser.get(f"{home}/releases")
    form = page.form(f"{home}/releases/compare").fields
    compared = await browser.get(f"{home}/releases/compare?a={form['a'][0]}&b={form['b'][0]}")
    assert 'title "new a" → "a"' in compared.text


async def test_conflicts_are_settled_in_the_form(browser: Browser, here: str, actor: Actor, project: Project) -> None:
    await documents.merge(actor, project.id, None, "page", "a", {"title": "theirs"})
    page = await browser.submit(await browser.get(f"{here}/promote"), f"{here}/promote", do="promote")
    assert "It was not promoted: the checks say why." in page.text
    page = await browser.get(f"{here}/promote")
    assert 'What production has: "theirs" What this environment has: "new a" What both had: "a"' in page.text
    fields = {"take-0": "value", "value-0": "{oops", "do": "promote"}
    page = await browser.submit(page, f"{here}/promote", 400, **fields)
    assert page.form(f"{here}/promote").fields["value-0"] == ["{oops"]
    page = await browser.submit(page, f"{here}/promote", **{**fields, "value-0": '"both"'})
    assert "It is in production." in page.text
    assert await _title(actor, project, "a") == "both"


async def test_a_rebase_asks_about_conflicts(browser: Browser, here: str, actor: Actor, project: Project) -> None:
    await documents.merge(actor, project.id, None, "page", "a", {"title": "theirs"})
    page = await browser.submit(await browser.get(f"{here}/rebase"), f"{here}/rebase", 409)
    page = await browser.submit(page, f"{here}/rebase", **{"take-0": "ours"})
    assert "Rebased" in page.text
    assert "0 added 1 modified 0 removed" in (await browser.get(f"{here}/changes")).text


async def test_another_person_approves(
    browser: Browser, here: str, actor: Actor, project: Project, make_actor: MakeActor
) -> None:
    await settings.update(actor, project.id, {"auto_generation_approval_mode": "at_least_one"})
    page = await browser.submit(await browser.get(f"{here}/promote"), f"{here}/promote", do="promote")
    assert "It waits for approval." in page.text
    promotion = page.answer.url.path
    assert "another person approves" in page.text
    assert await _title(actor, project, "a") == "a"
    await browser.enter(await member_of(make_actor, project, Role.VIEWER))
    assert f"{promotion}/decide" not in (await browser.get(promotion)).actions
    await browser.enter(await member_of(make_actor, project, Role.ADMIN))
    page = await browser.submit(await browser.get(promotion), f"{promotion}/decide", 422, do="reject", reason=" ")
    page = await browser.submit(page, f"{promotion}/decide", do="approve")
    assert "Approved. It is in production." in page.text
    assert await _title(actor, project, "a") == "new a"


async def test_a_canary_is_advanced_and_aborted(browser: Browser, here: str, actor: Actor, project: Project) -> None:
    page = await browser.get(f"{here}/promote")
    wrong = await browser.submit(page, f"{here}/promote", 422, strategy="canary", steps="50, 20", do="promote")
    assert wrong.form(f"{here}/promote").fields["steps"] == ["50, 20"]
    page = await browser.submit(wrong, f"{here}/promote", strategy="canary", steps="5:10, 50:0.5, 100", do="promote")
    assert "The rollout has begun." in page.text
    page = await browser.get(f"{here}/rollout")
    assert "5 % of traffic step 1 of 3" in page.text
    assert "the pause to end" in page.text
    page = await browser.submit(page, f"{here}/advance")
    assert "50 % of traffic go there now." in page.text
    page = await browser.submit(page, f"{here}/abort", reason="too slow")
    assert "production was not touched" in page.text
    assert await _title(actor, project, "a") == "a"
    page = await browser.get(f"{here}/promote")
    await browser.submit(page, f"{here}/promote", strategy="canary", steps="5, 100", do="promote")
    page = await browser.submit(await browser.get(f"{here}/rollout"), f"{here}/advance")
    assert "It is in production." in page.text
    assert await _title(actor, project, "a") == "new a"


async def test_a_freeze_holds_for_who_may_not_pass_it(
    browser: Browser, here: str, home: str, actor: Actor, project: Project, make_actor: MakeActor
) -> None:
    page = await browser.submit(await browser.get(f"{home}/freezes"), f"{home}/freezes", 422, reason="x", ends_at="no")
    page = await browser.submit(page, f"{home}/freezes", reason="Holidays", ends_at="")
    assert "Production is frozen until it is lifted: Holidays" in page.text
    page = await browser.submit(await browser.get(f"{here}/promote"), f"{here}/promote", 409, do="promote")
    assert "production_frozen" in page.text
    page = await browser.submit(page, f"{here}/promote", override_freeze="on", do="promote")
    assert "It is in production." in page.text
    page = await browser.get(f"{home}/freezes")
    lift = next(action for action in page.actions if action.endswith("/lift"))
    assert "The freeze is lifted." in (await browser.submit(page, lift)).text
