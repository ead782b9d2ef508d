"""The one catalogue of refusals: code, kind, message, fields (semantics §10).

The kinds know nothing of HTTP; ``app/rest/errors.py`` turns them into a status, ``schema/errors.py`` into
GraphQL. Messages are for the person who made the mistake: what is wrong, and what would be right.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import ClassVar


class Kind(Enum):
    """What sort of refusal it is; each door maps it once."""

    MALFORMED = "malformed"
    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    STALE = "stale"
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported"
    TOO_MANY = "too_many"
    UNAVAILABLE = "unavailable"


class DomainError(Exception):
    """A refusal with data. ``code`` and ``kind`` belong to the class, ``fields`` to the occurrence."""

    code: ClassVar[str]
    kind: ClassVar[Kind]

    def __init__(self, message: str, **fields: object) -> None:
        super().__init__(message)
        self.message = message
        self.fields: Mapping[str, object] = fields


class MalformedJson(DomainError):
    code, kind = "malformed_json", Kind.MALFORMED


class ValidationFailed(DomainError):
    """Well-formed input that means nothing here; ``path`` says where."""

    code, kind = "validation_failed", Kind.INVALID


class AddressRefused(ValidationFailed):
    """The server sends nothing to this URL."""

    code = "address_refused"

    def __init__(self, reason: str) -> None:
        super().__init__(reason, field="url")


class BadRequest(DomainError):
    """A request whose parts do not fit together, or a parameter that cannot be read."""

    code, kind = "bad_request", Kind.MALFORMED


class InvalidPath(DomainError):
    code, kind = "invalid_path", Kind.INVALID

    def __init__(self, path: str, reason: str, **fields: object) -> None:
        super().__init__(f"The path {path[:200]!r} cannot be read: {reason}.", path=path[:200], **fields)
        self.reason = reason


class ValueNotStorable(DomainError):
    """JSON that is well formed but beyond what a document may hold; ``path`` says where."""

    code, kind = "value_not_storable", Kind.INVALID


class PatchFailed(DomainError):
    """A JSON Patch operation that does not fit the document (RFC 6902 §5); nothing was changed."""

    code, kind = "patch_failed", Kind.INVALID


class PatchTestFailed(DomainError):
    """A ``test`` operation of a JSON Patch found another value (RFC 6902 §4.6)."""

    code, kind = "patch_test_failed", Kind.CONFLICT


class UnknownKind(DomainError):
    code, kind = "unknown_kind", Kind.NOT_FOUND

    def __init__(self, name: str) -> None:
        super().__init__(f"This project has no entities of the kind {name[:64]!r}.", entity_kind=name[:64])


class Unauthenticated(DomainError):
    code, kind = "unauthenticated", Kind.UNAUTHENTICATED


class InvalidCredentials(DomainError):
    code, kind = "invalid_credentials", Kind.UNAUTHENTICATED

    def __init__(self) -> None:
        super().__init__("The e-mail address or the password is wrong.")


class InvalidRefreshToken(DomainError):
    """Unknown, used before, expired or revoked: the caller is not told which."""

    code, kind = "invalid_refresh_token", Kind.UNAUTHENTICATED

    def __init__(self) -> None:
        super().__init__("The refresh token is not valid; log in again.")


class TooManyAttempts(DomainError):
    """Too many wrong passwords lately; ``retry_after`` is in seconds."""

    code, kind = "too_many_attempts", Kind.TOO_MANY

    def __init__(self, retry_after: int) -> None:
        super().__init__("Too many failed logins; try again later.", retry_after=retry_after)


class RateLimited(DomainError):
    """More was asked for than the project's plan allows; ``retry_after`` is in seconds."""

    code, kind = "rate_limited", Kind.TOO_MANY

    def __init__(self, whose: str, retry_after: int) -> None:
        super().__init__(
            f"The rate limit of this {whose} is used up; try again in {retry_after} s.",
            limited=whose,
            retry_after=retry_after,
        )


class TooManyAtOnce(DomainError):
    """So many requests of the project are being answered already; ``retry_after`` is in seconds."""

    code, kind = "too_many_at_once", Kind.TOO_MANY

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"{limit} requests of this project are being answered; wait for some of them.", limit=limit, retry_after=1
        )


class Forbidden(DomainError):
    code, kind = "forbidden", Kind.FORBIDDEN


class TokenKindForbidden(DomainError):
    """The operation needs a user's JWT, and an API key was given."""

    code, kind = "jwt_required", Kind.FORBIDDEN

    def __init__(self) -> None:
        super().__init__("This operation needs a user's token from /api/auth/login, not an API key.")


