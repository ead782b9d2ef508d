"""``/api/sandbox/active-env``: where a user's requests go that name no environment."""

from litestar import Router, get, put
from litestar.params import JSONBody
from msgspec import UNSET

from app.domain.errors import BadRequest
from app.domain.model import Actor
from app.rest.bodies import ActiveEnvironmentChoice
from app.rest.context import implied_project, named_once, project_of
from app.rest.member_answers import ActiveEnvironment
from app.rest.parameters import Caller, ImpliedProjectId
from app.services import active_environment


@get("/active-env")
async def get_active_environment(actor: Caller, project_id: ImpliedProjectId = None) -> ActiveEnvironment:
    """Show the environment of your requests that name none; production, if you chose no other."""
    return ActiveEnvironment.of(await active_environment.chosen(actor, implied_project(actor, project_id)))


@put("/active-env")
async def set_active_environment(
    data: JSONBody[ActiveEnvironmentChoice], actor: Caller, project_id: ImpliedProjectId = None
) -> ActiveEnvironment:
    """Choose the environment of your requests that name none, by name or UUID; `null` is production.

    It holds for your account in this project, at once, until it is chosen anew. API keys have none.
    """
    project, reference = await _choice(actor, named_once(project_id, data.project_id), data)
    return ActiveEnvironment.of(await active_environment.choose(actor, project, reference))


async def _choice(actor: Actor, named: int | None, data: ActiveEnvironmentChoice) -> tuple[int, str | None]:
    if (data.active_env is UNSET) == (data.env_uuid is UNSET):
        raise BadRequest("Give either active_env, a name or UUID or null, or env_uuid.", path="/active_env")
    if data.env_uuid is not UNSET:
        return await project_of(actor, named, data.env_uuid), str(data.env_uuid)
    return implied_project(actor, named), None if data.active_env is UNSET else data.active_env


def active_environment_routes() -> Router:
    """Return the routes of the active environment."""
    handlers = [get_active_environment, set_active_environment]
    return Router("/api/sandbox", route_handlers=handlers, tags=["Environments"])
