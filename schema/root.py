"""The schema: what it is made of and the rules that every operation runs under."""

from functools import partial
from typing import Any, Final

import strawberry
from graphql import Executor, GraphQLError
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.types import ExecutionContext

from app.domain.query_limits import Introspection, QueryLimits
from schema import enums as enums
from schema.accounts import AccountMutation
from schema.api_keys import ApiKeyMutation
from schema.backups import BackupMutation
from schema.canaries import CanaryMutation
from schema.checkpoints import CheckpointMutation
from schema.comparison import ComparisonQuery
from schema.context import Context
from schema.document_mutations import DocumentMutation
from schema.environment_mutations import EnvironmentMutation
from schema.environments import EnvironmentQuery
from schema.errors import PresentErrors, Refusal, log_unexpected, refusal_handlers
from schema.experiment_mutations import ExperimentMutation
from schema.experiments import ExperimentQuery
from schema.explain import ExplainQuery
from schema.field_facts import SchemaFacts
from schema.flags import FlagQuery
from schema.freezes import FreezeMutation
from schema.generations import GenerationQuery
from schema.guard import Guard, Rules
from schema.member_mutations import MemberMutation
from schema.node_query import NodeQuery
from schema.notifying import NotifyingMutation
from schema.operations import KnownDocuments, Observe, Observed, OwnLoaders
from schema.project_mutations import ProjectMutation
from schema.project_query import ProjectQuery
from schema.promotion_mutations import PromotionMutation
from schema.promotions import PromotionQuery
from schema.protected import ProtectedMutation
from schema.release_mutations import ReleaseMutation
from schema.scalars import SCALARS
from schema.segment_mutations import SegmentMutation
from schema.segments import SegmentQuery
from schema.settings import SettingsMutation
from schema.subscriptions import Subscription
from schema.transfer import TransferMutation
from schema.viewer import ViewerQuery
from schema.webhook_mutations import WebhookMutation

DEFAULT_LIMITS: Final = QueryLimits()


@strawberry.type(description="What can be asked.")
class Query(
    ViewerQuery,
    NodeQuery,
    ProjectQuery,
    EnvironmentQuery,
    GenerationQuery,
    ComparisonQuery,
    PromotionQuery,
    ExperimentQuery,
    SegmentQuery,
    FlagQuery,
    ExplainQuery,
):
    pass


@strawberry.type(
    description="What can be done. Each mutation answers with what was done, or with a `Refusal`: then nothing changed."
)
class Mutation(
    AccountMutation,
    ProjectMutation,
    EnvironmentMutation,
    CheckpointMutation,
    DocumentMutation,
    BackupMutation,
    ApiKeyMutation,
    MemberMutation,
    SettingsMutation,
    WebhookMutation,
    FreezeMutation,
    CanaryMutation,
    ExperimentMutation,
    SegmentMutation,
    PromotionMutation,
    NotifyingMutation,
    TransferMutation,
    ReleaseMutation,
    ProtectedMutation,
):
    pass


class _Execution(StrawberryGraphQLCoreExecutionContext):
    """An execution that forgets, after each event of a subscription, which fields it has collected for it.

    The library keeps them for as long as the subscription lasts, and finds none of them again.
    """

    def build_per_event_executor(self, payload: Any) -> Executor[Any]:
        executor = super().build_per_event_executor(payload)
        executor._relevant_sub_fields = {}
        return executor


class Schema(strawberry.Schema):
    """A schema that logs what went wrong, but never what was asked: queries and variables can hold secrets."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        context = execution_context.context if execution_context else None
        for error in errors:
            log_unexpected(error, context.request_id if isinstance(context, Context) else "")


def build_schema(
    limits: QueryLimits = DEFAULT_LIMITS,
    introspection: Introspection = Introspection.ANYONE,
    *,
    suggestions: bool = False,
    observe: Observe | None = None,
) -> Schema:
    """Return the schema, whose operations are held against ``limits`` before anything is done for them.

    ``suggestions`` says whether errors name what may have been meant. ``observe`` is told of each operation.
    """
    handlers: list[Any] = list(refusal_handlers())

    def guard() -> Guard:
        return Guard(rules)

    built = Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[Refusal],
        config=StrawberryConfig(scalar_map=SCALARS),
        exception_handlers=handlers,
        execution_context_class=_Execution,
        # Factories: an instance would be shared by all operations that run at the same time.
        extensions=[
            guard,
            KnownDocuments,
            OwnLoaders,
            partial(PresentErrors, suggestions=suggestions),
            *([partial(Observed, observe)] if observe else ()),
        ],
    )
    rules = Rules(limits, introspection, SchemaFacts(built._schema), suggestions=suggestions)
    return built


schema: Final = build_schema()


def schema_text() -> str:
    """Return the schema in GraphQL's schema language, as ``schema/schema.graphql`` has it."""
    return schema.as_str() + "\n"
