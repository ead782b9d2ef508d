"""A browser without scripts: pages, the forms in them, and a cookie jar."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from uuid import uuid4

import httpx

from app.dashboard.visit import SESSION_COOKIE
from app.domain.model import Actor
from app.services import identity

Fields = dict[str, list[str]]


@dataclass
class FormOnPage:
    """A form: where it is sent, and what it holds before anybody fills it in."""

    action: str
    method: str
    fields: Fields = field(default_factory=dict)
    named: set[str] = field(default_factory=set)


class Page(HTMLParser):
    """What a page consists of, as far as tests ask."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__()
        self.answer = answer
        self.forms: list[FormOnPage] = []
        self.texts: list[str] = []
        self.links: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._select = self._area = ""
        self.feed(answer.text)

    @property
    def text(self) -> str:
        """All words of the page, with one space between them."""
        return " ".join(" ".join(self.texts).split())

    def form(self, action: str, **having: str) -> FormOnPage:
        """Return the form that is sent to ``action`` and has these fields already."""
        for form in sorted(self.forms, key=lambda form: form.method != "post"):
            if form.action == action and all(form.fields.get(name) == [value] for name, value in having.items()):
                return form
        raise AssertionError(f"no form goes to {action}; there are {[form.action for form in self.forms]}")

    @property
    def actions(self) -> set[str]:
        """Where the forms of the page are sent that change something."""
        return {form.action for form in self.forms if form.method == "post"}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag == "a" and given.get("href"):
            self.links.append(str(given["href"]))
        if tag == "form":
            self.forms.append(FormOnPage(given.get("action") or "", given.get("method") or "get"))
        name = given.get("name")
        if not self.forms or (name is None and tag != "option"):
            return
        self._field(tag, name or "", given)

    def _field(self, tag: str, name: str, given: dict[str, str | None]) -> None:
        form = self.forms[-1]
        form.named.add(name or self._select)
        value = given.get("value") or ""
        ticked = given.get("type") not in ("checkbox", "radio") or "checked" in given
        if tag == "input" and ticked:
            form.fields.setdefault(name, []).append(value)
        elif tag == "select":
            self._select = name
        elif tag == "textarea":
            self._area = name
            form.fields[name] = [""]
        elif tag == "option" and (self._select not in form.fields or "selected" in given):
            form.fields[self._select] = [value]

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._area = ""

    def handle_data(self, data: str) -> None:
        if self._area:
            self.forms[-1].fields[self._area][0] += data
        else:
            self.texts.append(data)


class Browser:
    """Somebody at the dashboard."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def enter(self, actor: Actor) -> None:
        """Be logged in as ``actor``, for whom there need not be a password."""
        token = await identity.keyring.sign(actor.account_uuid, actor.name, 900, uuid4())
        self.client.cookies.clear()
        self.client.cookies.set(SESSION_COOKIE, f"none~{token}", domain="127.0.0.1")

    async def get(self, path: str, status: int = 200) -> Page:
        """Open a page."""
        answer = await self.client.get(path, follow_redirects=True)
        assert answer.status_code == status, answer.text
        return Page(answer)

    async def submit(self, page: Page, action: str, status: int = 200, /, **fields: str | list[str]) -> Page:
        """Fill a form of the page in, send it, and return the page that comes of it."""
        given = {name: [value] if isinstance(value, str) else value for name, value in fields.items()}
        form = page.form(action)
        assert given.keys() <= form.named, f"{sorted(given)} in {sorted(form.named)}"
        answer = await self.client.post(action, data={**form.fields, **given}, follow_redirects=True)
        assert answer.status_code == status, answer.text
        return Page(answer)
