"""The one catalogue of refusals in GraphQL: as members of result unions, else as ``errors[].extensions.code``."""

import re
from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

import strawberry
from graphql import GraphQLError, GraphQLSyntaxError
from strawberry.extensions import MaskErrors
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types.field import StrawberryField

from app.domain import errors, plans, promotion_errors
from app.domain.errors import DomainError, Kind
from app.domain.model import Plan
from app.domain.plans import Limit
from app.domain.pointer import parse_pointer
from app.domain.promotion import DocumentConflict, Promotion
from app.services.failures import log_failure
from schema import promotions
from schema.conflicts import ChecksNode, Conflict
from schema.context import Context, Info
from schema.edges import APromotion
from schema.scalars import JSONPointer, UnreadableValue

_suggestion: Final = re.compile(r" Did you mean [^?]*\?").sub
INTERNAL_ERROR: Final = "internal_error"

T = TypeVar("T")


@strawberry.interface(description="Why an operation was not done. Nothing has changed then.")
class Refusal:
    code: str = strawberry.field(description="The catalogue's code, the same as `error` in REST.")
    message: str = strawberry.field(description="What is wrong and what would be right, for a person to read.")

    @classmethod
    def of(cls, error: DomainError) -> "Refusal":
        return cls(code=error.code, message=error.message)


@strawberry.type(description="The document has changed since the version that `expectedVersion` names.")
class VersionConflict(Refusal):
    expected: str | None = strawberry.field(description="The version that the caller expected.")
    current: str | None = strawberry.field(description="The version now; null if there is no document.")

    @classmethod
    def of(cls, error: DomainError) -> "VersionConflict":
        return cls(
            code=error.code,
            message=error.message,
            expected=_text(error, "expected"),
            current=_text(error, "current"),
        )


@strawberry.type(description="The state that the environment or the document is in does not allow this.")
class InvalidTransition(Refusal):
    pass


@strawberry.type(description="What the input names is not there, or not there for this caller.")
class NotFound(Refusal):
    pass


@strawberry.type(description="The caller is known but may not do this.")
class Forbidden(Refusal):
    pass


@strawberry.type(description="The input is well formed but cannot be used.")
class ValidationFailed(Refusal):
    field: str | None = strawberry.field(
        description="The member of the input that cannot be used, as REST calls it; null if it is not one member."
    )
    path: JSONPointer | None = strawberry.field(
        description="Where in the value given the trouble is; null if it is not at one place."
    )

    @classmethod
    def of(cls, error: DomainError) -> "ValidationFailed":
        return cls(code=error.code, message=error.message, field=_text(error, "field"), path=_pointer(error))


@strawberry.type(description="Another environment of the project, not archived, has this name.")
class EnvironmentNameTaken(Refusal):
    env_name: str | None = strawberry.field(description="The name in question.")

    @classmethod
    def of(cls, error: DomainError) -> "EnvironmentNameTaken":
        return cls(code=error.code, message=error.message, env_name=_text(error, "env_name"))


@strawberry.type(
    description="The project's plan does not allow it; `sandbox_not_available` if the plan has nothing of the kind."
)
class PlanLimitExceeded(Refusal):
    limit_type: Limit = strawberry.field(description="What the plan limits.")
    current: int = strawberry.field(
        description="How much there is; of generations, the number of the one to stand on; of days, how many asked for."
    )
    max: int = strawberry.field(description="How much the plan allows.")
    available_from: Plan = strawberry.field(description="The smallest plan that allows it.")

    @classmethod
    def of(cls, error: DomainError) -> "PlanLimitExceeded":
        return cls(
            code=error.code,
            message=error.message,
            limit_type=_given(error, "limit_type", Limit),
            current=_given(error, "current", int),
            max=_given(error, "max", int),
            available_from=_given(error, "available_from", Plan),
        )


@strawberry.type(description="A `test` operation of the JSON Patch found another value; nothing was changed.")
class PatchTestFailed(Refusal):
    operation: int | None = strawberry.field(description="Position of the operation in the patch, from 0.")
    path: JSONPointer | None = strawberry.field(description="Where the other value stands.")

    @classmethod
    def of(cls, error: DomainError) -> "PatchTestFailed":
        operation = error.fields.get("operation")
        return cls(
            code=error.code,
            message=error.message,
            operation=operation if isinstance(operation, int) else None,
            path=_pointer(error),
        )


@strawberry.type(
    description="What is to be promoted, rebased or undone cannot be: checks failed, or conflicts are open."
)
class PromotionBlocked(Refusal):
    checks: ChecksNode | None = strawberry.field(description="The checks of a promotion; null where there are none.")
    conflicts: list[Conflict] = strawberry.field(description="Those that need a resolution.")
    promotion: APromotion | None = strawberry.field(description="The request on record; null where there is none.")

    @classmethod
    def of(cls, error: DomainError) -> "PromotionBlocked":
        conflicts: Sequence[DocumentConflict] = ()
        if isinstance(error, promotion_errors.ConflictsOpen | promotion_errors.RolloutBlocked):
            conflicts = error.conflicts
        return cls(
            code=error.code,
            message=error.message,
            checks=ChecksNode.of(error.checks) if isinstance(error, promotion_errors.RolloutBlocked) else None,
            conflicts=[Conflict.of(item) for item in conflicts],
            promotion=None,
        )

    @classmethod
    def by_promotion(cls, promotion: Promotion) -> "PromotionBlocked":
        """Return the refusal that a blocked request is."""
        return cls(
            code="promotion_blocked",
            message=" ".join(promotion.checks.reasons.values()),
            checks=ChecksNode.of(promotion.checks),
            conflicts=[Conflict.of(item) for item in promotion.conflicts],
            promotion=promotions.PromotionNode.of(promotion),
        )


