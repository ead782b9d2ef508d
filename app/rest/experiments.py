"""``/api/sandbox/ab-test``: A/B tests, from their making to their winner."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.openapi.spec import OpenAPIMediaType, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import FromPath, JSONBody, QueryParameter

from app.domain.experiments import ExperimentStatus
from app.domain.promotion import PromotionStatus
from app.domain.rates import RateClass
from app.rest.body import read_body
from app.rest.context import implied_project
from app.rest.experiment_answers import (
    ControlKept,
    DeclaredAnswer,
    IngestedAnswer,
    TestAnswer,
    TestsAnswer,
    VariantAnswer,
    declared_answer,
)
from app.rest.experiment_bodies import DeclareRequest, ExposuresRequest, ResultsRequest, StopRequest, TestRequest
from app.rest.metering import RATE
from app.rest.metrics_answers import MetricsAnswer
from app.rest.operations import ApiOperation, Promoting
from app.rest.parameters import Caller, Cursor, ImpliedProjectId, Limit
from app.rest.request import JSON, StrictRequest
from app.rest.route import User
from app.services import declaring, experiments, ingesting

OFTEN = {RATE: RateClass.OFTEN}

Statuses = Annotated[
    list[ExperimentStatus] | None, QueryParameter(name="status", description="Only these; repeatable.")
]
Expose = Annotated[bool, QueryParameter(description="`false`: only look, and count nothing.")]
Effect = Annotated[
    float | None,
    QueryParameter(
        ge=-100,
        le=1_000_000,
        description="How many users show a relative change of the rate by so many percent? Answered as `sample_size`.",
    ),
]
Baseline = Annotated[
    float | None,
    QueryParameter(
        ge=0,
        le=100,
        description="The rate, in percent, that `effect_pct` changes; left out: that of A.",
        # The description leaves out a least value of 0 by itself.
        schema_extra={"minimum": 0},
    ),
]


@dataclass
class Stopping(ApiOperation):
    """An operation whose body may be left out."""

    def describe(self) -> None:
        """Add the body, which the handler reads by itself."""
        reason = {"reason": Schema(type=OpenAPIType.STRING)}
        schema = Schema(type=OpenAPIType.OBJECT, properties=dict(reason))
        self.request_body = RequestBody(required=False, content={JSON: OpenAPIMediaType(schema=schema)})


@dataclass
class Declaring(Promoting):
    """Promoting as the answer to a declaration; never a dry run."""

    def describe(self) -> None:
        """Add nothing."""


@post("/ab-test", status_code=201)
async def create_test(data: JSONBody[TestRequest], actor: Caller, project_id: ImpliedProjectId = None) -> TestAnswer:
    """Let two environments be compared by what their users do, from now on.

    Production may be the control, `env_a_uuid`. A user's variant is the same for ever: bucket = the first 8 bytes of
    SHA-256 over user and `ab_seed`, modulo 100; below `split_pct` it is B.
    """
    return TestAnswer.of(await experiments.create(actor, data.design(), project_id))


@get("/ab-tests")
async def list_tests(
    actor: Caller,
    project_id: ImpliedProjectId = None,
    status: Statuses = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> TestsAnswer:
    """List A/B tests, newest first."""
    project = implied_project(actor, project_id)
    page = await experiments.list_experiments(actor, project, statuses=status or (), limit=limit, cursor=cursor)
    return TestsAnswer(ab_tests=[TestAnswer.of(item) for item in page.items], next_cursor=page.next_cursor)


@get("/ab-test/{test_id:str}")
async def get_test(test_id: FromPath[UUID], actor: Caller, project_id: ImpliedProjectId = None) -> TestAnswer:
    """Show an A/B test."""
    return TestAnswer.of(await experiments.get(actor, test_id, project_id))


@get("/ab-test/{test_id:str}/variant", opt=OFTEN)
async def get_variant(
    test_id: FromPath[UUID],
    user_uuid: User,
    actor: Caller,
    expose: Expose = True,
    project_id: ImpliedProjectId = None,
) -> VariantAnswer:
    """Say which variant a user sees, and count that it is seen.

    A test that has ended still says it, and counts nothing.
    """
    return VariantAnswer.of(await experiments.variant(actor, test_id, user_uuid, expose=expose, project_id=project_id))


@post("/ab-test/{test_id:str}/exposure", status_code=202, opt=OFTEN)
async def record_exposures(
    test_id: FromPath[UUID], data: JSONBody[ExposuresRequest], actor: Caller, project_id: ImpliedProjectId = None
) -> IngestedAnswer:
    """Record that users have seen their variants, for programs that deal them by themselves.

    A user's first exposure counts. Of a list, what cannot be done is in `refused`; the rest is done.
    """
    single = data.exposures is None
    done = await ingesting.record_exposures(actor, test_id, data.told(), project_id, single=single)
    return IngestedAnswer.of(test_id, done)


@post("/ab-test/{test_id:str}/result", status_code=202, opt=OFTEN)
async def record_results(
    test_id: FromPath[UUID], data: JSONBody[ResultsRequest], actor: Caller, project_id: ImpliedProjectId = None
) -> IngestedAnswer:
    """Record that users who saw their variant have converted.

    A user's first result counts. Of a list, what cannot be done is in `refused`; the rest is done.
    """
    done = await ingesting.record_results(actor, test_id, data.told(), project_id, single=data.results is None)
    return IngestedAnswer.of(test_id, done)


@get("/ab-test/{test_id:str}/metrics")
async def get_metrics(
    test_id: FromPath[UUID],
    actor: Caller,
    effect_pct: Effect = None,
    baseline_pct: Baseline = None,
    project_id: ImpliedProjectId = None,
) -> MetricsAnswer:
    """Show what was counted so far and what it says.

    `recommendation` may be looked at as often as you like; whoever decides by `p_value` has to look once.
    """
    found = await experiments.metrics(
        actor, test_id, effect_pct=effect_pct, baseline_pct=baseline_pct, project_id=project_id
    )
    return MetricsAnswer.of(found)


@post("/ab-test/{test_id:str}/stop", status_code=200, operation_class=Stopping)
async def stop_test(
    test_id: FromPath[UUID], request: StrictRequest, actor: Caller, project_id: ImpliedProjectId = None
) -> TestAnswer:
    """Stop an A/B test without a winner. Nothing is counted any more; users keep their variants."""
    data = read_body(await request.members((JSON,)), StopRequest)
    return TestAnswer.of(await experiments.stop(actor, test_id, data.reason, project_id))


@post("/ab-test/{test_id:str}/promote", status_code=201, operation_class=Declaring)
async def declare_winner(
    test_id: FromPath[UUID], data: JSONBody[DeclareRequest], actor: Caller, project_id: ImpliedProjectId = None
) -> Response[DeclaredAnswer | ControlKept]:
    """Declare the winner of an A/B test: its environment is promoted as by `POST /promote`.

    The test is completed when the promotion is. A production that wins as the control is left alone.
    """
    done = await declaring.declare(actor, test_id, data.winner, data.options(), project_id)
    status = PromotionStatus.COMPLETED if done.promotion is None else done.promotion.status
    code = {PromotionStatus.COMPLETED: 201, PromotionStatus.BLOCKED: 409}.get(status, 202)
    return Response(declared_answer(done), status_code=code)


def experiment_routes() -> Router:
    """Return the routes of A/B tests."""
    return Router(
        "/api/sandbox",
        route_handlers=[
            create_test,
            list_tests,
            get_test,
            get_variant,
            record_exposures,
            record_results,
            get_metrics,
            stop_test,
            declare_winner,
        ],
        tags=["A/B tests"],
    )
