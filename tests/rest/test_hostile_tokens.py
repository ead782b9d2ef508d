"""Crafted tokens at both doors: 401, and nobody learns why."""

from uuid import uuid4

import httpx
import pytest

from app.services import identity
from app.services.api_key_text import new_api_key
from app.services.refresh_tokens import new as new_refresh_token
from tests.forgery import Forge, crafted

ASKED = {"query": "{ viewer { name } }"}


@pytest.fixture
async def forge(pool: None) -> Forge:
    """Somebody who has this installation's own signing key."""
    ring = identity.keyring
    await ring.load()
    claims = {"iss": "strata", "aud": "strata", "sub": str(uuid4()), "name": "ada@example.com"}
    return Forge(ring._private[ring._signing], {"alg": "EdDSA", "typ": "at+jwt", "kid": ring._signing}, claims)


async def test_no_crafted_token_opens_a_door(client: httpx.AsyncClient, forge: Forge) -> None:
    right = {"Authorization": f"Bearer {forge.token()}"}
    assert (await client.post("/graphql", json=ASKED, headers=right)).json() == {
        "data": {"viewer": {"name": "ada@example.com"}}
    }
    key = new_api_key().text
    wrong = crafted(forge) | {
        "API key unknown": key,
        "API key with another prefix": key.replace("strata", "Strata", 1),
        "API key, checksum wrong": key[:-1] + ("0" if key[-1] != "0" else "1"),
        "API key, junk behind": f"{key}x",
        "API key, only its prefix": key[:16],
        "refresh token": new_refresh_token(uuid4(), 1).text,
    }
    told = set()
    for name, token in wrong.items():
        headers = {b"Authorization": f"Bearer {token}".encode()}
        rest = await client.get("/api/auth/me", headers=headers)
        assert (rest.status_code, rest.json()["error"]) == (401, "unauthenticated"), name
        graphql = await client.post("/graphql", json=ASKED, headers=headers)
        assert graphql.status_code == 401, name
        assert graphql.json()["errors"][0]["extensions"]["code"] == "unauthenticated", name
        assert rest.headers["WWW-Authenticate"] == graphql.headers["WWW-Authenticate"]
        told.add(rest.json()["message"])
    # That a token has expired is said only to who had a right one.
    assert len(told) == 4, told


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic {}",
        "bearer\xa0{}",
        "Bearer\t{}",
        "Token {}",
        "{}",
        "Bearer Bearer {}",
        "Bearer {}\xa0",
    ],
)
async def test_headers_that_carry_no_token(client: httpx.AsyncClient, forge: Forge, header: str) -> None:
    headers = {b"Authorization": header.format(forge.token()).encode("latin-1")}
    assert (await client.get("/api/auth/me", headers=headers)).status_code == 401
    assert (await client.post("/graphql", json=ASKED, headers=headers)).status_code == 401
