"""Sessions over HTTP: refresh tokens that are good once, logging out, and how many wrong passwords are borne."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast
from uuid import uuid4

import httpx
import jwt
import pytest
from argon2 import PasswordHasher
from litestar import Litestar

from app.domain.model import Actor, Project, Scope
from app.services import api_keys, identity, passwords, refresh_tokens
from app.storage import db
from tests.rest.conftest import made, refused

PASSWORD = "correct horse battery staple"


@dataclass
class Person:
    """An account, and requests from any address."""

    app: Litestar
    email: str

    async def post(
        self, path: str, body: object = None, *, address: str = "192.0.2.1", token: str = ""
    ) -> httpx.Response:
        transport = httpx.ASGITransport(app=cast("Any", self.app), raise_app_exceptions=False, client=(address, 1))
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
            return await client.post(f"/api/auth/{path}", json=body) if body else await client.post(f"/api/auth/{path}")

    async def log_in(self, password: str = PASSWORD, *, address: str = "192.0.2.1") -> httpx.Response:
        return await self.post("login", {"email": self.email, "password": password}, address=address)

    async def refresh(self, token: str) -> httpx.Response:
        return await self.post("refresh", {"refresh_token": token})

    async def is_known(self, access_token: str) -> bool:
        transport = httpx.ASGITransport(app=cast("Any", self.app), raise_app_exceptions=False)
        headers = {"Authorization": f"Bearer {access_token}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
            answer = await client.get("/api/auth/me")
        assert answer.status_code in (200, 401)
        return answer.status_code == 200


@pytest.fixture
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let passwords be hashed in no time, where time is not what a test is about."""
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
async def person(app: Litestar, cheap_hashes: None) -> Person:
    email = f"{uuid4().hex}@example.com"
    await identity.register(email, PASSWORD)
    return Person(app, email)


@pytest.fixture
def addresses() -> Iterator[str]:
    """Addresses that nobody else in this run has."""
    network = f"2001:db8:{uuid4().hex[:4]}"
    return (f"{network}:{number:x}::1" for number in range(1, 10_000))


async def test_a_login_gives_both_tokens_and_refreshing_gives_new_ones(person: Person) -> None:
    first = made(await person.log_in())
    assert first.keys() == {"access_token", "token_type", "expires_in", "refresh_token"}
    second = made(await person.refresh(first["refresh_token"]))
    assert second.keys() == first.keys()
    assert (second["token_type"], second["expires_in"]) == ("bearer", 900)
    assert len({first["access_token"], second["access_token"]}) == 2
    assert [await person.is_known(tokens["access_token"]) for tokens in (first, second)] == [True, True]
    claims = [jwt.decode(tokens["access_token"], options={"verify_signature": False}) for tokens in (first, second)]
    assert claims[0]["sid"] == claims[1]["sid"]
    assert claims[0]["jti"] != claims[1]["jti"]


async def test_a_refresh_token_that_comes_back_ends_the_session(person: Person) -> None:
    first = made(await person.log_in())
    other = made(await person.log_in())
    second = made(await person.refresh(first["refresh_token"]))
    third = made(await person.refresh(second["refresh_token"]))
    refused(await person.refresh(first["refresh_token"]), 401, "invalid_refresh_token")
    for tokens in (first, second, third):
        refused(await person.refresh(tokens["refresh_token"]), 401, "invalid_refresh_token")
        assert not await person.is_known(tokens["access_token"])
    assert await person.is_known(other["access_token"])
    made(await person.refresh(other["refresh_token"]))


async def test_of_many_who_refresh_at_once_one_gets_tokens_and_the_copy_is_noticed(person: Person) -> None:
    for _ in range(10):
        token = made(await person.log_in())["refresh_token"]
        answers = await asyncio.gather(*(person.refresh(token) for _ in range(8)))
        good = [answer for answer in answers if answer.status_code == 200]
        assert len(good) == 1
        refused(await person.refresh(good[0].json()["refresh_token"]), 401, "invalid_refresh_token")


async def test_what_is_no_refresh_token_ends_nothing(person: Person) -> None:
    tokens = made(await person.log_in())
    token = tokens["refresh_token"]
    session = refresh_tokens.read(token)
    assert session is not None
    forged = refresh_tokens._MARK + token[4:70] + "A" * (len(token) - 70)
    wrong = [
        "",
        "x",
        "srt_",
        token[:-1],
        token + "A",
        token + "=",
        token.upper(),
        forged,
        tokens["access_token"],
        # One that the server could have made, but has not yet.
        refresh_tokens.new(session.session_uuid, 1).text,
        refresh_tokens.new(session.session_uuid, 2).text,
        refresh_tokens.new(session.session_uuid, 7).text,
        refresh_tokens.new(uuid4(), 1).text,
        "srt_" + "é" * 91,
    ]
    for position in range(len(token)):
        wrong.append(token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :])
    for text in wrong:
        refused(await person.refresh(text), 401, "invalid_refresh_token")
    assert await person.is_known(tokens["access_token"])
    made(await person.refresh(token))


