"""What happens around each operation."""

import time
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final, Protocol

from graphql import ASTValidationRule, DocumentNode, GraphQLError, OperationDefinitionNode
from strawberry.extensions import SchemaExtension
from strawberry.schema.exceptions import CannotGetOperationTypeError

from schema.context import Context


class Observe(Protocol):
    """Takes the name of an operation, query, mutation or subscription, and the seconds it took."""

    def __call__(self, name: str | None, kind: str, seconds: float, *, failed: bool) -> None: ...


MAX_KNOWN: Final = 100
MAX_KNOWN_LENGTH: Final = 4_000

_documents: OrderedDict[str, DocumentNode] = OrderedDict()


class OwnLoaders(SchemaExtension):
    """Gives each operation loaders of its own, also where a connection carries several."""

    def on_operation(self) -> Iterator[None]:
        context = self.execution_context.context
        if isinstance(context, Context):
            self.execution_context.context = context.for_operation()
            if not context.operation_named:
                self.execution_context.validation_rules += (OneOperation,)
        yield


class KnownDocuments(SchemaExtension):
    """Parses a document once for all who send it: subscriptions hold it for as long as they last."""

    def on_parse(self) -> Iterator[None]:
        found = self.execution_context
        text = found.query or ""
        document = _documents.get(text)
        if document is not None:
            found.graphql_document = document
        yield
        if document is None and found.graphql_document is not None and len(text) <= MAX_KNOWN_LENGTH:
            _documents[text] = found.graphql_document
            if len(_documents) > MAX_KNOWN:
                _documents.popitem(last=False)


class Observed(SchemaExtension):
    """Says of each operation what it was called and how it went."""

    def __init__(self, observe: Observe) -> None:
        self._observe = observe

    def on_operation(self) -> Iterator[None]:
        began = time.perf_counter()
        yield
        found = self.execution_context
        if found.graphql_document is None:
            return
        try:
            name, kind = found.operation_name, found.operation_type.value
        except (RuntimeError, CannotGetOperationTypeError):
            return
        failed = found.result is None or bool(getattr(found.result, "errors", None))
        self._observe(name, kind, time.perf_counter() - began, failed=failed and kind != "subscription")


class OneOperation(ASTValidationRule):
    """Refuses a document of several operations where nothing says which is meant (GraphQL §6.1)."""

    def enter_document(self, node: DocumentNode, *_: object) -> None:
        operations = [item for item in node.definitions if isinstance(item, OperationDefinitionNode)]
        if len(operations) > 1:
            self.report_error(GraphQLError("The document has several operations: name one of them.", operations[1:]))
