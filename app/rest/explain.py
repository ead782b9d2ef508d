"""``/api/sandbox/explain``: why a user sees what it sees at a place of a document."""

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from litestar import Router, get
from litestar.params import QueryParameter

from app.domain.explaining import Consideration, Explanation, Setting
from app.domain.model import PROJECT_KEY, PROJECT_KIND
from app.domain.pointer import format_pointer
from app.domain.routing import Reason
from app.domain.values import MISSING
from app.rest.answers import Answer, ChangeAnswer
from app.rest.context import implied_project
from app.rest.operations import ApiOperation
from app.rest.parameter_shapes import CONTEXT
from app.rest.parameters import Caller, ImpliedProjectId, Place
from app.rest.request import StrictRequest, environment_reference
from app.rest.route import User
from app.services import explaining

OfKind = Annotated[str | None, QueryParameter(name="kind", description="Kind of the document; without it, `project`.")]
OfKey = Annotated[str | None, QueryParameter(name="key", description="Key of the document, where it has one.")]


class RuleAnswer(Answer):
    rule: Any
    passed: bool


class ConsiderationAnswer(Answer):
    """`weight` is the share in percent that `bucket` is held against: in a rollout, or on side B of a test."""

    reason: Reason
    passed: bool
    env_uuid: UUID | None
    env_name: str | None
    bucket: int | None
    weight: int | None
    test_id: UUID | None
    variant: str | None
    segment_id: UUID | None
    segment_name: str | None
    rules: list[RuleAnswer]

    @classmethod
    def of(cls, found: Consideration) -> "ConsiderationAnswer":
        """Return the answer for a reason that was considered."""
        return cls(
            reason=found.reason,
            passed=found.passed,
            env_uuid=found.place.env_uuid if found.place else None,
            env_name=found.place.env_name if found.place else None,
            bucket=found.bucket,
            weight=found.weight,
            test_id=found.test_uuid,
            variant=found.variant,
            segment_id=found.segment_id,
            segment_name=found.segment_name,
            rules=[RuleAnswer(rule=check.rule, passed=check.passed) for check in found.rules],
        )


class SettingAnswer(Answer):
    """`value` is what stands there with this generation and all above it; null with `exists` false if nothing does."""

    generation_uuid: UUID
    generation: int
    env_uuid: UUID
    env_name: str | None
    is_checkpoint: bool
    exists: bool
    value: Any

    @classmethod
    def of(cls, setting: Setting) -> "SettingAnswer":
        """Return the answer for what a generation says."""
        return cls(
            generation_uuid=setting.generation.uuid,
            generation=setting.generation.number,
            env_uuid=setting.generation.env_uuid,
            env_name=setting.environment.name if setting.environment else None,
            is_checkpoint=setting.generation.is_checkpoint,
            exists=setting.value is not MISSING,
            value=None if setting.value is MISSING else setting.value,
        )


class ExplainAnswer(Answer):
    """`considered` are all reasons in their order: the first that passed is `reason`.

    `set_by` is the generation that set the value, null where nothing says anything of the place; `overrides` are the
    ancestors whose value it hides, the nearest first. `change` is the write that set it, where one is known.
    """

    user_uuid: str
    env_uuid: UUID
    env_name: str
    reason: Reason
    considered: list[ConsiderationAnswer]
    kind: str
    key: str
    path: str
    exists: bool
    value: Any
    protected: bool
    set_by: SettingAnswer | None
    overrides: list[SettingAnswer]
    change: ChangeAnswer | None

    @classmethod
    def of(cls, found: Explanation) -> "ExplainAnswer":
        """Return the answer for an explanation."""
        settings = [SettingAnswer.of(setting) for setting in found.settings]
        return cls(
            user_uuid=found.user,
            env_uuid=found.route.place.env_uuid,
            env_name=found.route.place.env_name,
            reason=found.route.reason,
            considered=[ConsiderationAnswer.of(item) for item in found.considered],
            kind=found.kind,
            key=found.key,
            path=format_pointer(found.path),
            exists=found.value is not MISSING,
            value=None if found.value is MISSING else found.value,
            protected=found.protected,
            set_by=settings[0] if settings else None,
            overrides=settings[1:],
            change=ChangeAnswer.of(found.change) if found.change else None,
        )


@dataclass
class Explaining(ApiOperation):
    """Explaining what a user sees."""

    def describe(self) -> None:
        """Add the context that the handler reads by itself."""
        self.parameters = [*(self.parameters or ()), *CONTEXT]


@get("/explain", operation_class=Explaining)
async def explain(
    request: StrictRequest,
    actor: Caller,
    below: Place,
    user_uuid: User,
    project_id: ImpliedProjectId = None,
    kind: OfKind = None,
    key: OfKey = None,
) -> ExplainAnswer:
    """Say why a user sees what it sees: which environment serves it, and which generation set the value at `path`.

    Protected values are masked.
    """
    project = implied_project(actor, project_id)
    named = environment_reference(request)
    kind, key = kind or PROJECT_KIND, key or PROJECT_KEY
    found = await explaining.explain(actor, project, user_uuid, below, kind=kind, key=key, env=named)
    return ExplainAnswer.of(found)


def explain_routes() -> Router:
    """Return the route of explanations."""
    return Router("/api/sandbox", route_handlers=[explain], tags=["Flags"])
