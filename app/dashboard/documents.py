"""Documents of an environment: by kind, one by one with where each value comes from, and an editor."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from app.dashboard.environment import AT, address
from app.dashboard.parameters import Cursor, EnvUuid, Here, ProjectId, Text
from app.dashboard.rendering import query
from app.dashboard.visit import Problem, Shell, Visit
from app.domain.diff import Difference, difference
from app.domain.errors import DocumentNotFound, DomainError, Kind
from app.domain.model import PROJECT_KIND, Change, Document, Environment
from app.domain.pointer import Path, parse_pointer
from app.domain.values import MISSING, State, Value
from app.services import documents, environments, history, kinds
from app.services.documents import Expected

PAGE: Final = 50
MAX_LEAVES: Final = 2_000
"""Values that are listed one by one; a larger document is shown as it is."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value of a document: ``own`` is set in this generation, ``differs`` is not what production has there."""

    path: Path
    value: Value
    own: bool
    protected: bool
    differs: bool


def leaves_of(document: Document, production: State) -> list[Leaf] | None:
    """Return the values of a document, or None if they are too many to be listed."""
    found: list[Leaf] = []
    set_ = document.overrides["set"]
    own = {parse_pointer(pointer) for pointer in (set_ if isinstance(set_, dict) else ())}
    protected = {parse_pointer(pointer) for pointer in document.protected}
    changed = difference(production, document.state)
    differing = {*changed.added, *changed.modified}
    for path, value in _values((), document.state, protected):
        if len(found) == MAX_LEAVES:
            return None
        above = [path[:length] for length in range(len(path) + 1)]
        found.append(
            Leaf(
                path,
                value,
                any(place in own for place in above),
                path in protected,
                any(place in differing for place in above),
            )
        )
    return found


def _values(path: Path, state: State, whole: set[Path]) -> Iterator[tuple[Path, Value]]:
    if isinstance(state, dict) and state and path not in whole:
        for key, item in state.items():
            yield from _values((*path, key), item, whole)
    elif state is not MISSING:
        yield path, state


@get(f"{AT}/documents")
async def documents_page(
    visit: Here, project_id: ProjectId, env_uuid: EnvUuid, kind: Text = PROJECT_KIND, cursor: Cursor = None
) -> Response[bytes]:
    """List the documents of a kind."""
    return await _list(visit, project_id, env_uuid, kind, cursor)


async def _list(
    visit: Visit, project_id: int, env_uuid: UUID, kind: str, cursor: str | None, problem: Problem | None = None
) -> Response[bytes]:
    shell = await visit.shell(project_id)
    environment = await environments.get(visit.actor, env_uuid, project_id)
    page = await documents.list_documents(visit.actor, project_id, str(env_uuid), kind, limit=PAGE, cursor=cursor)
    return visit.page(
        "documents.html",
        shell=shell,
        section="environments",
        tab="documents",
        environment=environment,
        kinds=await kinds.list_kinds(visit.actor, project_id),
        kind=kind,
        page=page,
        problem=problem,
    )


@get(f"{AT}/document")
async def document_page(
    visit: Here, project_id: ProjectId, env_uuid: EnvUuid, kind: Text, key: Text, path: Text = ""
) -> Response[bytes]:
    """Show a document, what each value of it is and where it comes from; with a ``path``, who set that value."""
    shell = await visit.shell(project_id)
    environment = await environments.get(visit.actor, env_uuid, project_id)
    document = await documents.read(visit.actor, project_id, str(env_uuid), kind, key)
    blamed: Change | None = None
    if path:
        blamed = await history.blame(visit.actor, project_id, str(env_uuid), kind, key, parse_pointer(path))
    return await _show(visit, shell, environment, document, path=path, blamed=blamed)


