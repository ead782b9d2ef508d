"""What a request stands in before its handler runs: who asks, in which project, in which environment."""

from uuid import UUID

from app.domain.errors import BadRequest, GenerationNotFound, SandboxSecretAccessDenied
from app.domain.model import Actor
from app.rest import surroundings
from app.rest.metering import admit_anyone, admit_caller
from app.rest.query import refuse_ambiguous
from app.rest.request import StrictRequest, environment_reference
from app.services import environments, protected, tree

_NO = frozenset({"", "0", "false", "no", "off"})


async def admit(request: StrictRequest) -> None:
    """Let in who has a token, with an address that can be read; before anything of the body is.

    A ``before_request`` hook: guards are given a copy of their handler each, which costs more than they do.
    Raises Unauthenticated, RateLimited, TooManyAtOnce, BadRequest, InvalidIdempotencyKey, SandboxSecretAccessDenied.
    """
    scope = request.scope
    surroundings.enter(scope)
    given = next((value for name, value in scope["headers"] if name == b"authorization"), None)
    scope["user"] = await admit_caller(request, given.decode("latin-1") if given else None)
    if b"%00" in scope["raw_path"] or b"%00" in scope["query_string"]:
        raise BadRequest("An address cannot hold the character U+0000.")
    if decrypts(request):
        await _refuse_in_sandbox(request)
    refuse_ambiguous(request)


async def arrive(request: StrictRequest) -> None:
    """Let in anyone, for a price; a ``before_request`` hook. Raises RateLimited."""
    surroundings.enter_unknown(request.scope)
    await admit_anyone(request)


def decrypts(request: StrictRequest) -> bool:
    """Return whether the request asks for protected values."""
    query = request.scope["query_string"]
    # What is written plainly need not be taken apart to be seen.
    if b"decrypt" not in query and b"%" not in query:
        return False
    return any(given.strip().lower() not in _NO for given in request.query_params.getall("decrypt_protected", []))


async def _refuse_in_sandbox(request: StrictRequest) -> None:
    """Refuse ``decrypt_protected`` outside production (semantics §7), and of anything but one document.

    Raises SandboxSecretAccessDenied, BadRequest.
    """
    project_id = request.path_params.get("project_id", "")
    if project_id.isascii() and project_id.isdigit() and len(project_id) < 10:
        named = await environments.find(request.actor, int(project_id), environment_reference(request))
        if named.is_production:
            if request.method == "GET" and request.names_document:
                return
            raise BadRequest("Protected fields are decrypted when one document is read.", parameter="decrypt_protected")
    raise SandboxSecretAccessDenied(protected.IN_SANDBOX)


def named_once(in_query: int | None, in_body: int | None) -> int | None:
    """Return the project that query or body name, if one does. Raises BadRequest if they differ."""
    if in_query is not None and in_body is not None and in_query != in_body:
        raise BadRequest("The body and the query name different projects.", parameter="project_id")
    return in_body if in_query is None else in_query


def implied_project(actor: Actor, named: int | None) -> int:
    """Return the project that a call is about: the one named, or the API key's. Raises BadRequest."""
    project_id = actor.project_id if named is None else named
    if project_id is None:
        raise BadRequest("Name the project: project_id is missing.", parameter="project_id")
    return project_id


async def project_of(actor: Actor, named: int | None, env_uuid: UUID | None) -> int:
    """Return the project that a call is about, where an environment may imply it; an API key has only one.

    Raises EnvironmentNotFound, BadRequest.
    """
    if env_uuid is not None and (named is not None or not actor.is_key):
        return (await environments.get(actor, env_uuid, named)).project_id
    return implied_project(actor, named)


async def project_of_root(actor: Actor, named: int | None, root_uuid: UUID | None) -> int:
    """Return the project of a tree, where its root (a generation or an anchor) may imply it.

    Raises EnvironmentNotFound, BadRequest.
    """
    if named is not None or actor.is_key or root_uuid is None:
        return implied_project(actor, named)
    try:
        return (await tree.generation(actor, root_uuid)).project_id
    except GenerationNotFound:
        return (await environments.get(actor, root_uuid)).project_id
