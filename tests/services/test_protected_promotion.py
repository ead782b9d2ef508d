"""Secrets and promotion (X6): an environment's values stay there, production's are neither replaced nor wiped."""

from uuid import UUID

import pytest

from app.domain.errors import ValidationFailed
from app.domain.model import At
from app.domain.promotion import DocumentPaths, DocumentResolution, PromotionStatus
from app.domain.promotion_errors import ConflictsOpen, PathNotCarried
from app.domain.protected import MARKER
from app.domain.references import referred
from app.domain.three_way import Side
from app.domain.values import Value, lookup
from app.services import checkpoints, documents, promoting, rebasing, releasing
from app.services.promoting import PromoteOptions
from app.storage import layers, secrets
from tests.services.canaries import planted, tables_with
from tests.services.invariants import check_invariants
from tests.services.shop import Shop
from tests.services.test_protected import GLOBS, MASKED, keys, protect

PLACE = ("keys", "api", "secret")


@pytest.fixture
async def vault(shop: Shop) -> Shop:
    """A project with a list of protected fields."""
    await protect(shop, *GLOBS)
    return shop


async def value_in(shop: Shop, env: UUID, key: str = "a") -> Value:
    """Return what is sealed at the protected place, as an environment has it; None if nothing is."""
    head = await shop.head(env)
    (stack,) = await layers.stacks(shop.project_id, [layers.DocumentKey(head.uuid, "page", key)])
    assert stack is not None
    uuid = referred(lookup(stack.state, PLACE))
    if uuid is None:
        return None
    return secrets.opened((await secrets.get_many(shop.project_id, [uuid]))[uuid])


async def promote(shop: Shop, env: UUID, options: PromoteOptions | None = None) -> None:
    made = await promoting.promote(shop.actor, env, options or PromoteOptions())
    assert made.status is PromotionStatus.COMPLETED, made.reason
    assert made.conflicts == []


async def test_values_of_an_environment_stay_there(vault: Shop) -> None:
    theirs, ours, newest = planted(), planted(), planted()
    await vault.put(None, keys(ours, price=1))
    env = await vault.fork("env")
    await vault.put("env", keys(theirs, price=2))
    await vault.put(None, newest, path=PLACE)
    found = await promoting.dry_run(vault.actor, env, PromoteOptions())
    assert (found.conflicts, [item.path for merge in found.merges for item in merge.changes()]) == ([], ["/price"])
    await promote(vault, env)
    assert await vault.state(None) == keys(MARKER, price=2)
    assert await value_in(vault, vault.production) == newest
    assert (await vault.differing(env)).modified == 0
    await check_invariants(vault.project_id)
    assert await tables_with(theirs, ours, newest) == set()


async def test_removing_and_replacing_around_a_value_does_not_wipe_it(vault: Shop) -> None:
    ours = planted()
    await vault.put(None, keys(ours))
    env = await vault.fork("env")
    await vault.put("env", {"keys": {"api": {"id": 2}}})
    await promote(vault, env)
    assert await value_in(vault, vault.production) == ours
    await vault.put("env", {"keys": {"api": [1], "other": {"secret": planted(), "id": 1}}})
    await promote(vault, env)
    assert await vault.state(None) == {"keys": {"api": [1], "other": {"id": 1}}}


async def test_a_document_that_the_environment_made_arrives_without_its_values(vault: Shop) -> None:
    env = await vault.fork("env")
    await vault.put("env", keys(planted(), price=1), "new")
    await promote(vault, env)
    assert await vault.state(None, "new") == {"keys": {"api": {"id": 1}}, "price": 1}


async def test_chosen_paths_and_what_stays(vault: Shop) -> None:
    theirs = planted()
    await vault.put(None, keys(planted(), price=1, title="x"))
    env = await vault.fork("env")
    await vault.put("env", keys(theirs, price=2, title="y"))
    only = PromoteOptions(paths=[DocumentPaths("page", "a", ["/keys/api/secret"])])
    with pytest.raises(PathNotCarried):
        await promoting.promote(vault.actor, env, only)
    await promote(vault, env, PromoteOptions(paths=[DocumentPaths("page", "a", ["/price"])]))
    assert await vault.state("env") == keys(MARKER, price=2, title="y")
    assert await value_in(vault, env) == theirs


