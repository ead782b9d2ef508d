"""Members, keys, webhooks, settings and the trail in a browser."""

import re
from uuid import uuid4

from app.domain.model import Actor, Project, Role
from app.services import project_settings
from tests.conftest import MakeActor
from tests.dashboard.browser import Browser, Page
from tests.dashboard.test_rights import member_of


async def test_somebody_is_invited_and_comes_in(
    browser: Browser, home: str, project: Project, actor: Actor, make_actor: MakeActor
) -> None:
    guest = await make_actor()
    page = await browser.submit(await browser.get(f"{home}/members"), f"{home}/members/invite", 422, email="nobody")
    page = await browser.submit(page, f"{home}/members/invite", email=guest.name, role="editor")
    found = re.search(r"/invitation\?token=(\S+)", page.text)
    assert found is not None
    assert found[1] not in (await browser.get(f"{home}/members")).text
    await browser.enter(guest)
    page = await browser.submit(await browser.get(f"/invitation?token={found[1]}"), "/invitation")
    assert "Welcome. You are editor here." in page.text
    await browser.enter(actor)
    page = await browser.get(f"{home}/members")
    change = f"{home}/members/{guest.account_uuid}/change"
    page = await browser.submit(page, change, role="viewer")
    assert "The role is changed." in page.text
    page = await browser.submit(page, f"{home}/members/{guest.account_uuid}/remove")
    assert guest.name not in page.text


async def test_a_key_is_shown_once(browser: Browser, home: str) -> None:
    page = await browser.submit(await browser.get(f"{home}/keys"), f"{home}/keys", 422, name=" ")
    page = await browser.submit(page, f"{home}/keys", name="ci", scopes=["read", "write"])
    secret = _secret(page)
    listed = await browser.get(f"{home}/keys")
    assert ("ci" in listed.text, secret in listed.answer.text) == (True, False)
    assert "read, write" in listed.text
    revoke = next(action for action in listed.actions if action.endswith("/revoke"))
    assert "The key is revoked." in (await browser.submit(listed, revoke)).text


async def test_a_webhook_is_made_tried_and_deleted(browser: Browser, home: str) -> None:
    page = await browser.submit(await browser.get(f"{home}/webhooks"), f"{home}/webhooks", 422, url="http://10.0.0.1/")
    assert page.form(f"{home}/webhooks").fields["url"] == ["http://10.0.0.1/"]
    page = await browser.submit(page, f"{home}/webhooks", url="https://93.184.216.34/", events="promotion.*, freeze.*")
    secret = _secret(page)
    hook = next(link for link in page.links if "/webhooks/" in link)
    page = await browser.get(hook)
    assert secret not in page.answer.text
    page = await browser.submit(page, f"{hook}/change", description="ops", enabled="on")
    assert "Saved." in page.text
    token = page.form(f"{hook}/act").fields["form_token"]
    tried = await browser.client.post(f"{hook}/act", data={"form_token": token, "do": ["test"]}, follow_redirects=True)
    page = Page(tried)
    assert "A message is on its way." in page.text
    (delivery,) = [form for form in page.forms if "delivery" in form.fields]
    again = await browser.client.post(f"{hook}/act", data=delivery.fields, follow_redirects=True)
    assert "It will be sent once more." in again.text
    rotated = Page(await browser.client.post(f"{hook}/act", data={"form_token": token, "do": ["rotate"]}))
    assert _secret(rotated) != secret
    gone = await browser.client.post(f"{hook}/act", data={"form_token": token, "do": ["delete"]}, follow_redirects=True)
    assert "The webhook is deleted." in gone.text
    await browser.get(hook, 404)


def _secret(page: Page) -> str:
    found = re.search(r'class="secret">([^<]+)<', page.answer.text)
    assert found is not None
    return found[1]


async def test_settings_are_saved_and_wrong_ones_kept_in_the_form(
    browser: Browser, home: str, project: Project, make_actor: MakeActor
) -> None:
    page = await browser.get(f"{home}/settings")
    page = await browser.submit(page, f"{home}/settings", 422, canary_error_rate_threshold="many")
    assert page.form(f"{home}/settings").fields["canary_error_rate_threshold"] == ["many"]
    page = await browser.submit(
        page, f"{home}/settings", canary_error_rate_threshold="0.05", direct_prod_roles=["owner"]
    )
    assert "The settings are saved." in page.text
    found = await project_settings.of(project.id, fresh=True)
    assert (str(found.canary_error_rate_threshold), found.direct_prod_roles) == ("0.05", frozenset({Role.OWNER}))
    await browser.enter(await member_of(make_actor, project, Role.EDITOR))
    production = f"{home}/environments/{project.production_uuid}"
    assert (await browser.get(f"{production}/documents")).actions == {"/theme", "/logout"}


async def test_the_trail_names_the_dashboard(browser: Browser, home: str) -> None:
    await browser.submit(await browser.get(home), f"{home}/fork", env_name=f"x{uuid4().hex}")
    page = await browser.get(f"{home}/audit")
    assert "fork environment" in page.text
    assert "dashboard 10." in page.text
    assert "The trail is whole" in (await browser.get(f"{home}/audit?only=check")).text
