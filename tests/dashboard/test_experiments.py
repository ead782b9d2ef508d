"""A/B tests in a browser: made, looked at, stopped, won."""

from app.dashboard.experiments import WIDTH, picture
from app.domain.ab_stats import Comparison, Interval
from app.domain.model import Actor, Project
from app.services import documents, environments, experiments
from app.services.branching import ForkOptions
from tests.dashboard.browser import Browser


def test_the_picture_keeps_its_proportions() -> None:
    found = Comparison(0.02, Interval(-0.01, 0.05), None, None, 0.2, 0.9, Interval(-0.03, 0.07))
    drawn = picture(found, 100.0)
    assert drawn.zero == WIDTH / 2
    assert drawn.fixed is not None
    assert drawn.sequential is not None
    assert 0 < drawn.sequential[0] < drawn.fixed[0] < drawn.zero < drawn.point < drawn.fixed[1] < drawn.sequential[1]
    assert drawn.sequential[1] < WIDTH
    assert round(drawn.edge, 2) == 7.7
    nothing = picture(Comparison(0.0, None, None, None, None, None, None), 1.0)
    assert (nothing.zero, nothing.point, nothing.fixed, nothing.edge) == (WIDTH / 2, WIDTH / 2, None, 1.0)


async def test_a_test_is_made_watched_and_won(browser: Browser, home: str, actor: Actor, project: Project) -> None:
    env = (await environments.fork(actor, project.id, ForkOptions("feature/a"))).environment.uuid
    await documents.put(actor, project.id, str(env), "page", "home", {"title": "B"})
    page = await browser.get(f"{home}/experiments")
    page = await browser.submit(page, f"{home}/experiments", 422, split_pct="101")
    assert page.form(f"{home}/experiments").fields["split_pct"] == ["101"]
    page = await browser.submit(page, f"{home}/experiments", split_pct="50")
    here = page.answer.url.path
    assert "production vs feature/a active" in page.text
    assert "A side has nobody yet." in page.text
    test = (await experiments.list_experiments(actor, project.id)).items[0]
    for number in range(40):
        await experiments.variant(actor, test.uuid, f"user-{number}")
    page = await browser.get(here)
    assert "No winner yet." in page.text
    assert "Chance that B is better" in page.text
    fields = {**page.form(f"{here}/end").fields, "winner": ["B"], "do": ["declare"]}
    answer = await browser.client.post(f"{here}/end", data=fields, follow_redirects=True)
    assert "The winner is declared." in answer.text
    assert (await documents.read(actor, project.id, None, "page", "home")).state == {"title": "B"}
    page = await browser.get(here)
    assert "B has won" in page.text
    assert f"{here}/end" not in page.actions


async def test_a_test_is_stopped(browser: Browser, home: str, actor: Actor, project: Project) -> None:
    await environments.fork(actor, project.id, ForkOptions("feature/a"))
    page = await browser.submit(await browser.get(f"{home}/experiments"), f"{home}/experiments")
    here = page.answer.url.path
    fields = {"form_token": page.form(f"{here}/end").fields["form_token"], "do": ["stop"], "reason": ["too few"]}
    answer = await browser.client.post(f"{here}/end", data=fields, follow_redirects=True)
    assert "The test is stopped." in answer.text
    assert "too few" in answer.text