class EnvironmentRestricted(Forbidden):
    """The member may change some environments only, and this is none of them."""

    code = "environment_restricted"

    def __init__(self, env_uuid: object, allowed: Sequence[str]) -> None:
        super().__init__(
            "Your membership is limited to some environments, and this is none of them.",
            env_uuid=str(env_uuid),
            environments=list(allowed),
        )


class DirectProductionWriteForbidden(Forbidden):
    """The project's ``direct_prod_roles`` leave the caller out."""

    code = "direct_production_write_forbidden"

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__(
            "This project does not let you write to production directly: fork an environment, change it there, and"
            " promote it.",
            direct_prod_roles=list(allowed),
            hint="POST /api/sandbox/fork",
        )


class InvitationForAnother(Forbidden):
    """The invitation is for an e-mail address that is not the caller's."""

    code = "invitation_for_another"

    def __init__(self) -> None:
        super().__init__("This invitation is for another e-mail address; log in with the account that has it.")


class SandboxSecretAccessDenied(DomainError):
    code, kind = "sandbox_secret_access_denied", Kind.FORBIDDEN


class FieldProtected(DomainError):
    """A rule on a protected field: whom it matches would tell what is there."""

    code, kind = "field_protected", Kind.INVALID

    def __init__(self, field: str) -> None:
        super().__init__(f"The field {field[:200]!r} is protected; no rule can ask for it.", field=field[:200])


class FieldNotProtected(DomainError):
    code, kind = "field_not_protected", Kind.MALFORMED

    def __init__(self, field: str) -> None:
        super().__init__(f"The field {field[:200]!r} is not protected here: read it.", field=field[:200])


class TooManyChecks(DomainError):
    """Too many values that were not the protected one; ``retry_after`` is in seconds."""

    code, kind = "too_many_checks", Kind.TOO_MANY

    def __init__(self, retry_after: int) -> None:
        super().__init__("Too many wrong values for this field; try again later.", retry_after=retry_after)


class NotFound(DomainError):
    """Base of what is not there, or not there for this caller."""

    code, kind = "not_found", Kind.NOT_FOUND


class ProjectNotFound(NotFound):
    code = "project_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such project, or you are not a member of it.")


class MemberNotFound(NotFound):
    code = "member_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such member in this project.")


class InvitationNotFound(NotFound):
    """Unknown, used, replaced, revoked or expired: whoever holds the token is not told which."""

    code = "invitation_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such invitation, or it can be used no more; ask for a new one.")


class WebhookNotFound(NotFound):
    code = "webhook_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such webhook in this project.")


class DeliveryNotFound(NotFound):
    code = "delivery_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such delivery of this webhook.")


class EnvironmentNotFound(NotFound):
    code = "environment_not_found"

    def __init__(self, reference: str) -> None:
        super().__init__(f"There is no environment {reference[:200]!r} here.", environment=reference[:200])


class DocumentNotFound(NotFound):
    code = "document_not_found"

    def __init__(self, entity_kind: str, key: str) -> None:
        super().__init__(
            f"There is no {entity_kind!r} document with the key {key[:256]!r} in this environment.",
            entity_kind=entity_kind,
            key=key[:256],
        )


class GenerationNotFound(NotFound):
    code = "generation_not_found"


class CheckpointNotFound(NotFound):
    code = "checkpoint_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such checkpoint here.")


class BackupNotFound(NotFound):
    code = "backup_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such backup here.")


class FreezeNotFound(NotFound):
    code = "freeze_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such freeze here.")


class SnapshotNotFound(NotFound):
    code = "snapshot_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such pinned snapshot here.")


class StateNotFound(NotFound):
    """A UUID names no layer, entity, generation, checkpoint, pin or environment of the project."""

    code = "state_not_found"

    def __init__(self, uuid: object) -> None:
        super().__init__(f"No state of this project has the UUID {uuid}.", uuid=str(uuid))


class VersionNotFound(NotFound):
    """``as_of`` names a time or version before the environment existed, or one still to come."""

    code = "version_not_found"


class PathNotFound(NotFound):
    code = "path_not_found"

    def __init__(self, path: str) -> None:
        super().__init__(f"The document has nothing at {path[:200]!r}.", path=path[:200])


class Conflict(DomainError):
    """What is asked for cannot be done as things stand."""

    code, kind = "conflict", Kind.CONFLICT


class EmailTaken(DomainError):
    code, kind = "email_taken", Kind.CONFLICT

    def __init__(self) -> None:
        super().__init__("An account with this e-mail address exists already.")


class AlreadyMember(DomainError):
    code, kind = "already_member", Kind.CONFLICT

    def __init__(self) -> None:
        super().__init__("This account is a member of the project already.")


class LastOwner(DomainError):
    """A project is never without an owner."""

    code, kind = "last_owner", Kind.CONFLICT

    def __init__(self) -> None:
        super().__init__("The project has no other owner: make somebody an owner first.")


