"""A/B tests: what was counted, what it says, and ending one."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from app.dashboard import promotion_forms
from app.dashboard.parameters import Cursor, EnvUuid, Here, ProjectId
from app.dashboard.visit import Problem, Visit
from app.domain.ab_metrics import CONVERSION
from app.domain.ab_stats import Comparison, Interval
from app.domain.bucketing import Variant
from app.domain.errors import DomainError, ValidationFailed
from app.domain.model import EnvStatus
from app.domain.promotion import PromotionStatus
from app.services import declaring, environments, experiments
from app.services.experiments import Design

PAGE: Final = 25
WIDTH: Final = 560
MARGIN: Final = 40
TESTS: Final = "/projects/{project_id:int}/experiments"
TEST: Final = f"{TESTS}/{{test_uuid:uuid}}"


@dataclass(frozen=True, slots=True)
class Picture:
    """Intervals of the difference B - A, in pixels of a drawing ``WIDTH`` wide, zero at ``zero``."""

    zero: float
    point: float
    fixed: tuple[float, float] | None
    sequential: tuple[float, float] | None
    edge: float


def picture(found: Comparison, unit: float) -> Picture:
    """Return the drawing of a comparison; ``edge`` is the largest difference that it has room for, times ``unit``."""
    intervals = [item for item in (found.absolute_interval, found.sequential_interval) if item is not None]
    ends = [abs(end) for item in intervals for end in (item.low, item.high)]
    edge = max([abs(found.absolute), *ends]) * 1.1 or 1.0

    def place(value: float) -> float:
        return round(WIDTH / 2 + value / edge * (WIDTH / 2 - MARGIN), 1)

    def drawn(interval: Interval | None) -> tuple[float, float] | None:
        return None if interval is None else (place(interval.low), place(interval.high))

    return Picture(
        place(0.0),
        place(found.absolute),
        drawn(found.absolute_interval),
        drawn(found.sequential_interval),
        edge * unit,
    )


@get(TESTS)
async def experiments_page(visit: Here, project_id: ProjectId, cursor: Cursor = None) -> Response[bytes]:
    """List the A/B tests of a project, the newest first."""
    return await _list(visit, project_id, cursor)


async def _list(
    visit: Visit, project_id: int, cursor: str | None = None, problem: Problem | None = None
) -> Response[bytes]:
    shell = await visit.shell(project_id)
    page = await experiments.list_experiments(visit.actor, project_id, limit=PAGE, cursor=cursor)
    return visit.page(
        "experiments.html", shell=shell, section="experiments", page=page, usual=CONVERSION, problem=problem
    )


@post(TESTS)
async def create(visit: Here, project_id: ProjectId) -> Response[bytes]:
    """Make a test that runs from now on."""
    form = visit.form
    try:
        side_a, side_b, share = form.uuid("env_a"), form.uuid("env_b"), form.integer("split_pct")
        if side_a is None or side_b is None:
            raise ValidationFailed("Choose both environments.", field="env_b")
        design = Design(side_a, side_b, 50 if share is None else share, form.given("metric") or CONVERSION)
        made = await experiments.create(visit.actor, design, project_id)
    except DomainError as error:
        return await _list(visit, project_id, problem=Problem("experiment", error, form))
    return visit.to(f"/projects/{project_id}/experiments/{made.uuid}", "The test runs.")


@get(TEST)
async def experiment_page(visit: Here, project_id: ProjectId, test_uuid: EnvUuid) -> Response[bytes]:
    """Show a test: counts of both sides, how they compare, and whether one should win."""
    return await _show(visit, project_id, test_uuid)


async def _show(visit: Visit, project_id: int, test_uuid: UUID, problem: Problem | None = None) -> Response[bytes]:
    shell = await visit.shell(project_id)
    found = await experiments.metrics(visit.actor, test_uuid, project_id=project_id)
    test = found.experiment
    sides = [await environments.get(visit.actor, uuid, project_id) for uuid in (test.env_a_uuid, test.env_b_uuid)]
    pictures = []
    if found.conversion is not None:
        pictures.append(("Conversion, percentage points", picture(found.conversion, 100.0), found.conversion))
    if found.values_per_user is not None:
        compared = found.values_per_user.comparison
        pictures.append((f"{test.metric} per user", picture(compared, 1.0), compared))
    return visit.page(
        "experiment.html",
        shell=shell,
        section="experiments",
        found=found,
        test=test,
        sides=list(zip(Variant, sides, (found.a, found.b), strict=True)),
        pictures=pictures,
        width=WIDTH,
        living=all(side.status is not EnvStatus.ARCHIVED for side in sides),
        problem=problem,
    )


@post(f"{TEST}/end")
async def end(visit: Here, project_id: ProjectId, test_uuid: EnvUuid) -> Response[bytes]:
    """Stop a test, or declare its winner and promote that."""
    form, here = visit.form, f"/projects/{project_id}/experiments/{test_uuid}"
    try:
        if form.text("do") == "stop":
            await experiments.stop(visit.actor, test_uuid, form.given("reason"), project_id)
            return visit.to(here, "The test is stopped.")
        if form.text("winner") not in tuple(Variant):
            raise ValidationFailed("Choose the side that has won.", field="winner")
        wanted = promotion_forms.options(form)
        done = await declaring.declare(visit.actor, test_uuid, Variant(form.text("winner")), wanted, project_id)
    except DomainError as error:
        return await _show(visit, project_id, test_uuid, Problem("end", error, form))
    if done.promotion is None:
        return visit.to(here, "The control has won, which is production already.")
    blocked = done.promotion.status is PromotionStatus.BLOCKED
    said = "The checks say why the winner was not promoted." if blocked else "The winner is declared."
    return visit.to(f"/projects/{project_id}/promotions/{done.promotion.uuid}", said)


def experiment_pages() -> list[HTTPRouteHandler]:
    """Return the pages of A/B tests."""
    return [experiments_page, create, experiment_page, end]
