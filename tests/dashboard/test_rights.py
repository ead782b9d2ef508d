"""Who sees which form, and that sending it anyway is refused: the policy decides both."""

from collections.abc import Mapping

import pytest

from app.domain.model import Actor, Project, Role
from app.services import documents, environments
from app.services.branching import ForkOptions
from app.storage import db
from tests.conftest import MakeActor
from tests.dashboard.browser import Browser

FILLED = {
    "env_name": "x",
    "name": "x",
    "kind": "page",
    "key": "home",
    "value": "1",
    "reason": "x",
    "role": "viewer",
    "email": "x@example.com",
    "url": "https://example.com/",
    "scopes": "read",
    "do": "promote",
    "auto_generation_approval_mode": "min_count",
    "auto_generation_approval_min_count": "1",
    "auto_generation_approval_min_percent": "50",
    "canary_watchdog_interval_seconds": "60",
    "auto_promote_strategy": "immediate",
    "version": "x",
}
OWN = {"/theme", "/logout"}
FORMS: Mapping[str, Mapping[str, Role]] = {
    "": {"/fork": Role.EDITOR},
    "/environments/ENV": {
        "/environments/ENV/settings": Role.EDITOR,
        "/environments/ENV/revert": Role.EDITOR,
        "/environments/ENV/archive": Role.EDITOR,
    },
    "/environments/ENV/changes": {},
    "/environments/ENV/documents": {"/environments/ENV/document": Role.EDITOR},
    "/environments/ENV/document?kind=page&key=home": {
        "/environments/ENV/document": Role.EDITOR,
        "/environments/ENV/document/delete": Role.EDITOR,
        "/environments/ENV/revert": Role.EDITOR,
    },
    "/environments/ENV/history": {},
    "/environments/ENV/promote": {
        "/environments/ENV/promote": Role.EDITOR,
        "/environments/ENV/validate": Role.EDITOR,
    },
    "/environments/ENV/rollout": {},
    "/environments/ENV/checkpoints": {
        "/environments/ENV/checkpoints": Role.EDITOR,
        "/environments/ENV/pin": Role.EDITOR,
    },
    "/environments/ENV/rebase": {"/environments/ENV/rebase": Role.EDITOR},
    "/tree": {},
    "/promotions": {},
    "/releases": {},
    "/segments": {"/segments": Role.EDITOR},
    "/experiments": {"/experiments": Role.EDITOR},
    "/freezes": {"/freezes": Role.ADMIN},
    "/events": {},
    "/members": {"/members/invite": Role.ADMIN},
    "/settings": {"/settings": Role.ADMIN},
}
"""The forms of each page below a project's address, and the least that somebody has to be to see them."""
ADMINISTRATION = {"/keys": {"/keys"}, "/webhooks": {"/webhooks"}, "/audit": set[str]()}
"""Pages that only admins and owners see, and their forms."""
RANKS = [Role.VIEWER, Role.EDITOR, Role.ADMIN, Role.OWNER]


async def member_of(make_actor: MakeActor, project: Project, role: Role) -> Actor:
    """Return a new member of the project."""
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
    await documents.put(actor, project.id, str(env), "page", "home", {"title": "New"})
    member = await member_of(make_actor, project, role)
    await browser.enter(member)
    token = (await browser.get("/")).form("/logout").fields["form_token"]
    for path, forms in FORMS.items():
        page = await browser.get((home + path).replace("ENV", str(env)))
        allowed = {form for form, least in forms.items() if RANKS.index(role) >= RANKS.index(least)}
        offered = {action for action in page.actions - OWN if "/members/" not in action or action.endswith("invite")}
        # A form that only looks what promoting would do is for everybody who reads.
        offered -= {f"{home}/environments/{env}/promote"} - {
            f"{home}/environments/{env}{form[17:]}" for form in allowed
        }
        assert offered == {(home + form).replace("ENV", str(env)) for form in allowed}, path
        for form in forms.keys() - allowed:
            address = (home + form).replace("ENV", str(env))
            sides = {"env_a": str(project.production_uuid), "env_b": str(env)}
            answer = await browser.client.post(address, data={"form_token": token, **FILLED, **sides})
            assert (answer.status_code, "forbidden" in answer.text or "jwt_required" in answer.text) == (403, True), (
                form
            )


@pytest.mark.parametrize("role", RANKS)
async def test_administration_is_for_admins(
    browser: Browser, home: str, project: Project, make_actor: MakeActor, role: Role
) -> None:
    await browser.enter(await member_of(make_actor, project, role))
    admin = role in (Role.ADMIN, Role.OWNER)
    shown = await browser.get(home)
    for path, forms in ADMINISTRATION.items():
        assert (home + path in shown.links) == admin
        page = await browser.get(home + path, 200 if admin else 403)
        assert page.actions - OWN == ({home + form for form in forms} if admin else set())
    token = shown.form("/logout").fields["form_token"]
    if not admin:
        for form in ("/keys", "/webhooks"):
            answer = await browser.client.post(home + form, data={"form_token": token, **FILLED})
            assert answer.status_code == 403


async def test_who_is_not_a_member_finds_nothing(
    browser: Browser, home: str, project: Project, actor: Actor, make_actor: MakeActor
) -> None:
    env = (await environments.fork(actor, project.id, ForkOptions("feature/a"))).environment.uuid
    await browser.enter(await make_actor())
    for path in FORMS:
        page = await browser.get((home + path).replace("ENV", str(env)), 404)
        assert "feature/a" not in page.text
