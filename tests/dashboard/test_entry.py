"""Coming in: logging in, the session's cookie, its renewal, forms that are not ours, leaving."""

import asyncio
from uuid import uuid4

import httpx
import pytest

from app.dashboard.visit import SESSION_COOKIE
from app.domain.login_limits import LoginLimits
from app.domain.model import Actor, Project
from app.services import identity, login
from app.services.login import Credentials, Lifetimes
from app.storage import db
from tests.dashboard.browser import Browser, Page

PASSWORD = "correct horse battery"


@pytest.fixture
async def email(pool: None) -> str:
    """The address of an account that has a password."""
    return (await identity.register(f"{uuid4().hex}@example.com", PASSWORD)).email or ""


async def test_a_person_logs_in_and_comes_to_the_page_that_was_asked_for(client: httpx.AsyncClient, email: str) -> None:
    browser = Browser(client)
    page = await browser.get("/?cursor=")
    assert page.answer.url.path == "/login"
    assert page.form("/login").fields["next"] == ["/?cursor="]
    page = await browser.submit(page, "/login", email=email, password=PASSWORD)
    assert (page.answer.url.path, "Projects" in page.text) == ("/", True)
    assert email in page.text


async def test_the_cookie_is_for_the_server_alone(client: httpx.AsyncClient, email: str) -> None:
    form = Page(await client.get("/login")).form("/login")
    fields = {**form.fields, "email": [email], "password": [PASSWORD]}
    answer = await client.post("/login", data=fields)
    (cookie,) = [value for value in answer.headers.get_list("set-cookie") if value.startswith(SESSION_COOKIE)]
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert "Secure" not in cookie
    client.cookies.delete(SESSION_COOKIE)
    behind = await client.post("/login", data=fields, headers={"x-forwarded-proto": "https"})
    assert any("; Secure" in value for value in behind.headers.get_list("set-cookie"))


async def test_a_wrong_password_leaves_the_address_and_no_password(client: httpx.AsyncClient, email: str) -> None:
    browser = Browser(client)
    page = await browser.submit(await browser.get("/login"), "/login", 401, email=email, password="wrong")
    assert "The e-mail address or the password is wrong." in page.text
    assert page.form("/login").fields["email"] == [email]
    assert "wrong" not in page.form("/login").fields.get("password", [""])
    assert SESSION_COOKIE not in client.cookies


async def test_a_new_account_is_logged_in(client: httpx.AsyncClient) -> None:
    browser = Browser(client)
    page = await browser.submit(await browser.get("/login"), "/register", 422, email="no address", password="x")
    assert page.form("/register").fields["email"] == ["no address"]
    address = f"{uuid4().hex}@example.com"
    page = await browser.submit(page, "/register", email=address, password=PASSWORD)
    assert address in page.text


@pytest.mark.parametrize("path", ["//elsewhere.example", "https://elsewhere.example", "/\\elsewhere.example", "x"])
async def test_nobody_is_sent_elsewhere(client: httpx.AsyncClient, email: str, path: str) -> None:
    form = Page(await client.get("/login", params={"next": path})).form("/login")
    assert form.fields["next"] == ["/"]
    answer = await client.post("/login", data={**form.fields, "email": [email], "password": [PASSWORD], "next": [path]})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


async def test_a_form_of_somebody_else_is_refused(browser: Browser, project: Project) -> None:
    page = await browser.get("/")
    form = page.form("/projects")
    before = (await browser.get("/")).text
    for fields, headers in (
        ({"name": ["Stolen"]}, {}),
        ({**form.fields, "name": ["Stolen"], "form_token": ["0" * 40]}, {}),
        ({**form.fields, "name": ["Stolen"]}, {"origin": "https://elsewhere.example"}),
        ({**form.fields, "name": ["Stolen"]}, {"sec-fetch-site": "cross-site"}),
    ):
        answer = await browser.client.post("/projects", data=fields, headers=headers)
        assert (answer.status_code, "form_refused" in answer.text) == (403, True)
    sent = {"name": "Stolen", "form_token": form.fields["form_token"][0]}
    assert (await browser.client.post("/projects", json=sent)).status_code == 400
    assert (await browser.get("/")).text == before


async def test_a_form_of_another_session_is_refused(browser: Browser, actor: Actor) -> None:
    form = (await browser.get("/")).form("/projects")
    await browser.enter(actor)
    answer = await browser.client.post("/projects", data={**form.fields, "name": ["Old"]})
    assert answer.status_code == 403


async def test_a_session_goes_on_when_its_token_has_expired(client: httpx.AsyncClient, email: str) -> None:
    tokens = await login.log_in(Credentials(email, PASSWORD, "10.0.0.1"), Lifetimes(900, 900), LoginLimits())
    client.cookies.set(SESSION_COOKIE, f"{tokens.refresh_token}~expired", domain="127.0.0.1")
    answers = await asyncio.gather(*(client.get("/") for _ in range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert [("set-cookie" in answer.headers) for answer in answers].count(True) == 1
    assert (await client.get("/")).status_code == 200
    # Long after, it has been copied: the session ends.
    await db.execute("UPDATE login_session SET refreshed_at = refreshed_at - interval '31 seconds'")
    client.cookies.set(SESSION_COOKIE, f"{tokens.refresh_token}~expired", domain="127.0.0.1")
    answer = await client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/")


async def test_leaving_ends_the_session_at_the_server(client: httpx.AsyncClient, email: str) -> None:
    browser = Browser(client)
    page = await browser.submit(await browser.get("/login"), "/login", email=email, password=PASSWORD)
    kept = client.cookies[SESSION_COOKIE]
    page = await browser.submit(page, "/logout")
    assert "You are logged out." in page.text
    assert SESSION_COOKIE not in client.cookies
    client.cookies.set(SESSION_COOKIE, kept, domain="127.0.0.1")
    assert (await client.get("/")).status_code == 303


async def test_an_api_key_is_no_session(browser: Browser) -> None:
    browser.client.cookies.set(SESSION_COOKIE, "none~sk_nonsense", domain="127.0.0.1")
    assert (await browser.client.get("/")).status_code == 303


async def test_colours_are_kept(browser: Browser) -> None:
    page = await browser.submit(await browser.get("/"), "/theme")
    assert 'data-theme="auto"' in page.answer.text
    form = page.form("/theme")
    page = Page(await browser.client.post("/theme", data={**form.fields, "theme": ["dark"]}, follow_redirects=True))
    assert 'data-theme="dark"' in page.answer.text
