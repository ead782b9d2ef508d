"""Accounts and sessions over GraphQL: what REST does, with the same limits."""

from typing import Any
from uuid import uuid4

import httpx

PASSWORD = "correct horse battery staple"
REGISTER = """mutation ($email: String!, $password: String!) { register(input: {email: $email, password: $password}) {
    __typename ... on RegisterPayload { account { email } } ... on Refusal { code } } }"""
LOG_IN = """mutation ($email: String!, $password: String!) { logIn(input: {email: $email, password: $password}) {
    accessToken tokenType expiresIn refreshToken } }"""
REFRESH = """mutation ($old: String!) { refreshSession(input: {refreshToken: $old}) {
    accessToken refreshToken } }"""
LOG_OUT = "mutation { logOut { ... on LogOutPayload { ended } ... on Refusal { code } } }"


async def ask(client: httpx.AsyncClient, query: str, token: str | None = None, **variables: Any) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = await client.post("/graphql", json={"query": query, "variables": variables}, headers=headers)
    found: dict[str, Any] = answer.json()
    return found


def code(answer: dict[str, Any]) -> str:
    found: str = answer["errors"][0]["extensions"]["code"]
    return found


async def test_a_session_from_its_beginning_to_its_end(client: httpx.AsyncClient) -> None:
    email = f"{uuid4().hex}@example.com"
    made = await ask(client, REGISTER, email=email, password=PASSWORD)
    assert made["data"]["register"] == {"__typename": "RegisterPayload", "account": {"email": email}}
    session = (await ask(client, LOG_IN, email=email, password=PASSWORD))["data"]["logIn"]
    assert (session["tokenType"], session["expiresIn"]) == ("bearer", 900)
    assert (await ask(client, "{ viewer { name } }", session["accessToken"]))["data"]["viewer"] == {"name": email}
    following = (await ask(client, REFRESH, old=session["refreshToken"]))["data"]["refreshSession"]
    ended = await ask(
        client,
        LOG_OUT,
        following["accessToken"],
    )
    assert ended["data"] == {"logOut": {"ended": True}}
    assert code(await ask(client, REFRESH, old=following["refreshToken"])) == "invalid_refresh_token"


async def test_an_address_has_one_account(client: httpx.AsyncClient) -> None:
    email = f"{uuid4().hex}@example.com"
    await ask(client, REGISTER, email=email, password=PASSWORD)
    again = await ask(client, REGISTER, email=email.upper(), password=PASSWORD)
    assert again["data"]["register"] == {"__typename": "InvalidTransition", "code": "email_taken"}
    weak = await ask(client, REGISTER, email=f"{uuid4().hex}@example.com", password="short")
    assert weak["data"]["register"] == {"__typename": "ValidationFailed", "code": "validation_failed"}


async def test_guesses_are_counted_with_those_over_rest(client: httpx.AsyncClient) -> None:
    email = f"{uuid4().hex}@example.com"
    await ask(client, REGISTER, email=email, password=PASSWORD)
    for _ in range(4):
        assert code(await ask(client, LOG_IN, email=email, password="wrong password")) == "invalid_credentials"
    guessed = await client.post("/api/auth/login", json={"email": email, "password": "wrong password"})
    assert guessed.json()["error"] == "invalid_credentials"
    assert code(await ask(client, LOG_IN, email=email, password=PASSWORD)) == "too_many_attempts"


async def test_an_operation_guesses_once(client: httpx.AsyncClient) -> None:
    one = 'logIn(input: {email: "a@example.com", password: "guess"}) { accessToken }'
    answer = await ask(client, f"mutation {{ a: {one} b: {one} }}")
    assert code(answer) == "query_limit_exceeded", answer


async def test_a_key_has_no_session(client: httpx.AsyncClient) -> None:
    assert code(await ask(client, LOG_OUT)) == "unauthenticated"
