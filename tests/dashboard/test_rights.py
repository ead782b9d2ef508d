"""Who sees which form, and that sending it anyway is refused: the policy decides both."""

from collections.abc import Mapping

import pytest

from app.domain.model import Actor, Project, Role
from app.services import environments
from app.services.branching import ForkOptions
from app.storage import db
from tests.conftest import MakeActor
from tests.dashboard.browser import Browser

OWN = {"/theme", "/logout"}
FORMS: Mapping[str, Mapping[str, Role]] = {
    "": {"/fork": Role.EDITOR},
    "/environments/ENV": {
        "/environments/ENV/settings": Role.EDITOR,
        "/environments/ENV/rebase": Role.EDITOR,
        "/environments/ENV/revert": Role.EDITOR,
        "/environments/ENV/archive": Role.EDITOR,
    },
    "/environments/ENV/changes": {},
    "/tree": {},
}
"""The forms of each page below a project's address, and the least that somebody has to be to see them."""
RANKS = [Role.VIEWER, Role.EDITOR, Role.ADMIN, Role.OWNER]


async def _member(make_actor: MakeActor, project: Project, role: Role) -> Actor:
    member = await make_actor()
    await db.execute(
        "INSERT INTO member (project_id, account_uuid, role) VALUES ($1, $2, $3)",
        project.id,
        member.account_uuid,
        role.value,
    )
    return member


@pytest.mark.parametrize("role", RANKS)
async def test_a_page_offers_what_the_role_may_do_and_the_rest_is_refused(
    browser: Browser, home: str, actor: Actor, project: Project, make_actor: MakeActor, role: Role
) -> None:
    env = (await environments.fork(actor, project.id, ForkOptions("feature/a"))).environment.uuid
    await browser.enter(await _member(make_actor, project, role))
    token = (await browser.get("/")).form("/logout").fields["form_token"]
    for path, forms in FORMS.items():
        page = await browser.get((home + path).replace("ENV", str(env)))
        allowed = {form for form, least in forms.items() if RANKS.index(role) >= RANKS.index(least)}
        assert page.actions - OWN == {(home + form).replace("ENV", str(env)) for form in allowed}, path
        for form in forms.keys() - allowed:
            address = (home + form).replace("ENV", str(env))
            answer = await browser.client.post(address, data={"form_token": token, "env_name": "x", "name": "x"})
            assert (answer.status_code, "forbidden" in answer.text) == (403, True), form


async def test_who_is_not_a_member_finds_nothing(
    browser: Browser, home: str, project: Project, actor: Actor, make_actor: MakeActor
) -> None:
    env = (await environments.fork(actor, project.id, ForkOptions("feature/a"))).environment.uuid
    await browser.enter(await make_actor())
    for path in FORMS:
        page = await browser.get((home + path).replace("ENV", str(env)), 404)
        assert "feature/a" not in page.text
