"""Finding projects."""

from typing import Annotated

import strawberry

from app.domain.model import Project
from app.domain.paging import encode_cursor
from app.domain.policy import Operation
from app.services import access
from app.services import projects as service
from schema.connections import FIRST, After, Connection, First, connect, size
from schema.context import Info
from schema.describe import field
from schema.projects import ProjectNode


@strawberry.type
class ProjectQuery:
    @field
    async def project(
        self,
        info: Info,
        id: Annotated[int, strawberry.argument(description="Number of the project.")],  # noqa: A002
    ) -> ProjectNode | None:
        """A project that the caller may read."""
        await access.authorize(info.context.actor, id, Operation.READ)
        return ProjectNode.of(id)

    @field
    async def projects(self, info: Info, first: First = FIRST, after: After = None) -> Connection[ProjectNode]:
        """The projects that the caller may read, by number."""
        actor = info.context.actor
        page = await service.list_projects(actor, limit=size(first), cursor=after)
        for project in page.items:
            info.context.loaders.projects.prime(project.id, project)

        async def count() -> int:
            return len(await access.project_ids(actor))

        def node(project: Project) -> ProjectNode:
            return ProjectNode.of(project.id)

        more = page.next_cursor is not None
        return connect(
            page.items, after, more=more, node=node, cursor=lambda project: encode_cursor(project.id), count=count
        )
