"""Projects, their environments, what differs, and the tree."""

import re
from uuid import UUID

import httpx
import pytest

from app.dashboard.tree import draw
from app.domain.model import Actor, Project
from app.services import checkpoints, documents, environments, tree
from app.services.branching import ForkOptions
from tests.dashboard.browser import Browser


async def _fork(actor: Actor, project: Project, name: str, parent: UUID | None = None) -> UUID:
    return (await environments.fork(actor, project.id, ForkOptions(name, parent_env_uuid=parent))).environment.uuid


async def test_a_project_is_made(browser: Browser) -> None:
    page = await browser.submit(await browser.get("/"), "/projects", 422, name=" ")
    page = await browser.submit(page, "/projects", name="Lantern <Oak>")
    assert "Lantern <Oak> is ready" in page.text
    assert "<Oak>" not in page.answer.text
    assert "Lantern <Oak>" in (await browser.get("/")).text


async def test_an_environment_is_forked(browser: Browser, home: str) -> None:
    page = await browser.get(home)
    refused = await browser.submit(page, f"{home}/fork", 422, env_name=" ", env_type="feature")
    assert refused.form(f"{home}/fork").fields["env_name"] == [" "]
    assert refused.form(f"{home}/fork").fields["env_type"] == ["feature"]
    made = await browser.submit(refused, f"{home}/fork", env_name="feature/a")
    assert "feature/a is forked." in made.text
    listed = await browser.get(home)
    assert "feature/a" in listed.text
    assert "2 of" not in listed.text


async def test_what_differs_is_counted_and_listed(browser: Browser, home: str, actor: Actor, project: Project) -> None:
    await documents.put(actor, project.id, None, "page", "home", {"title": "Home", "price": 1})
    env = await _fork(actor, project, "feature/a")
    await documents.put(actor, project.id, str(env), "page", "home", {"title": "<b>", "price": "1", "new": None})
    await documents.put(actor, project.id, str(env), "page", "about", {})
    page = await browser.get(f"{home}/environments/{env}/changes")
    assert "1 added 1 modified 0 removed" in page.text
    assert 'title "Home" → "<b>"' in page.text
    assert 'price 1 → "1" number → string' in page.text
    assert "new null" in page.text
    assert "1 added ~1 modified" in (await browser.get(f"{home}/environments/{env}/counts")).text


async def test_settings_rebase_revert_and_archive(browser: Browser, home: str, actor: Actor, project: Project) -> None:
    env = await _fork(actor, project, "feature/a")
    here = f"{home}/environments/{env}"
    await documents.put(actor, project.id, str(env), "page", "home", {"title": "New"})
    page = await browser.submit(await browser.get(here), f"{here}/settings", name="feature/b")
    assert "The settings of feature/b are saved." in page.text
    page = await browser.submit(await browser.get(f"{here}/rebase"), f"{here}/rebase")
    assert "Rebased" in page.text
    page = await browser.submit(await browser.get(here), f"{here}/revert")
    assert "0 added 0 modified 0 removed" in page.text
    page = await browser.submit(await browser.get(here), f"{here}/archive")
    assert "feature/b is archived." in page.text
    page = await browser.get(here)
    assert page.actions == {"/theme", "/logout"}
    assert "feature/b" in (await browser.get(f"{home}?archived=true")).text


async def test_the_tree_is_drawn(browser: Browser, home: str, actor: Actor, project: Project, unlimited: None) -> None:
    env = await _fork(actor, project, "feature/a")
    await checkpoints.checkpoint(actor, env, "before", project.id)
    child = await _fork(actor, project, "feature/b", env)
    gone = await _fork(actor, project, "gone")
    await environments.archive(actor, gone, project.id)
    page = await browser.get(f"{home}/tree")
    assert "production live, 1 generation feature/a draft, 2 generations feature/b draft, 1 generation" in page.text
    assert "checkpoint “before”" in page.text
    assert str(gone) not in page.answer.text
    assert str(gone) in (await browser.get(f"{home}/tree?archived=true")).answer.text
    picture = draw(await tree.tree(actor, project.id))
    assert [lane.depth for lane in picture.lanes] == [0, 1, 2, 1]
    assert picture.lanes[2].environment.uuid == child
    assert len(picture.lines) == 4


PAGES = [
    *(
        "",
        "/tree",
        "/promotions",
        "/releases",
        "/experiments",
        "/freezes",
        "/events",
        "/members",
        "/keys",
        "/webhooks",
        "/settings",
    ),
    *("/audit", "/audit?only=check"),
]


@pytest.mark.parametrize("path", ["/", "/login", *(f"HOME{path}" for path in PAGES)])
async def test_a_page_runs_no_script_but_ours_and_needs_no_other_host(browser: Browser, home: str, path: str) -> None:
    if path == "/login":
        browser.client.cookies.clear()
    answer = (await browser.get(path.replace("HOME", home))).answer
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
    assert re.search(r"<script(?! src=)|<style|\sstyle=|\son\w+=|javascript:", answer.text) is None
    assert re.search(r'(?:src|href|action)="(?![/?#]|")', answer.text) is None
    for url in re.findall(r'(?:src|href)="(/static/[^"]+)"', answer.text):
        assert (await browser.client.get(url)).status_code == 200


async def test_what_is_not_there_is_a_page_too(browser: Browser, client: httpx.AsyncClient) -> None:
    page = await browser.get("/projects/2147483647", 404)
    assert "There is no such project, or you are not a member of it." in page.text
    assert (await client.get("/projects/0")).status_code == 404
    assert (await client.get("/?cursor=%00")).status_code == 400
    assert (await client.get("/?cursor=nonsense")).status_code == 400
