"""Making projects."""

from typing import Annotated, TypeAlias

import strawberry

from app.services import projects as service
from schema.context import Info
from schema.describe import mutation
from schema.errors import Forbidden, ValidationFailed
from schema.inputs import MutationInput
from schema.projects import ProjectNode


@strawberry.input(description="The project to make.")
class CreateProjectInput(MutationInput):
    name: str = strawberry.field(description="What to call it, 1 to 200 characters.")


@strawberry.type(description="The project was made; the caller owns it.")
class CreateProjectPayload:
    project: ProjectNode = strawberry.field(description="The project, with its production environment.")


CreateProjectResult: TypeAlias = Annotated[
    CreateProjectPayload | Forbidden | ValidationFailed,
    strawberry.union("CreateProjectResult", description="The project, or why there is none."),
]


@strawberry.type
class ProjectMutation:
    @mutation
    async def create_project(self, info: Info, input: CreateProjectInput) -> CreateProjectResult:  # noqa: A002
        """Make a project with an empty project document in production. Needs a user's token."""
        project = await service.create(info.context.actor, input.name, info.context.default_plan)
        info.context.loaders.projects.prime(project.id, project)
        return CreateProjectPayload(project=ProjectNode.of(project.id))