async def _show(
    visit: Visit,
    shell: Shell,
    environment: Environment,
    document: Document,
    *,
    path: str = "",
    blamed: Change | None = None,
    problem: Problem | None = None,
    unsaved: Difference | None = None,
) -> Response[bytes]:
    entity = document.entity
    production: State = MISSING
    with suppress(DocumentNotFound):
        production = (
            await documents.read(
                visit.actor, shell.project.id, str(shell.project.production_uuid), entity.kind, entity.key
            )
        ).state
    changes = await history.list_changes(
        visit.actor, shell.project.id, env_uuid=environment.uuid, kind=entity.kind, key=entity.key, limit=5
    )
    return visit.page(
        "document.html",
        shell=shell,
        section="environments",
        tab="documents",
        environment=environment,
        document=document,
        leaves=leaves_of(document, production),
        path=path,
        blamed=blamed,
        changes=changes.items,
        unsaved=unsaved,
        problem=problem,
    )


@post(f"{AT}/document")
async def save(visit: Here, project_id: ProjectId, env_uuid: EnvUuid) -> Response[bytes]:
    """Replace a document, if it is still what was read; or add one."""
    form = visit.form
    kind, key, version = form.text("kind").strip(), form.text("key"), form.given("version")
    expected = Expected(version=version) if version else Expected(exists=False)
    try:
        written = await documents.put(
            visit.actor, project_id, str(env_uuid), kind, key, form.json("value"), expected=expected
        )
    except DomainError as error:
        return await _not_saved(visit, project_id, env_uuid, kind, key, Problem("document", error, form))
    said = "Saved." if written.change else "It was so already."
    return visit.to(f"{address(project_id, env_uuid)}/document{query(kind=kind, key=key)}", said)


async def _not_saved(
    visit: Visit, project_id: int, env_uuid: UUID, kind: str, key: str, problem: Problem
) -> Response[bytes]:
    """Show the form again as it was filled in, and what has come between where something has."""
    if not problem.form.given("version"):
        return await _list(visit, project_id, env_uuid, PROJECT_KIND, None, problem)
    shell = await visit.shell(project_id)
    environment = await environments.get(visit.actor, env_uuid, project_id)
    document = await documents.read(visit.actor, project_id, str(env_uuid), kind, key)
    unsaved = None
    if problem.error.kind is Kind.STALE:
        with suppress(DomainError):
            unsaved = difference(document.state, problem.form.json("value"))
    return await _show(visit, shell, environment, document, problem=problem, unsaved=unsaved)


@post(f"{AT}/document/delete")
async def delete(visit: Here, project_id: ProjectId, env_uuid: EnvUuid) -> Response[bytes]:
    """Delete a document, or hide it in an environment."""
    form = visit.form
    kind, key = form.text("kind"), form.text("key")
    expected = Expected(version=form.given("version"))
    try:
        await documents.delete(visit.actor, project_id, str(env_uuid), kind, key, expected=expected)
    except DomainError as error:
        return await _list(visit, project_id, env_uuid, PROJECT_KIND, None, Problem("delete", error, form))
    return visit.to(f"{address(project_id, env_uuid)}/documents{query(kind=kind)}", f"{kind} {key} is deleted here.")


@get(f"{AT}/history")
async def history_page(
    visit: Here, project_id: ProjectId, env_uuid: EnvUuid, kind: Text = "", key: Text = "", cursor: Cursor = None
) -> Response[bytes]:
    """List what was changed in an environment, the newest first."""
    shell = await visit.shell(project_id)
    environment = await environments.get(visit.actor, env_uuid, project_id)
    page = await history.list_changes(
        visit.actor, project_id, env_uuid=env_uuid, kind=kind or None, key=key or None, limit=PAGE, cursor=cursor
    )
    return visit.page(
        "history.html",
        shell=shell,
        section="environments",
        tab="history",
        environment=environment,
        page=page,
        kind=kind,
        key=key,
    )


def document_pages() -> list[HTTPRouteHandler]:
    """Return the pages of documents."""
    return [documents_page, document_page, save, delete, history_page]
