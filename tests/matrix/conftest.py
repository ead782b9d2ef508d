from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest
import strawberry.schema.schema
from graphql import DocumentNode, GraphQLError
from litestar import Litestar

from app.domain.egress import Allowed
from app.services import egress
from tests.doors import app
from tests.matrix.stage import Stage, set_up

__all__ = ["app", "stage"]


@pytest.fixture(scope="session")
async def stage(app: Litestar) -> AsyncIterator[Stage]:
    """Two projects, and everybody who could ask; nothing that a cell does stays."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(egress, "allowed", Allowed.parse("127.0.0.1"))
        yield await set_up(app)


@pytest.fixture(scope="package", autouse=True)
def validated_once() -> Iterator[None]:
    """Validate each query once: it takes longer than all else, and who asks has no part in it."""
    validate, known = strawberry.schema.schema.validate_document, dict[str, Sequence[GraphQLError]]()

    def validated(schema: Any, document: DocumentNode, rules: Any) -> Any:
        assert document.loc is not None
        text = document.loc.source.body
        if text not in known:
            known[text] = validate(schema, document, rules)
        return known[text]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strawberry.schema.schema, "validate_document", validated)
        yield