class WebhookDisabled(DomainError):
    code, kind = "webhook_disabled", Kind.CONFLICT

    def __init__(self) -> None:
        super().__init__("This webhook is disabled, so nothing is sent to it; enable it first.")


class TooManyWebhooks(DomainError):
    code, kind = "too_many_webhooks", Kind.CONFLICT

    def __init__(self, limit: int) -> None:
        super().__init__(f"A project has at most {limit} webhooks; delete one first.", max=limit)


class EnvironmentNameTaken(DomainError):
    code, kind = "environment_name_taken", Kind.CONFLICT

    def __init__(self, name: str) -> None:
        super().__init__(f"An environment named {name!r} exists already in this project.", env_name=name)


class EnvironmentArchived(DomainError):
    code, kind = "environment_archived", Kind.CONFLICT

    def __init__(self, reference: object, *, active: bool = False) -> None:
        message = "This environment is archived; it can no longer be used."
        if active:
            message = "Your active environment is archived; choose another, or name one with the request."
        super().__init__(message, environment=str(reference))


class ProductionProtected(DomainError):
    """An operation that production never allows, such as archiving it."""

    code, kind = "production_protected", Kind.CONFLICT


class InvalidTransition(DomainError):
    code, kind = "invalid_transition", Kind.CONFLICT


class WriteWhileRollingOut(DomainError):
    code, kind = "environment_rolling_out", Kind.CONFLICT

    def __init__(self) -> None:
        super().__init__("This environment is rolling out; abort or complete the rollout before writing to it.")


class DocumentRequired(DomainError):
    code, kind = "document_required", Kind.CONFLICT

    def __init__(self) -> None:
        super().__init__("The project document cannot be deleted; replace it with {} to empty it.")


class DepthLimitExceeded(DomainError):
    code, kind = "depth_limit_exceeded", Kind.CONFLICT


class VersionConflict(DomainError):
    """The caller's ``If-Match`` or ``expectedVersion`` is no longer the document's version."""

    code, kind = "version_conflict", Kind.STALE

    def __init__(self, expected: str, current: str | None) -> None:
        super().__init__(
            "The document has changed since you read it; read it again and repeat your change.",
            expected=expected[:200],
            current=current,
        )


class BodyTooLarge(DomainError):
    code, kind = "body_too_large", Kind.TOO_LARGE

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body is larger than {limit:,} bytes.", limit=limit)


class UnsupportedMediaType(DomainError):
    code, kind = "unsupported_media_type", Kind.UNSUPPORTED


class Busy(DomainError):
    """A write lost its race against others too often; nothing was changed."""

    code, kind = "busy", Kind.UNAVAILABLE

    def __init__(self) -> None:
        super().__init__("Others are changing the same data at the moment; nothing was changed, try again.")


class DatabaseUnavailable(DomainError):
    code, kind = "database_unavailable", Kind.UNAVAILABLE

    def __init__(self) -> None:
        super().__init__("The database cannot be reached at the moment; try again.")


class AuditUnavailable(DomainError):
    """What cannot be recorded is not done."""

    code, kind = "audit_unavailable", Kind.UNAVAILABLE

    def __init__(self) -> None:
        super().__init__("The audit trail cannot be written at the moment, so nothing was done; try again.")


class InvalidIdempotencyKey(DomainError):
    code, kind = "idempotency_key_invalid", Kind.MALFORMED

    def __init__(self) -> None:
        super().__init__("An idempotency key is 1 to 255 visible ASCII characters; a random UUID is a good one.")


class IdempotencyKeyReused(DomainError):
    """The key was used in the last 24 hours for something else."""

    code, kind = "idempotency_key_reused", Kind.INVALID

    def __init__(self) -> None:
        super().__init__("This idempotency key was used for another request; a new request needs a new key.")


class IdempotencyInProgress(DomainError):
    """A request with this key is still being worked on."""

    code, kind = "idempotency_in_progress", Kind.CONFLICT

    def __init__(self) -> None:
        super().__init__("The first request with this idempotency key is not done yet; send it again in a moment.")


class IdempotencyAnswerUnreadable(DomainError):
    """The first request was done, but its answer was kept by another version of Strata."""

    code, kind = "idempotency_answer_unreadable", Kind.CONFLICT

    def __init__(self) -> None:
        super().__init__("The request was done before, but its answer cannot be read any more; it was not done again.")


class IssuerUnavailable(DomainError):
    """The keys of the external issuer are not known, so nobody can say whether a token of it is good."""

    code, kind = "issuer_unavailable", Kind.UNAVAILABLE

    def __init__(self) -> None:
        super().__init__("The keys of this token's issuer cannot be fetched at the moment; try again.")