async def test_the_database_holds_no_token(person: Person) -> None:
    tokens = made(await person.log_in())
    tokens |= {"second": made(await person.refresh(tokens["refresh_token"]))["refresh_token"]}
    rows = await db.fetch("SELECT t::text FROM login_session t UNION ALL SELECT t::text FROM revoked_token t")
    stored = "\n".join(row["t"] for row in rows)
    for name in ("refresh_token", "second", "access_token"):
        assert tokens[name] not in stored
        assert tokens[name][30:60] not in stored


async def test_logging_out_ends_the_session_and_nothing_else(person: Person) -> None:
    first, other = made(await person.log_in()), made(await person.log_in())
    second = made(await person.refresh(first["refresh_token"]))
    answer = await person.post("logout", token=first["access_token"])
    assert (answer.status_code, answer.content) == (204, b"")
    for tokens in (first, second):
        assert not await person.is_known(tokens["access_token"])
        refused(await person.refresh(tokens["refresh_token"]), 401, "invalid_refresh_token")
    refused(await person.post("logout", token=first["access_token"]), 401, "unauthenticated")
    assert await person.is_known(other["access_token"])
    made(await person.refresh(other["refresh_token"]))


async def test_logging_out_takes_a_users_token(person: Person, actor: Actor, project: Project) -> None:
    refused(await person.post("logout"), 401, "unauthenticated")
    key = await api_keys.create(actor, project.id, "k", [Scope.READ, Scope.ADMIN])
    assert key.secret is not None
    refused(await person.post("logout", token=key.secret), 403, "jwt_required")
    token = await identity.keyring.sign(actor.account_uuid, actor.name, 300)
    assert (await person.post("logout", token=token)).status_code == 204
    assert not await person.is_known(token)


async def test_a_session_ends_in_the_end(person: Person) -> None:
    tokens = made(await person.log_in())
    session = refresh_tokens.read(tokens["refresh_token"])
    assert session is not None
    await db.execute("UPDATE login_session SET expires_at = now() WHERE uuid = $1", session.session_uuid)
    refused(await person.refresh(tokens["refresh_token"]), 401, "invalid_refresh_token")
    await person.log_in()
    assert await db.fetchval("SELECT count(*) FROM login_session WHERE uuid = $1", session.session_uuid) == 0


async def test_an_account_has_a_hundred_sessions_at_most(person: Person) -> None:
    oldest = made(await person.log_in())
    account = await db.fetchval("SELECT uuid FROM account WHERE email = $1", person.email)
    await db.execute(
        "INSERT INTO login_session (uuid, account_uuid, number, secret_hash, expires_at)"
        " SELECT gen_random_uuid(), $1, 1, sha256('x'), now() + interval '1 day' FROM generate_series(1, 150)",
        account,
    )
    made(await person.log_in())
    assert await db.fetchval("SELECT count(*) FROM login_session WHERE account_uuid = $1", account) == 100
    refused(await person.refresh(oldest["refresh_token"]), 401, "invalid_refresh_token")


async def test_a_new_password_ends_all_sessions(person: Person) -> None:
    tokens = made(await person.log_in())
    account = await db.fetchval("SELECT uuid FROM account WHERE email = $1", person.email)
    await identity.set_password(account, "another horse")
    assert not await person.is_known(tokens["access_token"])
    refused(await person.refresh(tokens["refresh_token"]), 401, "invalid_refresh_token")
    refused(await person.log_in(), 401, "invalid_credentials")
    made(await person.log_in("another horse"))


async def test_five_failures_lock_the_address_out_of_the_account_and_nobody_else(
    person: Person, addresses: Iterator[str]
) -> None:
    address, elsewhere = next(addresses), next(addresses)
    for _ in range(5):
        refused(await person.log_in("wrong", address=address), 401, "invalid_credentials")
    locked = await person.log_in(address=address)
    body = refused(locked, 429, "too_many_attempts")
    assert 890 <= body["retry_after"] <= 900
    assert locked.headers["Retry-After"] == str(body["retry_after"])
    # Trying again does not make it longer, another host of the same network is the same, others are let in.
    neighbour = address[:-1] + "dead:beef"
    assert (
        refused(await person.log_in(address=neighbour), 429, "too_many_attempts")["retry_after"] <= body["retry_after"]
    )
    made(await person.log_in(address=elsewhere))
    await db.execute("UPDATE login_attempt SET started_at = started_at - interval '15 minutes'")
    made(await person.log_in(address=address))


