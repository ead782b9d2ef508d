"""Access tokens: what is taken, what never is, and keys that are replaced while tokens are out."""

import random
import time
from uuid import uuid4

import jwt
import pytest

from app.domain.errors import Unauthenticated
from app.domain.model import Actor
from app.services import identity, operator, tokens
from app.services.jwt_rules import LEEWAY_SECONDS
from app.services.tokens import Keyring
from app.storage import db, master_key, signing_keys
from app.storage.master_key import MasterKey, MasterKeyError
from tests.forgery import Forge, crafted

MUTATIONS = 10_000


@pytest.fixture
async def ring(pool: None) -> Keyring:
    """A keyring as another process has it."""
    ring = Keyring()
    await ring.load()
    return ring


@pytest.fixture
def forge(ring: Keyring) -> Forge:
    """Somebody who has this installation's own signing key."""
    header = {"alg": "EdDSA", "typ": "at+jwt", "kid": ring._signing}
    claims = {"iss": "strata", "aud": "strata", "sub": str(uuid4()), "name": "ada@example.com"}
    return Forge(ring._private[ring._signing], header, claims)


async def taken(ring: Keyring, token: str) -> bool:
    try:
        await ring.verify(token)
    except Unauthenticated:
        return False
    return True


async def test_right_tokens_are_taken(ring: Keyring, forge: Forge, actor: Actor) -> None:
    claims = await ring.verify(await ring.sign(actor.account_uuid, actor.name, 300))
    assert (claims.account_uuid, claims.name, claims.session_uuid) == (actor.account_uuid, actor.name, None)
    assert 300 <= claims.refused_from - time.time() <= 300 + LEEWAY_SECONDS
    now = int(time.time())
    for right in (
        forge.token(),
        forge.token({"typ": "AT+JWT"}),
        forge.token(nbf=now),
        forge.token(iat=now + LEEWAY_SECONDS - 2),
        forge.token(exp=now + 900),
        forge.token(iat=now - 300, exp=now - LEEWAY_SECONDS + 3),
        forge.token(aud=["strata", "somebody"]),
        forge.token(unheard_of=[1]),
    ):
        assert await taken(ring, right)


async def test_crafted_tokens_are_refused(ring: Keyring, forge: Forge) -> None:
    wrong = crafted(forge) | {
        "sub no UUID": forge.token(sub="ada"),
        "jti no UUID": forge.token(jti="one"),
        "sid no UUID": forge.token(sid="one"),
        "sid number": forge.token(sid=5),
        "life over a quarter of an hour": forge.token(exp=int(time.time()) + 901 + 1),
    }
    assert len(wrong) > 100
    assert [name for name, token in wrong.items() if await taken(ring, token)] == []
    assert not set(wrong.values()) & ring._verified.keys()


async def test_no_mutation_of_a_right_token_is_taken(ring: Keyring, forge: Forge) -> None:
    good = forge.token()
    assert await taken(ring, good)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    chance = random.Random(20_261_124)
    accepted = []
    for number in range(MUTATIONS):
        position = number % (len(good) + 1)
        other = chance.choice(alphabet) if number % 3 else chr(chance.randrange(256))
        length = chance.choice((0, 1, 1, 1))
        mutated = good[:position] + other + good[position + length :]
        if mutated != good and await taken(ring, mutated):
            accepted.append(mutated)
    for position in range(len(good)):
        if await taken(ring, good[:position] + good[position + 1 :]):
            accepted.append(good)
    assert accepted == []


