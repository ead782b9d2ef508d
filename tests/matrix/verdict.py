"""What the policy says to a request, and what the answer to it says."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import httpx

from app.domain import policy
from app.domain.errors import DomainError
from app.domain.model import Actor
from app.domain.policy import POLICY, Operation
from tests.matrix.requests import IN_CONTEXT, NODES, OF_LIVING, Request
from tests.matrix.stage import ARCHIVED, LIMITED, Identity
from tests.operations.world import World

DONE = "done"
NOTHING = "null"
NOT_FOUND = "not_found"
"""Any code that ends so."""

QUIET = {"node", "nodes", *(node.name for node in NODES)}
"""Queries that answer null where others refuse."""


def expected(who: Identity, request: Request, world: World) -> set[str]:
    """Return what ``who`` may be told: DONE, NOTHING, or a code."""
    if who.actor is None:
        anonymous = who.name == "anonymous" and (request.name == "viewer" or request.name.startswith("Viewer."))
        return {NOTHING if anonymous else "unauthenticated"}
    told = _told(who, who.actor, request, world)
    if request.name in QUIET and told != {DONE}:
        return {NOTHING}
    if told == {DONE} and request.operation is Operation.ACCEPT_INVITATION and world.actor != who.actor:
        return {"invitation_for_another"}
    if told == {DONE} and who.name == ARCHIVED and who.home == world.project.id:
        return {_of_archived(request, world)}
    return told


def _told(who: Identity, actor: Actor, request: Request, world: World) -> set[str]:
    by_policy = _by_policy(who, actor, request, world)
    if POLICY[request.operation].roles is None or who.home == world.project.id:
        return {by_policy}
    if not actor.is_key:
        return {NOT_FOUND}
    if _names_project(request, world):
        return {"forbidden"}
    # A request that names no project is about the key's own, in which there is no such thing.
    return {NOT_FOUND} if by_policy == DONE else {NOT_FOUND, by_policy}


def _by_policy(who: Identity, actor: Actor, request: Request, world: World) -> str:
    try:
        for operation in (request.through, request.operation):
            if operation is not None:
                policy.check(actor, who.membership, operation, _target(who, request, world))
    except DomainError as error:
        return error.code
    return DONE


def _target(who: Identity, request: Request, world: World) -> UUID:
    """Return the environment that the request changes: the one named, else its context's."""
    in_context = request.name in IN_CONTEXT and who.name == LIMITED
    return world.env if str(world.env) in request.says(world) or in_context else world.project.production_uuid


def _names_project(request: Request, world: World) -> bool:
    said = request.says(world)
    return str(world.project.id) in [word.strip("'\",:{}") for word in said.replace("/", " ").split()]


def _of_archived(request: Request, world: World) -> str:
    named = str(world.env) in request.says(world)
    living = request.changes or request.name in OF_LIVING or request.name.startswith("ResolvedDocument.")
    refused = living if named else request.name in IN_CONTEXT
    return "environment_archived" if refused else DONE


def outcome(answer: httpx.Response) -> str:
    """Return DONE, NOTHING where the answer to a query is null, or the code of the refusal."""
    if answer.request.url.path != "/graphql":
        return DONE if answer.status_code < 300 else str(answer.json()["error"])
    body = answer.json()
    if body.get("errors"):
        return str(body["errors"][0]["extensions"]["code"])
    return _outcome_of_data(body["data"])


def _outcome_of_data(data: Mapping[str, Any]) -> str:
    for value in data.values():
        if isinstance(value, Mapping) and "code" in value:
            return str(value["code"])
    nothing = all(value is None or (value and isinstance(value, list) and not any(value)) for value in data.values())
    return NOTHING if nothing else DONE


def agrees(said: str, wanted: set[str]) -> bool:
    """Return whether an answer is one of those expected."""
    return said in wanted or (NOT_FOUND in wanted and said.endswith(NOT_FOUND))
