"""What happens around each operation."""

from collections.abc import Iterator

from graphql import ASTValidationRule, DocumentNode, GraphQLError, OperationDefinitionNode
from strawberry.extensions import SchemaExtension

from schema.context import Context


class OwnLoaders(SchemaExtension):
    """Gives each operation loaders of its own, also where a connection carries several."""

    def on_operation(self) -> Iterator[None]:
        context = self.execution_context.context
        if isinstance(context, Context):
            self.execution_context.context = context.for_operation()
            if not context.operation_named:
                self.execution_context.validation_rules += (OneOperation,)
        yield


class OneOperation(ASTValidationRule):
    """Refuses a document of several operations where nothing says which is meant (GraphQL §6.1)."""

    def enter_document(self, node: DocumentNode, *_: object) -> None:
        operations = [item for item in node.definitions if isinstance(item, OperationDefinitionNode)]
        if len(operations) > 1:
            self.report_error(GraphQLError("The document has several operations: name one of them.", operations[1:]))