async def test_a_token_ends_though_it_is_remembered(
    ring: Keyring, forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = forge.token()
    assert await taken(ring, token)
    later = time.time() + 300 + LEEWAY_SECONDS + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert not await taken(ring, token)


async def test_no_access_token_outlives_a_quarter_of_an_hour(ring: Keyring, actor: Actor) -> None:
    token = await ring.sign(actor.account_uuid, actor.name, 86_400)
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 900
    assert jwt.get_unverified_header(token).keys() == {"alg", "kid", "typ"}


async def test_a_revoked_token_is_refused_at_once_here_and_elsewhere_within_a_second(
    ring: Keyring, actor: Actor
) -> None:
    elsewhere = Keyring()
    session = uuid4()
    token = await ring.sign(actor.account_uuid, actor.name, 300, session)
    sibling = await ring.sign(actor.account_uuid, actor.name, 300, session)
    stranger = await ring.sign(actor.account_uuid, actor.name, 300, uuid4())
    assert await taken(elsewhere, token)
    await ring.revoke(await ring.verify(token))
    revoked_at = time.monotonic()
    assert not await taken(ring, token)
    late = []
    while time.monotonic() < revoked_at + 1.5:
        asked_at = time.monotonic()
        if await taken(elsewhere, token):
            late.append(asked_at - revoked_at)
    assert max(late, default=0) <= 1
    for each in (ring, elsewhere, Keyring()):
        assert [await taken(each, one) for one in (token, sibling, stranger)] == [False, False, True]


async def test_verifying_needs_no_statement_while_nothing_changes(ring: Keyring, forge: Forge) -> None:
    token = forge.token()
    await ring.verify(token)
    with db.count_statements() as counted:
        for _ in range(1_000):
            await ring.verify(token)
    assert counted.count == 0


async def test_tokens_of_the_old_key_are_taken_until_they_expire(ring: Keyring, actor: Actor) -> None:
    old = await ring.sign(actor.account_uuid, actor.name, 900)
    elsewhere = Keyring()
    assert await taken(elsewhere, old)
    kid = await operator.rotate_signing_key()
    seen = set()
    deadline = time.monotonic() + 6
    while kid not in seen and time.monotonic() < deadline:
        token = await ring.sign(actor.account_uuid, actor.name, 300)
        seen.add(jwt.get_unverified_header(token)["kid"])
        # Whoever signs first with the new key: every process knows it by then.
        assert await taken(elsewhere, token)
        assert await taken(elsewhere, old)
    assert kid in seen
    keys = await db.fetch(
        "SELECT kid, extract(epoch FROM retires_at - now())::float8 AS left FROM signing_key ORDER BY signs_from DESC"
    )
    assert keys[0]["kid"] == kid
    assert keys[0]["left"] is None
    assert all(900 + LEEWAY_SECONDS < key["left"] < 1_000 for key in keys[1:2])
    # Once its time has come, the old key is nobody's any more, whatever is remembered.
    await db.execute("UPDATE signing_key SET retires_at = now() WHERE kid <> $1", kid)
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        await taken(elsewhere, old)
    assert not await taken(elsewhere, old)
    assert not await taken(ring, old)
    assert [key.kid for key in await signing_keys.in_use()] == [kid]


async def test_rotating_at_once_drops_the_old_keys(ring: Keyring, actor: Actor) -> None:
    old = await ring.sign(actor.account_uuid, actor.name, 900)
    kid = await operator.rotate_signing_key(at_once=True)
    replaced_at = time.monotonic()
    while time.monotonic() < replaced_at + 1.2:
        if await taken(ring, old):
            assert time.monotonic() - replaced_at <= 1
    assert not await taken(ring, old)
    token = await ring.sign(actor.account_uuid, actor.name, 300)
    assert jwt.get_unverified_header(token)["kid"] == kid
    assert await taken(identity.keyring, token)
    assert await db.fetchval("SELECT count(*) FROM signing_key") == 1


async def test_private_keys_are_sealed_and_a_foreign_master_key_is_named(
    ring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    raws = [key.private_bytes_raw() for key in ring._private.values()]
    stored = b"".join([key.sealed_private for key in await signing_keys.in_use()])
    assert not any(raw in stored for raw in raws)
    assert await tokens.count_readable(master_key.current()) == len(raws)
    monkeypatch.setattr(master_key, "_current", MasterKey(bytes(range(32))))
    with pytest.raises(MasterKeyError, match="is not the one"):
        await Keyring().load()
    with pytest.raises(MasterKeyError, match="is not the one"):
        await tokens.count_readable(master_key.current())


async def test_a_signing_key_planted_in_the_database_signs_nothing(ring: Keyring) -> None:
    """Whoever can write to the database, but has not the master key, cannot make tokens."""
    (key, *_) = await signing_keys.in_use()
    await db.execute("UPDATE signing_key SET kid = 'planted' WHERE kid = $1", key.kid)
    try:
        with pytest.raises(MasterKeyError, match="was changed"):
            await Keyring().load()
    finally:
        await db.execute("UPDATE signing_key SET kid = $1 WHERE kid = 'planted'", key.kid)
