"""Members, invitations and the active environment through GraphQL."""

import pytest

from app.domain.model import Actor
from tests.conftest import MakeActor
from tests.schema.conftest import GraphQL, headers_of

MEMBERS = "query ($id: Int!) { project(id: $id) { members { email role environments { name } } } }"
ACTIVE = "query ($id: Int!) { viewer { activeEnvironment(projectId: $id) { name } roles { role activeEnvUuid } } }"


@pytest.fixture
async def guest(make_actor: MakeActor) -> Actor:
    return await make_actor()


async def test_from_an_invitation_to_leaving(graphql: GraphQL, guest: Actor, actor: Actor) -> None:
    here = {"projectId": graphql.project.id}
    headers = await headers_of(guest)
    await graphql.fork("env")
    wanted = {**here, "email": guest.name, "role": "EDITOR", "environments": ["env"]}
    invited = await graphql.do("inviteMember", wanted, "token invitation { id email environments { name } }")
    query = "query ($id: Int!) { project(id: $id) { invitations { id email } } }"
    listed = await graphql.ask(query, {"id": graphql.project.id})
    assert listed["project"]["invitations"] == [{"id": invited["invitation"]["id"], "email": guest.name}]
    selection = "member { id role environments { name } } project { name members { email } }"
    accepted = await graphql.do("acceptInvitation", {"token": invited["token"]}, selection, **headers)
    assert accepted["member"]["environments"] == [{"name": "env"}]
    assert accepted["project"]["members"] == [{"email": actor.name}, {"email": guest.name}]
    found = await graphql.ask(
        "query ($id: ID!) { node(id: $id) { ... on Member { email } } }", {"id": accepted["member"]["id"]}
    )
    assert found["node"] == {"email": guest.name}
    change = {**here, "accountUuid": str(guest.account_uuid)}
    changed = await graphql.do("changeMember", {**change, "role": "VIEWER"}, "member { role environments { name } }")
    assert changed["member"] == {"role": "VIEWER", "environments": [{"name": "env"}]}
    changed = await graphql.do("changeMember", {**change, "environments": None}, "member { environments { name } }")
    assert changed["member"]["environments"] is None
    refused = await graphql.do("changeMember", change, "member { role }", **headers)
    assert (refused["__typename"], refused["code"]) == ("Forbidden", "forbidden")
    left = await graphql.do("removeMember", change, "member { email }", **headers)
    assert left["member"] == {"email": guest.name}
    assert await graphql.errors(MEMBERS, {"id": graphql.project.id}, **headers) == ["project_not_found"]
    last = await graphql.do("removeMember", {**here, "accountUuid": str(actor.account_uuid)}, "member { role }")
    assert last["code"] == "last_owner"


async def test_where_the_viewer_works(graphql: GraphQL) -> None:
    env = await graphql.fork("env")
    here = {"id": graphql.project.id}
    assert (await graphql.ask(ACTIVE, here))["viewer"]["activeEnvironment"] == {"name": "production"}
    chosen = await graphql.do("setActiveEnvironment", {"envUuid": env["uuid"]}, "environment { name }")
    assert chosen["environment"] == {"name": "env"}
    shown = (await graphql.ask(ACTIVE, here))["viewer"]
    assert shown["activeEnvironment"] == {"name": "env"}
    assert {"role": "OWNER", "activeEnvUuid": env["uuid"]} in shown["roles"]
    named = await graphql.ask(ACTIVE, here, **{"X-AgentStack-Env": "production"})
    assert named["viewer"]["activeEnvironment"] == {"name": "production"}
    written = {"projectId": graphql.project.id, "kind": "page", "key": "a", "patch": {"put": {"n": 1}}}
    await graphql.do("writeDocument", written, "created")
    query = 'query ($id: Int!) { project(id: $id) { production { document(kind: "page", key: "a") { key } } } }'
    assert (await graphql.ask(query, here))["project"]["production"]["document"] is None
    await graphql.do("archiveEnvironment", {"envUuid": env["uuid"]}, "removedDiffs")
    assert await graphql.errors(ACTIVE, here) == ["environment_archived"]
    refused = await graphql.do("writeDocument", written, "created")
    assert refused["code"] == "environment_archived"
    refused = await graphql.do("setActiveEnvironment", {"envUuid": env["uuid"]}, "environment { name }")
    assert refused["code"] == "environment_archived"
    by_name = {"projectId": graphql.project.id, "name": "none"}
    assert (await graphql.do("setActiveEnvironment", by_name, "environment { name }"))[
        "code"
    ] == "environment_not_found"
    both = {"envUuid": env["uuid"], "name": "env"}
    assert (await graphql.do("setActiveEnvironment", both, "environment { name }"))["code"] == "validation_failed"
    back = await graphql.do("setActiveEnvironment", {"projectId": graphql.project.id}, "environment { name }")
    assert back["environment"] == {"name": "production"}
    assert (await graphql.ask(ACTIVE, here))["viewer"]["activeEnvironment"] == {"name": "production"}
