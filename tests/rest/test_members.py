"""Members and invitations over HTTP."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.domain.model import Actor
from tests.conftest import MakeActor
from tests.doors import Headers, headers_of
from tests.rest.conftest import Api, made, refused


@pytest.fixture
async def guest(make_actor: MakeActor) -> Actor:
    return await make_actor()


@pytest.fixture
async def guests(guest: Actor) -> Headers:
    """Headers with which ``guest`` asks."""
    return await headers_of(guest)


async def _invite(api: Api, guest: Actor, role: str = "editor", **more: Any) -> dict[str, Any]:
    return made(await api.post(f"{api.documents}/invitations", {"email": guest.name, "role": role, **more}))


async def _accept(api: Api, token: str, headers: Headers) -> httpx.Response:
    return await api.post("/api/invitations/accept", {"token": token}, headers=headers)


async def test_from_an_invitation_to_leaving(api: Api, guest: Actor, guests: Headers, actor: Actor) -> None:
    env = (await api.fork("env"))["anchor_uuid"]
    refused(await api.get(f"{api.documents}/members", headers=guests), 404, "project_not_found")
    invited = await _invite(api, guest, environments=["env"])
    assert invited["environments"] == [env]
    assert (invited["email"], invited["role"], invited["notice"]) == (guest.name, "editor", None)
    listed = made(await api.get(f"{api.documents}/invitations"))
    shown = {name: value for name, value in invited.items() if name not in ("token", "notice")}
    assert listed == {"invitations": [shown], "next_cursor": None}
    accepted = await _accept(api, invited["token"], guests)
    assert accepted.status_code == 201
    member = accepted.json()
    assert member == {
        "project_id": api.project.id,
        "account_uuid": str(guest.account_uuid),
        "email": guest.name,
        "role": "editor",
        "environments": [env],
        "created_at": member["created_at"],
    }
    everyone = made(await api.get(f"{api.documents}/members", headers=guests))
    assert [item["account_uuid"] for item in everyone["members"]] == [str(actor.account_uuid), str(guest.account_uuid)]
    address = f"{api.documents}/members/{guest.account_uuid}"
    assert made(await api.patch(address, {"role": "viewer"}))["environments"] == [env]
    assert made(await api.patch(address, {"environments": None})) == {**member, "role": "viewer", "environments": None}
    assert made(await api.client.delete(address, headers=guests))["role"] == "viewer"
    refused(await api.get(f"{api.documents}/members", headers=guests), 404, "project_not_found")
    refused(await api.client.delete(address), 404, "member_not_found")


async def test_refusals(api: Api, guest: Actor, guests: Headers, actor: Actor) -> None:
    token = (await _invite(api, guest, "admin"))["token"]
    refused(await _accept(api, token + "x", guests), 404, "invitation_not_found")
    refused(await api.post("/api/invitations/accept", {"token": token}), 403, "invitation_for_another")
    made(await _accept(api, token, guests))
    own, theirs = (f"{api.documents}/members/{uuid}" for uuid in (actor.account_uuid, guest.account_uuid))
    refused(await api.client.delete(own), 409, "last_owner")
    refused(await api.patch(own, {"role": "viewer"}), 409, "last_owner")
    refused(await api.client.delete(own, headers=guests), 403, "forbidden")
    refused(await api.patch(theirs, {"role": "owner"}, headers=guests), 403, "forbidden")
    refused(await api.patch(theirs, {"environments": ["production"]}), 422, "validation_failed")
    refused(await api.patch(theirs, {"role": "editor", "environments": ["none"]}), 404, "environment_not_found")
    refused(await api.patch(f"{api.documents}/members/{uuid4()}", {"role": "viewer"}), 404, "member_not_found")
    bodies: list[object] = [{"role": "king"}, {"roles": "viewer"}, {"environments": "env"}, [], None]
    for wrong in bodies:
        assert (await api.patch(theirs, wrong)).status_code in (400, 422)
    invite = f"{api.documents}/invitations"
    refused(await api.post(invite, {"email": guest.name, "role": "viewer"}), 409, "already_member")
    refused(await api.post(invite, {"email": "nobody", "role": "viewer"}), 422, "validation_failed")
    refused(await api.client.delete(f"{invite}/{uuid4()}"), 404, "invitation_not_found")
    assert (await api.client.delete(f"{invite}/x")).status_code in (400, 404)


async def test_keys_may_read_members_with_the_scope_admin(api: Api) -> None:
    for scopes, status in ((["admin"], 200), (["read", "write", "promote", "evaluate"], 403)):
        key = made(await api.post(f"{api.documents}/api-keys", {"name": "k", "scopes": scopes}))["key"]
        headers = {"Authorization": f"Bearer {key}"}
        assert (await api.get(f"{api.documents}/members", headers=headers)).status_code == status
        refused(await api.get(f"{api.documents}/invitations", headers=headers), 403, "jwt_required")


async def test_posting_to_the_members_invites(api: Api, guest: Actor, guests: Headers) -> None:
    invited = made(await api.post(f"{api.documents}/members", {"email": guest.name, "role": "viewer"}))
    made(await _accept(api, invited["token"], guests))
    made(await api.get(api.documents, headers=guests))
