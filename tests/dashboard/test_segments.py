"""The segment builder."""

from app.domain.model import PROJECT_KEY, PROJECT_KIND, USER_KIND, Actor, Project
from app.domain.segments import Segment, segments_of
from app.domain.values import Value
from app.services import documents, segments
from tests.dashboard.browser import Browser, Page


async def _sent(browser: Browser, page: Page, action: str, do: str, **fields: str) -> Page:
    form = page.form(action)
    data = {**form.fields, **{name: [value] for name, value in fields.items()}, "do": [do]}
    return Page(await browser.client.post(action, data=data, follow_redirects=True))


async def test_a_segment_is_built_previewed_saved_changed_and_deleted(
    browser: Browser, home: str, actor: Actor, project: Project
) -> None:
    for number in range(5):
        user = {"tier": "premium" if number < 3 else "free", "orders": number, "country": "DE" if number else "US"}
        await documents.put(actor, project.id, None, USER_KIND, f"u{number}", dict(user))
    here = f"{home}/segments"
    page = await browser.get(here)
    rules = {"field-0": "tier", "value-0": "premium", "field-1": "orders", "op-1": "gt", "value-1": "0"}
    page = await _sent(browser, page, here, "preview", name="Loyal", **rules)
    assert "2 of 5 users of production match now. u1, u2" in page.text
    page = await _sent(browser, page, here, "row")
    assert page.form(here).fields["value-0"] == ["premium"]
    assert "field-3" in page.form(here).fields
    fields = {"field-2": "country", "op-2": "in", "value-2": "DE, FR"}
    page = await _sent(browser, page, here, "save", **fields)
    assert "The segment Loyal is saved." in page.text
    (segment,) = await _segments(actor, project)
    assert segment.rules_json == [
        {"field": "tier", "op": "eq", "value": "premium"},
        {"field": "orders", "op": "gt", "value": 0},
        {"field": "country", "op": "in", "value": ["DE", "FR"]},
    ]
    edit = next(link for link in page.links if "edit=" in link)
    page = await browser.get(edit.partition("#")[0])
    page = await _sent(
        browser, page, here, "save", name="Dear", groups='[{"not": {"field": "tier", "op": "eq", "value": "5"}}]'
    )
    (segment,) = await _segments(actor, project)
    assert (segment.name, len(segment.rules_json)) == ("Dear", 4)
    page = await browser.submit(page, f"{here}/delete")
    assert await _segments(actor, project) == []


async def test_an_environment_serves_and_is_forked_with_a_segment(
    browser: Browser, home: str, actor: Actor, project: Project
) -> None:
    for key, tier in (("u1", "premium"), ("u2", "free")):
        await documents.put(actor, project.id, None, USER_KIND, key, {"tier": tier})
    rules: list[Value] = [{"field": "tier", "op": "eq", "value": "premium"}]
    made = await segments.create(actor, project.id, None, "Premium", rules)
    page = await browser.submit(
        await browser.get(home), f"{home}/fork", env_name="vip", segment=str(made.segment.segment_id)
    )
    here = page.answer.url.path
    assert "u1" in (await browser.get(f"{here}/documents?kind=user")).text
    assert "u2" not in (await browser.get(f"{here}/documents?kind=user")).text
    page = await browser.submit(page, f"{here}/settings", segments=str(made.segment.segment_id))
    assert "Segments 1" in page.text
    listed = await browser.get(f"{home}/segments")
    refused = await browser.submit(listed, f"{home}/segments/delete", 409)
    assert "segment_in_use" in refused.text


async def _segments(actor: Actor, project: Project) -> list[Segment]:
    document = await documents.read(actor, project.id, None, PROJECT_KIND, PROJECT_KEY)
    return list(segments_of(document.state).values())


async def test_a_mistake_keeps_what_was_written(browser: Browser, home: str) -> None:
    here = f"{home}/segments"
    page = await browser.get(here)
    wrong = await _sent(browser, page, here, "save", name="x", groups="[{oops")
    assert (wrong.answer.status_code, wrong.form(here).fields["groups"]) == (400, ["[{oops"])
    fields = {"field-0": "a", "groups": '[{"any": 5}]'}
    faulty = await _sent(browser, page, here, "save", name="x", **fields)
    assert (faulty.answer.status_code, faulty.form(here).fields["field-0"]) == (422, ["a"])
