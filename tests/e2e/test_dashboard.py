"""The dashboard in Chromium: with a keyboard, on a small screen, in the dark, and as things happen."""

import re
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from tests.processes.served import Served, served

CHROMIUM: Final = shutil.which("chromium") or shutil.which("google-chrome")
CONTRAST: Final = (Path(__file__).parent / "contrast.js").read_text()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")]


@pytest.fixture(scope="module")
def demo() -> Iterator[Served]:
    """The sample project on a database of its own, in a folder that PostgreSQL's user can enter."""
    with TemporaryDirectory(prefix="strata-demo-") as folder:
        Path(folder).chmod(0o711)
        with served({"STRATA_DATA_DIR": f"{folder}/data"}, "demo") as found:
            yield found


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest.fixture(params=["light", "dark"])
async def window(request: pytest.FixtureRequest, chromium: Browser) -> AsyncIterator[BrowserContext]:
    context = await chromium.new_context(color_scheme=request.param, viewport={"width": 1280, "height": 850})
    yield context
    await context.close()


async def _logged_in(context: BrowserContext, demo: Served) -> Page:
    page = await context.new_page()
    page.set_default_timeout(20_000)
    said = re.search(r"Login +(\S+) +(\S+)", demo.greeting)
    assert said is not None
    await page.goto(f"{demo.url}/projects/1")
    await page.get_by_label("E-mail address").first.fill(said[1])
    await page.get_by_label("Password").first.fill(said[2])
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text("Lantern & Oak")
    return page


async def _pages(page: Page) -> list[str]:
    """Return the pages of the project, and those of its feature environment."""
    paths = [await link.get_attribute("href") or "" for link in await page.locator(".side a").all()]
    await page.get_by_role("link", name="feature/payments-v2").first.click()
    return paths + [await link.get_attribute("href") or "" for link in await page.locator(".tabs a").all()]


async def test_every_page_is_legible_labelled_and_quiet(window: BrowserContext, demo: Served) -> None:
    page = await _logged_in(window, demo)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    for path in await _pages(page):
        await page.goto(demo.url + path)
        assert await page.locator("h1").count() == 1, path
        assert await page.evaluate(CONTRAST) == [], path
        unnamed = await page.evaluate(
            "[...document.querySelectorAll('input:not([type=hidden]), select, textarea, button')]"
            ".filter(e => !e.labels?.length && !e.ariaLabel && !e.textContent.trim()).map(e => e.outerHTML)"
        )
        assert unnamed == [], path
    assert complaints == []


async def test_nothing_is_wider_than_a_small_screen(chromium: Browser, demo: Served) -> None:
    context = await chromium.new_context(viewport={"width": 360, "height": 700})
    page = await _logged_in(context, demo)
    for path in await _pages(page):
        await page.goto(demo.url + path)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    await context.close()


async def test_no_other_host_is_asked(chromium: Browser, demo: Served) -> None:
    context = await chromium.new_context()
    hosts: set[str] = set()
    context.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    page = await _logged_in(context, demo)
    for path in await _pages(page):
        await page.goto(demo.url + path)
    assert hosts == {demo.url.split("/")[2]}
    await context.close()


async def test_a_keyboard_is_enough(chromium: Browser, demo: Served) -> None:
    context = await chromium.new_context()
    page = await _logged_in(context, demo)
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "main"
    await page.locator(".switcher summary").focus()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await page.keyboard.type("staging")
    await expect(page.locator(".switcher li:visible")).to_have_count(1)
    await page.keyboard.press("Escape")
    await expect(page.locator(".switcher[open]")).to_have_count(0)
    await expect(page.locator(".switcher summary")).to_be_focused()
    await context.close()


async def test_what_one_does_another_sees_at_once(chromium: Browser, demo: Served) -> None:
    context = await chromium.new_context()
    seen, doing = await _logged_in(context, demo), await context.new_page()
    await seen.goto(f"{demo.url}/projects/1/events")
    await expect(seen.locator("[data-light]")).to_have_attribute("data-on", "true")
    await doing.goto(f"{demo.url}/projects/1")
    await seen.bring_to_front()
    await doing.get_by_label("Name").fill("feature/live")
    await doing.get_by_role("button", name="Fork").click()
    await expect(seen.get_by_text("feature/live").first).to_be_visible()
    await context.close()


async def test_the_same_works_without_scripts(chromium: Browser, demo: Served) -> None:
    context = await chromium.new_context(java_script_enabled=False)
    page = await _logged_in(context, demo)
    await page.get_by_label("Name").fill("feature/plain")
    await page.get_by_role("button", name="Fork").click()
    await expect(page.get_by_role("status")).to_have_text("feature/plain is forked.")
    await page.get_by_role("link", name="Documents").click()
    await page.get_by_role("link", name="project", exact=True).last.click()
    text = await page.get_by_label("JSON").input_value()
    await page.get_by_label("JSON").fill(text.replace('"EUR"', '"USD"'))
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("status")).to_have_text("Saved.")
    await page.get_by_role("link", name="Promote").click()
    await page.get_by_role("button", name="Look what it would do").click()
    await expect(page.locator(".diff ins").first).to_have_text('"USD"')
    await context.close()
