"""JWTs of an external issuer: its keys are fetched from the one address that is configured, and seldom."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from app.domain.errors import IssuerUnavailable, Unauthenticated
from app.domain.trusted_issuer import TrustedIssuer
from app.services import external_issuer, key_set_source
from app.services.external_issuer import ExternalIssuer, usable_keys
from app.services.tokens import Keyring
from app.storage import accounts
from tests.forgery import DROP, EC_KEY, ED_KEY, RSA_KEY, Forge, PrivateKey, algorithm_of, crafted

ISSUER = "https://id.example/realms/shop"
KEYS: dict[str, PrivateKey] = {"rsa-1": RSA_KEY, "ec-1": EC_KEY, "ed-1": ED_KEY}


def jwk(key: PrivateKey, **members: object) -> dict[str, Any]:
    """Return the public key as a JWK with these members."""
    algorithm = jwt.get_algorithm_by_name(algorithm_of(key))
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), "use": "sig", **members}


def forge_of(kid: str, key: PrivateKey | None = None) -> Forge:
    key = key or KEYS[kid]
    claims = {"iss": ISSUER, "aud": "strata-api", "sub": f"user-{uuid4()}"}
    return Forge(key, {"alg": algorithm_of(key), "typ": "JWT", "kid": kid}, claims)


class KeyServer:
    """The issuer's address for its keys, which counts who asks and answers what it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.status = 200
        self.headers: dict[str, str] = {}
        self.keys = [jwk(key, kid=kid) for kid, key in KEYS.items()]
        self.content: bytes | None = None
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/keys"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked += 1
                content = server.content or json.dumps({"keys": server.keys}).encode()
                self.send_response(server.status)
                for name, value in {"Content-Length": str(len(content)), **server.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler


@pytest.fixture
def server() -> Iterator[KeyServer]:
    server = KeyServer()
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.http.shutdown()
    thread.join()
    server.http.server_close()


@pytest.fixture
def ring(pool: None, server: KeyServer) -> Keyring:
    """A keyring that trusts the issuer."""
    ring = Keyring()
    ring.issuer = ExternalIssuer(TrustedIssuer(ISSUER, "strata-api", server.url))
    return ring


class Clock:
    """Moves what the issuer takes for now; time itself goes on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0.0
        real = time.monotonic
        monkeypatch.setattr(external_issuer, "time", SimpleNamespace(monotonic=lambda: real() + self.ahead))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


async def taken(ring: Keyring, token: str) -> bool:
    try:
        await ring.verify(token)
    except Unauthenticated:
        return False
    return True


@pytest.mark.parametrize("kid", KEYS)
async def test_right_tokens_of_each_kind_of_key(ring: Keyring, server: KeyServer, kid: str) -> None:
    forge = forge_of(kid)
    first = await ring.verify(forge.token())
    again = await ring.verify(forge.token({"typ": "at+jwt"}, aud=["strata-api", "account"], nbf=int(time.time())))
    assert first.account_uuid == again.account_uuid
    assert first.token_id != again.token_id
    assert server.asked == 1


@pytest.mark.parametrize("kid", KEYS)
async def test_crafted_tokens_are_refused_and_nothing_is_fetched_for_them(
    ring: Keyring, server: KeyServer, kid: str
) -> None:
    forge = forge_of(kid)
    assert await taken(ring, forge.token())
    others = {f"key of another kind: {other}": forge_of(other, KEYS[kid]).token() for other in KEYS if other != kid}
    wrong = (
        crafted(forge)
        | others
        | {
            "life over a day": forge.token(exp=int(time.time()) + 86_402),
            "sub NUL": forge.token(sub="a\0b"),
            "sub surrogate": forge.token(sub="\ud800"),
            "sub long": forge.token(sub="s" * 256),
            "our own type and issuer": forge.token({"typ": "at+jwt"}, iss="strata", aud="strata", sub=str(uuid4())),
        }
    )
    assert [name for name, token in wrong.items() if await taken(ring, token)] == []
    assert server.asked == 1


async def test_tokens_of_this_server_are_still_taken_and_need_no_fetch(ring: Keyring, server: KeyServer) -> None:
    account = await accounts.add_account(f"{uuid4().hex}@example.com", "none")
    token = await ring.sign(account.uuid, account.name, 300)
    assert (await ring.verify(token)).account_uuid == account.uuid
    assert server.asked == 0


async def test_an_unknown_key_is_fetched_once_in_ten_seconds_and_not_more(
    ring: Keyring, server: KeyServer, clock: Clock
) -> None:
    assert await taken(ring, forge_of("rsa-1").token())
    new = forge_of("new", EC_KEY)
    assert not any([await taken(ring, forge_of(f"kid-{number}", ED_KEY).token()) for number in range(100)])
    assert server.asked == 1
    server.keys.append(jwk(EC_KEY, kid="new"))
    clock.ahead = 10.5
    answers = await asyncio.gather(*(taken(ring, new.token()) for _ in range(50)))
    assert (all(answers), server.asked) == (True, 2)
    assert not await taken(ring, forge_of("kid", ED_KEY).token())
    assert server.asked == 2


async def test_a_key_that_was_taken_back_is_refused_when_the_keys_are_fetched_again(
    ring: Keyring, server: KeyServer, clock: Clock
) -> None:
    assert await taken(ring, forge_of("rsa-1").token())
    server.keys = [key for key in server.keys if key["kid"] != "rsa-1"]
    clock.ahead = 301
    assert await taken(ring, forge_of("rsa-1").token())
    for _ in range(100):
        if not await taken(ring, forge_of("rsa-1").token()):
            break
        await asyncio.sleep(0.02)
    assert not await taken(ring, forge_of("rsa-1").token())
    assert await taken(ring, forge_of("ec-1").token())
    assert server.asked == 2


async def test_known_keys_outlast_an_hour_without_the_issuer_and_no_more(
    ring: Keyring, server: KeyServer, clock: Clock
) -> None:
    assert await taken(ring, forge_of("rsa-1").token())
    server.status = 500
    clock.ahead = 3_590
    assert await taken(ring, forge_of("rsa-1").token())
    clock.ahead = 3_700
    with pytest.raises(IssuerUnavailable):
        await ring.verify(forge_of("rsa-1").token())
    server.status = 200
    clock.ahead = 3_711
    assert await taken(ring, forge_of("rsa-1").token())


@pytest.mark.parametrize(
    ("status", "headers", "content"),
    [
        (404, {}, None),
        (302, {"Location": "/elsewhere"}, None),
        (200, {}, b"<html>"),
        (200, {}, b"[]"),
        (200, {}, b"{"),
        (200, {}, b"[" * 50_000),
        (200, {}, b'{"keys": []}' + b" " * key_set_source.MAX_BYTES),
        (200, {"Content-Length": "abc"}, None),
    ],
)
async def test_an_issuer_that_answers_nonsense_is_unavailable(
    ring: Keyring, server: KeyServer, status: int, headers: dict[str, str], content: bytes | None
) -> None:
    server.status, server.headers, server.content = status, headers, content
    if headers.get("Content-Length"):
        server.content = b"{"
    with pytest.raises(IssuerUnavailable):
        await ring.verify(forge_of("rsa-1").token())
    assert server.asked == 1


async def test_an_issuer_that_is_not_there(pool: None) -> None:
    ring = Keyring()
    ring.issuer = ExternalIssuer(TrustedIssuer(ISSUER, "strata-api", "http://127.0.0.1:9/keys"))
    with pytest.raises(IssuerUnavailable):
        await ring.verify(forge_of("rsa-1").token())


def test_which_keys_of_a_set_are_usable() -> None:
    secret = {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "kid": "oct", "alg": "HS256"}
    private = json.loads(jwt.get_algorithm_by_name("EdDSA").to_jwk(ED_KEY))
    members: list[object] = [
        jwk(RSA_KEY, kid="rsa"),
        jwk(RSA_KEY, kid="rsa named", alg="RS256"),
        jwk(RSA_KEY, kid="rsa for PS256", alg="PS256"),
        jwk(RSA_KEY, kid="rsa for RS512", alg="RS512"),
        jwk(RSA_KEY, kid="rsa for HS256", alg="HS256"),
        jwk(RSA_KEY, kid="rsa for none", alg="none"),
        jwk(RSA_KEY, kid="rsa for encryption", use="enc"),
        jwk(RSA_KEY),
        jwk(RSA_KEY, kid=5),
        jwk(generate_private_key(65_537, 1_024), kid="rsa weak"),
        jwk(EC_KEY, kid="ec"),
        jwk(EC_KEY, kid="ec other curve", crv="P-384"),
        jwk(EC_KEY, kid="ec off the curve", x=jwk(EC_KEY)["y"]),
        jwk(ED_KEY, kid="ed"),
        {**private, "kid": "ed private"},
        secret,
        {"kid": "nothing"},
        {"kid": "list", "kty": ["RSA"]},
        {"kid": "number", "kty": "RSA", "n": 5, "e": 5},
        {"kid": "empty", "kty": "RSA", "n": "", "e": ""},
        5,
        None,
        jwk(ED_KEY, kid="twice"),
        jwk(EC_KEY, kid="twice"),
    ]
    found = usable_keys({"keys": members})
    assert {kid: key.algorithm for kid, key in found.items()} == {
        "rsa": "RS256",
        "rsa named": "RS256",
        "ec": "ES256",
        "ed": "EdDSA",
    }
    assert usable_keys({}) == usable_keys({"keys": None}) == usable_keys({"keys": {}}) == {}


async def test_a_user_is_the_issuers_subject_whatever_the_token_says_else(ring: Keyring) -> None:
    email = f"{uuid4().hex}@example.com"
    forge = forge_of("rsa-1")
    racing = await asyncio.gather(*(ring.verify(forge.token(email=email, email_verified=True)) for _ in range(8)))
    assert len({claims.account_uuid for claims in racing}) == 1
    assert racing[0].name == email
    changed = await ring.verify(forge.token(email=f"new-{email}", email_verified=True))
    assert (changed.account_uuid, changed.name) == (racing[0].account_uuid, email)
    stranger = await ring.verify(forge.token(sub="somebody else", email=email, email_verified=True))
    assert stranger.account_uuid != racing[0].account_uuid
    assert stranger.name == str(stranger.account_uuid)


async def test_a_registered_account_is_not_given_to_who_shows_its_address(ring: Keyring) -> None:
    registered = await accounts.add_account(f"{uuid4().hex}@example.com", "none")
    claims = await ring.verify(forge_of("rsa-1").token(email=registered.email, email_verified=True))
    assert claims.account_uuid != registered.uuid
    found = await accounts.account(claims.account_uuid)
    assert found is not None
    assert found.email is None


@pytest.mark.parametrize("verified", [False, None, "true", 1, [], DROP])
async def test_an_address_that_nobody_vouches_for_is_not_taken_over(ring: Keyring, verified: object) -> None:
    email = f"{uuid4().hex}@example.com"
    claims = await ring.verify(forge_of("rsa-1").token(email=email, email_verified=verified))
    assert claims.name == str(claims.account_uuid)
    assert await accounts.account_with_hash(email) is None


@pytest.mark.parametrize("email", ["", "nobody", "a\0b@example.com", "\ud800@example.com", 5, ["a@example.com"]])
async def test_what_is_no_address_is_left_out(ring: Keyring, email: object) -> None:
    claims = await ring.verify(forge_of("rsa-1").token(email=email, email_verified=True))
    assert claims.name == str(claims.account_uuid)


async def test_a_foreign_token_can_be_revoked(ring: Keyring) -> None:
    forge = forge_of("ec-1")
    token = forge.token(jti="one")
    await ring.revoke(await ring.verify(token))
    assert not await taken(ring, token)
    # The same claims under another signature (ECDSA has many for each text) are no other token.
    assert not await taken(ring, forge.token(jti="one"))
    assert await taken(ring, forge.token(jti="two"))
    assert isinstance((await ring.verify(forge.token())).token_id, UUID)
