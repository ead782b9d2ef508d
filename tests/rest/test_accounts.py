"""Accounts, tokens, projects and API keys over HTTP."""

import httpx

from tests.rest.conftest import refused


async def test_accounts_projects_and_keys(client: httpx.AsyncClient) -> None:
    credentials = {"email": "Guide.Tester@example.com", "password": "correct horse battery staple"}
    registered = await client.post("/api/auth/register", json=credentials)
    assert (registered.status_code, registered.json()["email"]) == (201, "guide.tester@example.com")
    refused(await client.post("/api/auth/register", json=credentials), 409, "email_taken")
    wrong = await client.post("/api/auth/login", json={**credentials, "password": "wrong password"})
    refused(wrong, 401, "invalid_credentials")
    token = (await client.post("/api/auth/login", json=credentials)).json()
    assert (token["token_type"], token["expires_in"] > 0) == ("bearer", True)
    client.headers["Authorization"] = f"Bearer {token['access_token']}"
    assert (await client.get("/api/auth/me")).json() == registered.json()
    created = await client.post("/api/projects", json={"name": "Shop"})
    project = created.json()
    assert created.status_code == 201
    assert project.keys() >= {"id", "name", "plan", "production_uuid"}
    assert (await client.get(f"/api/projects/{project['id']}")).json() == project
    assert (await client.get("/api/projects")).json() == {"projects": [project], "next_cursor": None}
    keys = f"/api/projects/{project['id']}/api-keys"
    made_key = await client.post(keys, json={"name": "storefront", "scopes": ["read"]})
    secret = made_key.json()["key"]
    assert made_key.status_code == 201
    assert secret not in (await client.get(keys)).text
    by_key = {"Authorization": f"Bearer {secret}"}
    assert (await client.get("/api/sandbox/environments", headers=by_key)).status_code == 200
    refused(await client.get("/api/projects/1000000", headers=by_key), 403, "forbidden")
    revoked = await client.delete(f"{keys}/{made_key.json()['uuid']}")
    assert revoked.json()["revoked_at"]
    refused(await client.get("/api/sandbox/environments", headers=by_key), 401, "unauthenticated")