_BY_CLASS: Final[dict[type[DomainError], type[Refusal]]] = {
    errors.EnvironmentNameTaken: EnvironmentNameTaken,
    errors.PatchTestFailed: PatchTestFailed,
    promotion_errors.ConflictsOpen: PromotionBlocked,
    promotion_errors.RolloutBlocked: PromotionBlocked,
    plans.SandboxLimitExceeded: PlanLimitExceeded,
    plans.SandboxNotAvailable: PlanLimitExceeded,
}
_BY_KIND: Final[dict[Kind, type[Refusal]]] = {
    Kind.MALFORMED: ValidationFailed,
    Kind.INVALID: ValidationFailed,
    Kind.TOO_LARGE: ValidationFailed,
    Kind.UNSUPPORTED: ValidationFailed,
    Kind.FORBIDDEN: Forbidden,
    Kind.NOT_FOUND: NotFound,
    Kind.CONFLICT: InvalidTransition,
    Kind.STALE: VersionConflict,
}


def refusal_type(error: type[DomainError]) -> type[Refusal] | None:
    """Return the type of refusal that a kind of error becomes, or None if it is always a top-level error."""
    return _BY_CLASS.get(error) or _BY_KIND.get(error.kind)


def catalogue(root: type[DomainError] = DomainError) -> Iterator[type[DomainError]]:
    """Yield every class of refusal that the domain knows."""
    for error in root.__subclasses__():
        yield error
        yield from catalogue(error)


class RefusalHandler:
    """Turns a domain's refusal into the member of a result union, where the union has that member."""

    def __init__(self, refusal: type[Refusal]) -> None:
        self.error_type = refusal
        self.exception_type = tuple(error for error in catalogue() if refusal_type(error) is refusal)

    def handle(self, exception: DomainError, *, field: StrawberryField, info: Info) -> Refusal:
        return self.error_type.of(exception)


def refusal_handlers() -> list[RefusalHandler]:
    """Return one handler per type of refusal; a field's result union picks those that it has members for."""
    return [RefusalHandler(refusal) for refusal in {*_BY_CLASS.values(), *_BY_KIND.values()}]


class PresentErrors(MaskErrors):
    """Gives every error a code, and hides what nobody expected behind the request id."""

    def __init__(self, *, suggestions: bool = False) -> None:
        super().__init__(should_mask_error=lambda _: True)
        self._suggestions = suggestions

    def anonymise_error(self, error: GraphQLError) -> GraphQLError:
        context = self.execution_context.context
        request_id = context.request_id if isinstance(context, Context) else ""
        return presented(error, request_id, suggestions=self._suggestions)


def presented(error: GraphQLError, request_id: str, *, suggestions: bool = False) -> GraphQLError:
    """Return the error as the client may see it, with ``extensions.code``."""
    cause = unexpected(error)
    if cause is not None:
        message = f"Something went wrong here; if you report it, name the request {request_id}."
        return _located(error, message, {"code": INTERNAL_ERROR, "requestId": request_id})
    refusal = error.original_error
    if isinstance(refusal, DomainError):
        return _located(error, refusal.message, {**refusal.fields, "code": refusal.code})
    code = "graphql_parse_failed" if isinstance(error, GraphQLSyntaxError) else "graphql_invalid"
    message = error.message if suggestions else _without_suggestions(error.message)
    return _located(error, message, {"code": code, **(error.extensions or {})})


def _without_suggestions(message: str) -> str:
    # They would tell the schema to who may not ask for it.
    return _suggestion("", message)


def unexpected(error: GraphQLError) -> Exception | None:
    """Return what went wrong in our code, or None if the error is the client's to mend."""
    cause: Exception | None = error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    expected = (DomainError, UnreadableValue, CannotGetOperationTypeError, InvalidOperationTypeError)
    return None if isinstance(cause, expected) else cause


def log_unexpected(error: GraphQLError, request_id: str) -> None:
    """Log where an unexpected error came from."""
    cause = unexpected(error)
    if cause is not None:
        log_failure(cause, request_id, path=error.path)


def _located(error: GraphQLError, message: str, extensions: dict[str, object]) -> GraphQLError:
    return GraphQLError(
        message,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions=extensions,
    )


def _given(error: DomainError, name: str, kind: type[T]) -> T:
    value = error.fields[name]
    assert isinstance(value, kind)
    return value


def _text(error: DomainError, name: str) -> str | None:
    value = error.fields.get(name)
    return value if isinstance(value, str) else None


def _pointer(error: DomainError) -> JSONPointer | None:
    text = _text(error, "path")
    if text is None or (text and text[0] != "/"):
        return None
    try:
        return JSONPointer(parse_pointer(text))
    except DomainError:
        return None
