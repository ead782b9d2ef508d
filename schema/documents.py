"""Documents as one environment or generation shows them, and writing them."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import strawberry

from app.domain import names
from app.domain.errors import EnvironmentArchived, UnknownKind, ValidationFailed
from app.domain.model import PROJECT_KIND, USER_KIND, Document, Environment, EnvStatus
from app.domain.paging import Page, decode_cursor, encode_cursor
from app.domain.pointer import parse_pointer
from app.domain.values import MISSING, lookup
from app.services.history import blame_in
from app.services.resolution import DocumentKey
from app.storage.levels import DocumentPage
from schema import generations, history
from schema.arguments import Pointer
from schema.connections import Connection, connect
from schema.context import Info
from schema.describe import field
from schema.edges import AChange, AGeneration
from schema.scalars import JSON, JSONPointer, shown


@strawberry.type(description="What one generation itself says about a path of a document.")
class Override:
    path: JSONPointer = strawberry.field(description="Where it says something.")
    value: JSON | None = strawberry.field(description="The value it sets; null where it removes, too.")
    removed: bool = strawberry.field(description="Whether it removes what its parent shows there.")


@strawberry.type(description="A place of a document whose value is sealed and not shown.")
class ProtectedField:
    path: JSONPointer = strawberry.field(description='Where it is; the document shows `{"$protected": true}` there.')


@strawberry.type(description="A document as one environment or generation shows it: all layers merged.")
class ResolvedDocument:
    uuid: UUID = strawberry.field(description="UUID of the document; the same in all environments.")
    kind: str = strawberry.field(description="Kind of the document.")
    key: str = strawberry.field(description="Key of the document within its kind.")
    version: str = strawberry.field(
        description="Version of what is shown, the `ETag` of REST; a change in a parent changes it too. "
        "Give it as `expectedVersion` when writing."
    )
    source: strawberry.Private[Document]
    is_past: strawberry.Private[bool] = False

    @classmethod
    def of(cls, document: Document, *, is_past: bool = False) -> "ResolvedDocument":
        entity = document.entity
        return cls(
            uuid=entity.uuid,
            kind=entity.kind,
            key=entity.key,
            version=document.version,
            source=document,
            is_past=is_past,
        )

    @field
    async def data(self) -> JSON:
        """The whole document."""
        return shown(None if self.source.state is MISSING else self.source.state)

    @field
    async def value(self, pointer: Pointer) -> JSON | None:
        """What stands at one place; null if there is nothing."""
        found = lookup(self.source.state, pointer)
        return None if found is MISSING else shown(found)

    @field
    async def overrides(self) -> list[Override]:
        """What the generation itself says differently from its parent; empty if it adds nothing."""
        flat = self.source.overrides
        set_, unset = flat.get("set"), flat.get("unset")
        assert isinstance(set_, dict)
        assert isinstance(unset, list)
        return [
            *(Override(path=_path(path), value=shown(value), removed=False) for path, value in set_.items()),
            *(Override(path=_path(str(path)), value=None, removed=True) for path in unset),
        ]

    @field
    async def protected_fields(self) -> list[ProtectedField]:
        """The places at which it has a protected value."""
        return [ProtectedField(path=_path(pointer)) for pointer in self.source.protected]

    @field
    async def generation(self, info: Info) -> AGeneration:
        """The generation that was asked."""
        found = await info.context.loaders.generation(self.source.entity.project_id, self.source.generation_uuid)
        return generations.GenerationNode.of(found)

    @field
    async def blame(self, info: Info, pointer: Pointer) -> AChange | None:
        """The change that gave a place its value; null if nothing stands there.

        Answered for the present and for checkpoints, not for a past version or time.
        """
        if self.is_past:
            raise ValidationFailed("Blame is answered for the present and for checkpoints only.", field="at")
        entity = self.source.entity
        generation = await info.context.loaders.generation(entity.project_id, self.source.generation_uuid)
        change = await blame_in(generation, entity.kind, entity.key, pointer)
        return history.ChangeNode.of(change) if change else None


@strawberry.type(name="DocumentConnection", description="A page of documents, by key.")
class DocumentConnection(Connection[ResolvedDocument]):
    pass


def check_alive(env: Environment) -> None:
    """Raise EnvironmentArchived where reading would show what is left of an environment as if it were all."""
    if env.status is EnvStatus.ARCHIVED:
        raise EnvironmentArchived(env.uuid)


async def shown_by(
    info: Info, project_id: int, generation_uuid: UUID, kind: str, key: str | None
) -> ResolvedDocument | None:
    """Return the document that a generation shows; None if it shows none of that name."""
    wanted = DocumentKey(generation_uuid, *names.document_name(kind, key))
    document = await info.context.loaders.documents.load((project_id, wanted))
    return ResolvedDocument.of(document) if document else None


async def page_shown_by(
    info: Info, project_id: int, generation_uuid: UUID, kind: str, limit: int, after: str | None
) -> DocumentConnection:
    """Return a page of the documents that a generation shows. Raises UnknownKind."""
    loaders = info.context.loaders
    wanted = DocumentPage(kind, limit + 1, str(decode_cursor(after, str)[0]) if after else None)
    found = await loaders.document_pages.load((project_id, generation_uuid, wanted))
    is_new = not found and after is None and kind not in (PROJECT_KIND, USER_KIND)
    if is_new and not await loaders.kinds.load((project_id, kind)):
        raise UnknownKind(kind)
    position = found[limit - 1].entity.key if len(found) > limit else None

    async def count() -> int:
        return await loaders.document_counts.load((project_id, generation_uuid, kind))

    page = Page(found[:limit], encode_cursor(position) if position else None)
    return document_connection(page, after, count=count)


def document_connection(
    page: Page[Document],
    after: str | None,
    *,
    is_past: bool = False,
    count: Callable[[], Awaitable[int | None]] | None = None,
) -> DocumentConnection:
    """Return a page of documents."""
    found = connect(
        page.items,
        after,
        more=page.next_cursor is not None,
        node=lambda document: ResolvedDocument.of(document, is_past=is_past),
        cursor=lambda document: encode_cursor(document.entity.key),
    )
    return DocumentConnection(edges=found.edges, page_info=found.page_info, count=count or found.count)


def _path(pointer: str) -> JSONPointer:
    return JSONPointer(parse_pointer(pointer))
