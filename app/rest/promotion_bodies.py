"""Bodies of promotions and releases (reference guide, "Promotion"; ``rest.md``)."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from msgspec import UNSET, UnsetType

from app.domain import names
from app.domain.errors import BadRequest, ValidationFailed
from app.domain.guards import Guard, Metric
from app.domain.json_text import check_storable
from app.domain.model import PROJECT_KIND, Strategy
from app.domain.pointer import format_pointer, parse_path
from app.domain.promotion import DocumentPaths, DocumentResolution
from app.domain.three_way import Side
from app.domain.values import MISSING, State
from app.rest.bodies import ProjectNumber
from app.rest.body import Body
from app.services.promoting import PromoteOptions

DELETE = "delete"
MAX_ENTRIES = 10_000


class ResolutionBody(Body):
    """How one conflict is settled: `take` is `ours`, `theirs`, `base` or `delete`; or a `value` is given."""

    path: str
    kind: str = PROJECT_KIND
    key: str | None = None
    take: str | None = None
    value: Any | UnsetType = UNSET

    def resolution(self) -> DocumentResolution:
        """Return what the service needs to know. Raises ValidationFailed."""
        if (self.take is None) == (self.value is UNSET):
            raise ValidationFailed("A resolution has either 'take' or 'value'.", field="resolutions")
        if self.take is not None and self.take not in (DELETE, *Side):
            raise ValidationFailed(f"'take' is one of {', '.join((*Side, DELETE))}.", field="resolutions")
        side = Side(self.take) if self.take in tuple(Side) else None
        state: State = MISSING if self.value is UNSET else check_storable(self.value)
        kind, key = names.document_name(self.kind, self.key)
        return DocumentResolution(kind, key, format_pointer(parse_path(self.path)), side, state)


class PathsBody(Body):
    """Which changes of a document to promote: those at or below `paths` (RFC 6901), or below the one `path`."""

    kind: str = PROJECT_KIND
    key: str | None = None
    paths: list[str] | None = None
    path: str | None = None

    def chosen(self) -> DocumentPaths:
        """Return what the service needs to know. Raises ValidationFailed, InvalidPath."""
        if (self.path is None) == (self.paths is None):
            raise ValidationFailed("Name 'paths' or one 'path' of each document.", field="paths")
        given = [self.path] if self.path is not None else self.paths or []
        kind, key = names.document_name(self.kind, self.key)
        return DocumentPaths(kind, key, [format_pointer(parse_path(path)) for path in given])


class GuardBody(Body):
    """A metric above whose `threshold` a canary is aborted: a share of requests, milliseconds, or where it is
    `relative` so many times production's."""

    metric: Metric
    threshold: Any
    relative: bool = False

    def guard(self) -> Guard:
        """Return what the service needs to know. Raises ValidationFailed."""
        if not isinstance(self.threshold, int | Decimal) or isinstance(self.threshold, bool):
            raise ValidationFailed("A threshold is a number.", field="guards")
        return Guard(self.metric, self.threshold, self.relative)


class PromotionBody(Body):
    """How to promote. `instant: true` means the strategy `immediate`, `false` `blue_green`.

    A path that stands alone in `paths` is one of the project document.
    """

    strategy: Strategy | None = None
    instant: bool | None = None
    rollout_steps: list[Any] | None = None
    guards: list[GuardBody] | None = None
    paths: list[PathsBody | str] | None = None
    resolutions: list[ResolutionBody] | None = None
    message: str | None = None
    override_freeze: bool = False

    def options(self) -> PromoteOptions:
        """Return what the service needs to know. Raises BadRequest, ValidationFailed, InvalidPath."""
        return PromoteOptions(
            strategy=self._strategy(),
            rollout_steps=self.rollout_steps,
            paths=None if self.paths is None else [_paths(item) for item in bounded(self.paths, "paths")],
            resolutions=resolutions(self.resolutions),
            message=self.message,
            override_freeze=self.override_freeze,
            guards=None if self.guards is None else [guard.guard() for guard in self.guards],
        )

    def _strategy(self) -> Strategy:
        if self.instant is None:
            return self.strategy or Strategy.IMMEDIATE
        meant = Strategy.IMMEDIATE if self.instant else Strategy.BLUE_GREEN
        if self.strategy not in (None, meant):
            raise BadRequest("'instant' and 'strategy' contradict each other.", path="/instant")
        return meant


class PromoteRequest(PromotionBody, kw_only=True):
    """What to promote, and how. With `dry_run` nothing is changed, and the answer has pages of documents."""

    env_uuid: UUID
    dry_run: bool = False
    limit: int = 50
    cursor: str | None = None


def _paths(item: PathsBody | str) -> DocumentPaths:
    return (PathsBody(path=item) if isinstance(item, str) else item).chosen()


def resolutions(given: Sequence[ResolutionBody] | None) -> list[DocumentResolution]:
    """Return what the service needs to know. Raises ValidationFailed, InvalidPath."""
    return [item.resolution() for item in bounded(given or (), "resolutions")]


def bounded(items: Sequence[Any], field: str) -> Sequence[Any]:
    """Return ``items`` if they are not too many. Raises ValidationFailed."""
    if len(items) > MAX_ENTRIES:
        raise ValidationFailed(f"At most {MAX_ENTRIES:,} {field} at once.", field=field)
    return items


class ApproveRequest(Body):
    """Names a request, or an environment with one pending. `reject: true` needs a `reason`."""

    promotion_id: UUID | None = None
    env_uuid: UUID | None = None
    reject: bool = False
    reason: str | None = None
    override_freeze: bool = False


class DecisionRequest(Body):
    """What is decided of the request that the address names. `reject: true` needs a `reason`."""

    reject: bool = False
    reason: str | None = None
    override_freeze: bool = False


class ValidateRequest(Body):
    env_uuid: UUID


class RebaseRequest(Body):
    env_uuid: UUID
    resolutions: list[ResolutionBody] | None = None


class ReleaseRollbackRequest(Body):
    resolutions: list[ResolutionBody] | None = None
    message: str | None = None


class PendingRequest(Body):
    """`project_id` stands in the address already; in the body it has to agree."""

    env_uuid: UUID
    project_id: ProjectNumber | None = None


class NotifyRequest(Body):
    env_uuid: UUID
    message: str | None = None