async def test_an_unknown_account_is_locked_just_the_same(app: Litestar, addresses: Iterator[str]) -> None:
    nobody, address = Person(app, f"{uuid4().hex}@example.com"), next(addresses)
    bodies = [(await nobody.log_in("wrong", address=address)) for _ in range(6)]
    assert [answer.status_code for answer in bodies] == [401] * 5 + [429]
    assert bodies[0].json().keys() == {"error", "message", "request_id"}


async def test_a_success_in_between_forgives(person: Person, addresses: Iterator[str]) -> None:
    address = next(addresses)
    for _ in range(3):
        for _ in range(4):
            refused(await person.log_in("wrong", address=address), 401, "invalid_credentials")
        made(await person.log_in(address=address))


async def test_ten_failures_a_minute_from_one_address_whatever_the_account(
    app: Litestar, addresses: Iterator[str]
) -> None:
    address = next(addresses)
    people = [Person(app, f"{uuid4().hex}@example.com") for _ in range(11)]
    answers = [await person.log_in("wrong", address=address) for person in people]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429]
    assert 50 <= answers[-1].json()["retry_after"] <= 60


async def test_guesses_from_everywhere_are_bounded_but_lock_nobody_out_at_home(
    person: Person, addresses: Iterator[str]
) -> None:
    home = next(addresses)
    made(await person.log_in(address=home))
    answers = [await person.log_in("wrong", address=next(addresses)) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429]
    refused(await person.log_in(address=next(addresses)), 429, "too_many_attempts")
    made(await person.log_in(address=home))


async def test_guesses_at_once_are_no_way_round(person: Person, app: Litestar, addresses: Iterator[str]) -> None:
    address = next(addresses)
    answers = await asyncio.gather(*(person.log_in("wrong", address=address) for _ in range(40)))
    codes = [answer.status_code for answer in answers]
    assert (codes.count(401), codes.count(429)) == (5, 35)
    others = await asyncio.gather(*(person.log_in("wrong", address=next(addresses)) for _ in range(40)))
    assert [answer.status_code for answer in others].count(401) == 5


async def test_right_logins_at_once_are_not_punished(person: Person, addresses: Iterator[str]) -> None:
    address = next(addresses)
    answers = await asyncio.gather(*(person.log_in(address=address) for _ in range(12)))
    assert {answer.status_code for answer in answers} <= {200, 429}
    assert all(answer.json()["retry_after"] == 1 for answer in answers if answer.status_code == 429)
    made(await person.log_in(address=address))


async def test_a_proxys_headers_are_not_believed(person: Person, app: Litestar, addresses: Iterator[str]) -> None:
    address = next(addresses)
    transport = httpx.ASGITransport(app=cast("Any", app), client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        codes = []
        for number in range(6):
            spoofed = {"X-Forwarded-For": f"198.51.100.{number}", "Forwarded": f"for=198.51.100.{number}"}
            body = {"email": person.email, "password": "wrong"}
            codes.append((await client.post("/api/auth/login", json=body, headers=spoofed)).status_code)
    assert codes == [401] * 5 + [429]


async def test_what_was_typed_is_not_stored(person: Person, addresses: Iterator[str]) -> None:
    address = next(addresses)
    await person.log_in("wrong password", address=address)
    await person.log_in(address=address)
    rows = await db.fetch("SELECT t::text FROM login_attempt t UNION ALL SELECT t::text FROM familiar_address t")
    stored = "\n".join(row["t"] for row in rows)
    for text in (person.email, address, "wrong"):
        assert text not in stored
        assert text.encode().hex() not in stored


@pytest.mark.slow
async def test_an_unknown_account_takes_as_long_as_a_wrong_password(app: Litestar, addresses: Iterator[str]) -> None:
    person = Person(app, f"{uuid4().hex}@example.com")
    await identity.register(person.email, PASSWORD)

    async def seconds(who: Person) -> float:
        began = time.perf_counter()
        refused(await who.log_in("wrong", address=next(addresses)), 401, "invalid_credentials")
        return time.perf_counter() - began

    known, unknown = [], []
    for _ in range(9):
        known.append(await seconds(person))
        unknown.append(await seconds(Person(app, f"{uuid4().hex}@example.com")))
    ratio = sorted(known)[4] / sorted(unknown)[4]
    assert 0.6 < ratio < 1.6


async def test_passwords_that_cannot_be_one_are_wrong_passwords(person: Person, addresses: Iterator[str]) -> None:
    for password in ("", "x" * 257, "x" * 100_000):
        refused(await person.log_in(password, address=next(addresses)), 401, "invalid_credentials")
    odd = Person(person.app, "x" * 100_000)
    refused(await odd.log_in(address=next(addresses)), 401, "invalid_credentials")
