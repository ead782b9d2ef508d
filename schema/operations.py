"""What happens around each operation."""

from collections.abc import Iterator

from strawberry.extensions import SchemaExtension

from schema.context import Context


class OwnLoaders(SchemaExtension):
    """Gives each operation loaders of its own, also where a connection carries several."""

    def on_operation(self) -> Iterator[None]:
        context = self.execution_context.context
        if isinstance(context, Context):
            self.execution_context.context = context.for_operation()
        yield