async def test_what_was_not_swept_yet_does_not_travel_either(shop: Shop) -> None:
    theirs, ours = planted(), planted()
    await shop.put(None, keys(ours, price=1))
    env = await shop.fork("env")
    await shop.put("env", keys(theirs, price=2))
    await protect(shop, *GLOBS)
    await promote(shop, env)
    assert await shop.state(None) == keys(MARKER, price=2)
    assert await value_in(shop, shop.production) == ours


async def test_a_list_that_is_promoted_is_in_force_and_never_shortened(shop: Shop) -> None:
    await shop.put(None, keys(planted()))
    await protect(shop, "old")
    env = await shop.fork("env")
    await protect(shop, "old", *GLOBS, env="env")
    assert await shop.state(None) != MASKED
    assert await shop.state("env") == MASKED
    await promote(shop, env)
    assert await shop.state(None) == MASKED
    assert await shop.state("env") == MASKED


async def test_undoing_a_release_leaves_values_as_they_are_now(vault: Shop) -> None:
    now = planted()
    await vault.put(None, keys(planted(), price=1))
    env = await vault.fork("env")
    await vault.put("env", keys(planted(), price=2))
    await promote(vault, env)
    await vault.put(None, now, path=PLACE)
    (release,) = (await releasing.list_releases(vault.actor, vault.project_id)).items
    (document,) = (await releasing.documents(vault.actor, release.uuid)).items
    assert (document.old, document.new) == (keys(MARKER, price=1), keys(MARKER, price=2))
    await releasing.rollback_release(vault.actor, release.uuid)
    assert await vault.state(None) == keys(MARKER, price=1)
    assert await value_in(vault, vault.production) == now


async def test_rolling_back_to_a_checkpoint_has_its_values_and_promoting_that_has_not(vault: Shop) -> None:
    old, new = planted(), planted()
    await vault.put(None, keys(old, price=1))
    taken = await vault.checkpoint(vault.production)
    await vault.put(None, keys(new, price=2))
    fork = await checkpoints.rollback(vault.actor, taken.uuid, "back")
    assert await value_in(vault, fork.environment.uuid) == old
    await promote(vault, fork.environment.uuid)
    assert await vault.state(None) == keys(MARKER, price=1)
    assert await value_in(vault, vault.production) == new


async def test_rebasing_keeps_the_values_and_shows_none_in_conflicts(vault: Shop) -> None:
    theirs, ours = planted(), planted()
    await vault.put(None, keys(planted(), price=1))
    env = await vault.fork("env")
    await vault.put("env", keys(theirs, price=2))
    await protect(vault, *GLOBS, "own", env="env")
    await vault.put(None, ours, path=PLACE)
    with pytest.raises(ConflictsOpen) as refused:
        await rebasing.rebase(vault.actor, env)
    conflicts = refused.value.fields["conflicts"]
    assert isinstance(conflicts, list)
    assert [(item["path"], item["theirs"]) for item in conflicts] == [("/keys/api/secret", MARKER)]
    await rebasing.rebase(vault.actor, env, [DocumentResolution("page", "a", "/keys/api/secret", Side.THEIRS, None)])
    assert await value_in(vault, env) == theirs
    await vault.put("env", {"own": 1}, "b")
    assert await vault.state("env", "b") == {"own": MARKER}
    await vault.put(None, planted(), path=PLACE)
    given = planted()
    values: dict[str, Value] = {"/keys/api/secret": given, "/keys": {"api": {"secret": given}}, "": keys(given)}
    for path, value in values.items():
        resolution = DocumentResolution("page", "a", path, None, value)
        with pytest.raises(ValidationFailed):
            await rebasing.rebase(vault.actor, env, [resolution])
        with pytest.raises(ValidationFailed):
            await promoting.promote(vault.actor, env, PromoteOptions(resolutions=[resolution]))
    assert await value_in(vault, env) == theirs
    assert await tables_with(theirs, ours, given) == set()


async def test_time_travel_across_a_promotion_shows_markers(vault: Shop) -> None:
    await vault.put(None, keys(planted(), price=1))
    env = await vault.fork("env")
    written = await vault.put("env", keys(planted(), price=2))
    assert written.change is not None
    await promote(vault, env)
    at = At(version=written.change.version)
    for name in ("env", None):
        document = await documents.read(vault.actor, vault.project_id, name, "page", "a", at=at)
        assert document.state == keys(MARKER, price=2 if name else 1)
