"""``/api/projects``: projects and their API keys."""

from uuid import UUID

from litestar import Router, delete, get, post
from litestar.params import FromPath, JSONBody

from app.rest.answers import ApiKeyAnswer, ApiKeys, CreatedApiKey, ProjectAnswer, Projects
from app.rest.bodies import NewApiKey, NewProject
from app.rest.parameters import Caller, Cursor, InSettings, Limit, ProjectId
from app.services import api_keys, projects


@post("/", status_code=201)
async def create_project(data: JSONBody[NewProject], actor: Caller, settings: InSettings) -> ProjectAnswer:
    """Make a project; it has its production environment from birth, and you own it."""
    return ProjectAnswer.of(await projects.create(actor, data.name, settings.default_plan))


@get("/")
async def list_projects(actor: Caller, limit: Limit = 50, cursor: Cursor = None) -> Projects:
    """List the projects you are a member of; for an API key, its own."""
    page = await projects.list_projects(actor, limit=limit, cursor=cursor)
    return Projects(projects=[ProjectAnswer.of(project) for project in page.items], next_cursor=page.next_cursor)


@get("/{project_id:str}")
async def get_project(project_id: ProjectId, actor: Caller) -> ProjectAnswer:
    """Show a project."""
    return ProjectAnswer.of(await projects.get(actor, project_id))


@post("/{project_id:str}/api-keys", status_code=201)
async def create_api_key(project_id: ProjectId, data: JSONBody[NewApiKey], actor: Caller) -> CreatedApiKey:
    """Make an API key of the project; the answer shows it once."""
    created = await api_keys.create(actor, project_id, data.name, data.scopes, data.expires_at)
    return CreatedApiKey.showing(created.key, created.secret)


@get("/{project_id:str}/api-keys")
async def list_api_keys(project_id: ProjectId, actor: Caller) -> ApiKeys:
    """List the project's API keys, revoked ones included."""
    return ApiKeys(api_keys=[ApiKeyAnswer.of(key) for key in await api_keys.list_keys(actor, project_id)])


@delete("/{project_id:str}/api-keys/{key_uuid:str}", status_code=200)
async def revoke_api_key(project_id: ProjectId, key_uuid: FromPath[UUID], actor: Caller) -> ApiKeyAnswer:
    """Revoke an API key for good."""
    return ApiKeyAnswer.of(await api_keys.revoke(actor, project_id, key_uuid))


def project_routes() -> Router:
    """Return the routes of projects."""
    return Router(
        "/api/projects",
        route_handlers=[
            create_project,
            list_projects,
            get_project,
            create_api_key,
            list_api_keys,
            revoke_api_key,
        ],
        tags=["Projects"],
    )
