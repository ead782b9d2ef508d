"""API keys: keyed hashes, expiry, and when one was last used."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.errors import NotFound, ProjectNotFound, Unauthenticated, ValidationFailed
from app.domain.model import Actor, Project, Scope
from app.services import api_keys, background, identity, operator
from app.services.api_key_text import key_prefix
from app.storage import db, master_key
from app.storage.accounts import ApiKey
from app.storage.master_key import MasterKey

Used = Callable[[str], Awaitable[None]]


@dataclass(frozen=True)
class Made:
    key: ApiKey
    secret: str


async def make(actor: Actor, project: Project, name: str = "k", expires_at: datetime | None = None) -> Made:
    created = await api_keys.create(actor, project.id, name, [Scope.READ], expires_at)
    assert created.secret is not None
    return Made(created.key, created.secret)


@pytest.fixture
def used() -> Used:
    """Uses a key as its first request in a second does."""

    async def use(secret: str) -> None:
        identity._known_keys.clear()
        await identity.authenticate(f"Bearer {secret}")
        await background.finish()

    return use


async def _last_used(actor: Actor, project: Project) -> datetime | None:
    (key,) = await api_keys.list_keys(actor, project.id)
    return key.last_used_at


async def test_use_is_noted_once_a_minute(actor: Actor, project: Project, used: Used) -> None:
    made = await make(actor, project)
    assert await _last_used(actor, project) is None
    began = datetime.now(UTC)
    await used(made.secret)
    first = await _last_used(actor, project)
    assert first is not None
    assert began - timedelta(seconds=1) < first < datetime.now(UTC) + timedelta(seconds=1)
    for _ in range(3):
        await used(made.secret)
    assert await _last_used(actor, project) == first
    await db.execute("UPDATE api_key SET last_used_at = now() - interval '61 seconds' WHERE uuid = $1", made.key.uuid)
    await asyncio.gather(*(used(made.secret) for _ in range(5)))
    second = await _last_used(actor, project)
    assert second is not None
    assert second > first


async def test_a_refused_key_is_not_used(actor: Actor, project: Project, used: Used) -> None:
    made = await make(actor, project)
    await api_keys.revoke(actor, project.id, made.key.uuid)
    with pytest.raises(Unauthenticated):
        await used(made.secret)
    assert await _last_used(actor, project) is None


async def test_noting_use_takes_no_statement_of_the_request(actor: Actor, project: Project) -> None:
    made = await make(actor, project)
    with db.count_statements() as counted:
        for _ in range(100):
            await identity.authenticate(f"Bearer {made.secret}")
    assert counted.count == 1
    await background.finish()


async def test_expiry_lies_ahead_and_within_a_year(actor: Actor, project: Project, used: Used) -> None:
    now = datetime.now(UTC)
    for wrong in (now, now - timedelta(days=1), now + timedelta(days=367), datetime.max.replace(tzinfo=UTC)):
        with pytest.raises(ValidationFailed):
            await api_keys.create(actor, project.id, "k", [Scope.READ], wrong)
    assert await api_keys.list_keys(actor, project.id) == []
    made = await make(actor, project, expires_at=now + timedelta(days=365))
    await used(made.secret)
    await db.execute("UPDATE api_key SET expires_at = now() WHERE uuid = $1", made.key.uuid)
    with pytest.raises(Unauthenticated):
        await used(made.secret)


async def test_only_a_keyed_hash_is_stored(
    actor: Actor, project: Project, used: Used, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await make(actor, project)
    row = await db.fetchval("SELECT t::text FROM api_key t WHERE uuid = $1", made.key.uuid)
    assert made.key.prefix in row
    assert made.secret[16:] not in row
    stored = await db.fetchval("SELECT secret_hash FROM api_key WHERE uuid = $1", made.key.uuid)
    plain = await db.fetchval("SELECT sha256($1)", made.secret.encode())
    assert stored != plain
    # Whoever writes to the database, but has not the master key, cannot make a key that opens.
    await db.execute("UPDATE api_key SET secret_hash = $2 WHERE uuid = $1", made.key.uuid, plain)
    with pytest.raises(Unauthenticated):
        await used(made.secret)
    await db.execute("UPDATE api_key SET secret_hash = $2 WHERE uuid = $1", made.key.uuid, stored)
    await used(made.secret)
    monkeypatch.setattr(master_key, "_current", MasterKey(bytes(range(32))))
    with pytest.raises(Unauthenticated):
        await used(made.secret)


async def test_a_key_with_another_ones_prefix_or_a_typing_error_is_refused(actor: Actor, project: Project) -> None:
    one, two = [(await make(actor, project, name)).secret for name in "ab"]
    mixed = one[:15] + two[15:]
    assert key_prefix(mixed) == key_prefix(one)
    with pytest.raises(Unauthenticated):
        await identity.authenticate(f"Bearer {mixed}")
    with db.count_statements() as counted:
        for position in range(16, len(one)):
            typed = one[:position] + ("A" if one[position] != "A" else "B") + one[position + 1 :]
            with pytest.raises(Unauthenticated):
                await identity.authenticate(f"Bearer {typed}")
    # The checksum tells without asking the database.
    assert counted.count == 0


async def test_the_person_at_the_machine_lists_and_revokes(actor: Actor, project: Project, used: Used) -> None:
    made = [await make(actor, project, name) for name in "ab"]
    assert [key.name for key in await operator.list_keys(project.id)] == ["b", "a"]
    assert (await operator.revoke_key(made[0].key.prefix)).revoked_at is not None
    assert (await operator.revoke_key(str(made[1].key.uuid).upper())).revoked_at is not None
    for key in made:
        with pytest.raises(Unauthenticated):
            await used(key.secret)
    for nothing in ("", "strata_00000000", made[0].secret, "%"):
        with pytest.raises(NotFound):
            await operator.revoke_key(nothing)
    with pytest.raises(ProjectNotFound):
        await operator.list_keys(2**31 - 1)
