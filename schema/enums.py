"""The closed sets of the domain as GraphQL enums."""

from app.domain.bucketing import Variant
from app.domain.evaluation import ErrorCode
from app.domain.evaluation import Reason as FlagReason
from app.domain.experiments import ExperimentStatus
from app.domain.ingestion import Outcome
from app.domain.model import EntityStatus, EnvStatus, EnvType, GenerationKind, Origin, Plan, Role, Scope, Strategy
from app.domain.plans import Limit
from app.domain.project_settings import ApprovalMode
from app.domain.promotion import PromotionStatus
from app.domain.routing import Reason as RouteReason
from app.domain.segments import Operator
from app.domain.three_way import Side
from app.domain.webhooks import DeliveryStatus, DisabledReason
from schema.describe import describe_enum

describe_enum(
    EnvType,
    "EnvironmentType",
    "What an environment is for.",
    {
        EnvType.PRODUCTION: "What users get. Each project has exactly one, from birth.",
        EnvType.SANDBOX: "For trying things out.",
        EnvType.STAGING: "What is about to be promoted.",
        EnvType.AB_TEST: "A side of an experiment.",
        EnvType.FEATURE: "Work on one feature.",
    },
)
describe_enum(
    EnvStatus,
    "EnvironmentStatus",
    "Where an environment is on its way to production.",
    {
        EnvStatus.DRAFT: "Being written; not validated since the last write.",
        EnvStatus.VALIDATING: "The checks before a promotion are running.",
        EnvStatus.READY: "All checks passed; can be promoted.",
        EnvStatus.ROLLING_OUT: "Its share of traffic is being raised; it cannot be written to.",
        EnvStatus.LIVE: "Fully promoted to production; also production itself.",
        EnvStatus.ARCHIVED: "No longer in use.",
    },
)
describe_enum(
    Plan,
    "Plan",
    "A project's subscription, which sets its limits.",
    {
        Plan.FREE: "Backup and restore of production, no environments.",
        Plan.STARTER: "One environment, 3 generations deep, for 7 days.",
        Plan.BASIC: "Three environments, 5 generations deep, for 14 days; one A/B test.",
        Plan.PRO: "Ten environments, 10 generations deep, for 30 days; five A/B tests; shadow writes.",
        Plan.PREMIUM: "Thirty environments, 20 generations deep, for 90 days; twenty A/B tests; shadow writes.",
        Plan.ENTERPRISE: "No limits; promotions need an approval.",
    },
)
describe_enum(
    Limit,
    "PlanLimit",
    "What a plan limits.",
    {
        Limit.ENVIRONMENT_COUNT: "Environments, but for production and archived ones.",
        Limit.GENERATION_DEPTH: "The generation number of an environment; a checkpoint counts the one above it too.",
        Limit.CHECKPOINT_COUNT: "Checkpoints of production and of environments that are not archived.",
        Limit.AB_TEST_COUNT: "Active A/B tests.",
        Limit.SHADOW_WRITES: "Environments into which writes to production are mirrored.",
        Limit.ENV_TTL_DAYS: "Days until an environment expires.",
    },
)
describe_enum(
    Role,
    "Role",
    "What a member may do in a project.",
    {
        Role.OWNER: "Everything.",
        Role.ADMIN: "Everything but what concerns ownership.",
        Role.EDITOR: "Read and write documents and environments.",
        Role.VIEWER: "Read.",
    },
)
describe_enum(
    Scope,
    "ApiKeyScope",
    "What an API key may be used for.",
    {
        Scope.READ: "Read documents, environments and history.",
        Scope.WRITE: "Write documents, take checkpoints and backups.",
        Scope.PROMOTE: "Change production by promotion or restore.",
        Scope.EVALUATE: "Ask which environment and which flags a user gets; tell of users of A/B tests.",
        Scope.ADMIN: "Change settings of the project.",
    },
)
describe_enum(
    Strategy,
    "PromotionStrategy",
    "How a promotion reaches production.",
    {
        Strategy.IMMEDIATE: "At once.",
        Strategy.CANARY: "By rising shares of traffic; production changes with the last step.",
        Strategy.BLUE_GREEN: "The result is built and checked first, and waits for one approval that switches.",
    },
)
describe_enum(
    ApprovalMode,
    "ApprovalMode",
    "How many of those who may approve a promotion have to, before it reaches production.",
    {
        ApprovalMode.OFF: "None.",
        ApprovalMode.AT_LEAST_ONE: "One.",
        ApprovalMode.MIN_COUNT: "A fixed number.",
        ApprovalMode.MIN_PERCENT: "A share of them.",
        ApprovalMode.MANUAL_ONLY: "One, and nothing is promoted by itself.",
    },
)
describe_enum(
    GenerationKind,
    "GenerationKind",
    "What a generation is.",
    {
        GenerationKind.LINE: "A part of an environment's line: it takes writes until it is sealed.",
        GenerationKind.CHECKPOINT: "A snapshot of whole documents that can be rolled back to.",
        GenerationKind.PIN: "An immutable snapshot beside the line, for review links.",
        GenerationKind.BACKUP: "A snapshot of production that can be restored.",
    },
)
describe_enum(
    Origin,
    "ChangeOrigin",
    "Why a change was made.",
    {
        Origin.WRITE: "Somebody wrote the document.",
        Origin.FORK: "An environment was forked.",
        Origin.PROMOTION: "An environment was promoted.",
        Origin.SHADOW: "A write to production was mirrored.",
        Origin.REVERT: "Overrides were dropped.",
        Origin.RESTORE: "Production was restored from a backup.",
    },
)
describe_enum(
    EntityStatus,
    "EntityDiffStatus",
    "How a document differs between two states.",
    {
        EntityStatus.ADDED: "Only the newer state has it.",
        EntityStatus.REMOVED: "Only the older state has it.",
        EntityStatus.MODIFIED: "Both have it, with different content.",
    },
)
describe_enum(
    Operator,
    "RuleOperator",
    "How a rule compares a field. Types never coerce; a field that is missing satisfies NEQ and NOT_IN only.",
    {
        Operator.EQ: "The field equals the value, digits included.",
        Operator.NEQ: "The field does not equal the value.",
        Operator.IN: "The field is in the list.",
        Operator.NOT_IN: "The field is not in the list.",
        Operator.GT: "The field is a larger number.",
        Operator.LT: "The field is a smaller number.",
        Operator.CONTAINS: "The field is a string with the value in it, or an array with the value among its items.",
    },
)
describe_enum(
    DeliveryStatus,
    "WebhookDeliveryStatus",
    "Whether a message has arrived.",
    {
        DeliveryStatus.PENDING: "Not yet; it will be tried, or tried again.",
        DeliveryStatus.DELIVERED: "The receiver has answered that it has.",
        DeliveryStatus.FAILED: "It was given up after three days, or because the receiver wants no more.",
    },
)
describe_enum(
    DisabledReason,
    "WebhookDisabledReason",
    "Why a webhook gets nothing.",
    {
        DisabledReason.BY_MEMBER: "Somebody disabled it.",
        DisabledReason.FAILING: "Nothing arrived for three days.",
        DisabledReason.GONE: "Its receiver answered 410: it wants no more.",
    },
)
describe_enum(
    PromotionStatus,
    "PromotionStatus",
    "What became of a promotion request.",
    {
        PromotionStatus.COMPLETED: "Production has its changes.",
        PromotionStatus.ROLLING_OUT: "Its share of traffic is being raised.",
        PromotionStatus.PENDING_APPROVAL: "It waits for approval, or for the blue-green switch.",
        PromotionStatus.BLOCKED: "A check failed or conflicts were open.",
        PromotionStatus.REJECTED: "Somebody rejected it.",
        PromotionStatus.EXPIRED: "Nobody decided in time.",
        PromotionStatus.ABORTED: "Its rollout was aborted.",
    },
)
describe_enum(
    Side,
    "ConflictSide",
    "A side of a conflict.",
    {
        Side.OURS: "What is there now, where the changes go.",
        Side.THEIRS: "What the changes make of it.",
        Side.BASE: "What was there when the change was made.",
    },
)
describe_enum(
    Variant,
    "Variant",
    "A side of an A/B test.",
    {Variant.A: "The control.", Variant.B: "What is tried."},
)
describe_enum(
    ExperimentStatus,
    "ExperimentStatus",
    "Whether an A/B test runs.",
    {
        ExperimentStatus.ACTIVE: "It runs: users are dealt to both sides and counted.",
        ExperimentStatus.STOPPED: "It was stopped without a winner, by hand or because a side was archived.",
        ExperimentStatus.COMPLETED: "It has a winner.",
    },
)
describe_enum(
    Outcome,
    "ExperimentOutcome",
    "What came of a user who saw a variant.",
    {Outcome.CONVERTED: "The user did what the test hopes for."},
)
describe_enum(
    RouteReason,
    "RouteReason",
    "Why an environment serves a user: the first of these that holds.",
    {
        RouteReason.EXPLICIT: "The request itself names it.",
        RouteReason.EXPERIMENT: "It is the user's side of the oldest A/B test that runs.",
        RouteReason.CANARY: "It rolls out, and the user's bucket is below its weight.",
        RouteReason.SEGMENT: "It is there for a segment that the user is in.",
        RouteReason.PRODUCTION: "Nothing else holds.",
    },
)
describe_enum(
    FlagReason,
    "FlagReason",
    "Why a flag has its value, in OpenFeature's words.",
    {
        FlagReason.STATIC: "It has one value for everybody.",
        FlagReason.DEFAULT: "None of its rules holds.",
        FlagReason.TARGETING_MATCH: "The user matches a rule.",
        FlagReason.SPLIT: "The user matches a rule that deals by buckets.",
        FlagReason.DISABLED: "It is disabled: the client takes the default of its own code.",
        FlagReason.ERROR: "It cannot be evaluated.",
    },
)
describe_enum(
    ErrorCode,
    "FlagErrorCode",
    "Why a flag has no value, in OpenFeature's words.",
    {
        ErrorCode.FLAG_NOT_FOUND: "There is no such flag, and no such leaf.",
        ErrorCode.PARSE_ERROR: "The flag cannot be read.",
        ErrorCode.TARGETING_KEY_MISSING: "The flag deals by buckets, and the context names no user.",
        ErrorCode.INVALID_CONTEXT: "The context cannot be one.",
        ErrorCode.GENERAL: "Something else; see the details.",
    },
)
