"""Segments in project documents: written as any document is, previewed, forked by; protected fields stay so."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.errors import (
    DomainError,
    FieldProtected,
    Forbidden,
    ValidationFailed,
    VersionConflict,
)
from app.domain.model import Actor, Role
from app.domain.rules import Rule, matches
from app.domain.segment_errors import ManifestNotFound, SegmentInUse, SegmentNotFound
from app.domain.values import Value
from app.services import documents, environments, manifests, segments, sweeping
from app.services import settings as project_settings
from app.services.branching import ForkOptions
from app.services.documents import Expected
from app.services.environments import EnvironmentUpdate
from app.services.segments import Preview
from app.storage import generations
from app.storage import segments as stored
from tests.conftest import MakeActor
from tests.services.shop import Shop
from tests.storage.test_segment_sql import documents as user_documents
from tests.storage.test_segment_sql import rules as some_rules

PRO: list[Value] = [{"field": "plan", "op": "eq", "value": "pro"}]


async def make(shop: Shop, name: str = "Pro", rules: Value = PRO, env: str | None = None) -> UUID:
    return (await segments.create(shop.actor, shop.project_id, env, name, rules)).segment.segment_id


async def preview(shop: Shop, env: str | None = None, **asked: Any) -> Preview:
    return await segments.preview(shop.actor, shop.project_id, env, **asked)


async def names(shop: Shop, env: str | None = None) -> list[str]:
    return [item.name for item in (await segments.list_segments(shop.actor, shop.project_id, env)).segments]


@pytest.fixture
async def people(shop: Shop) -> Shop:
    """Users u0 to u5: the even ones are pro."""
    for number in range(6):
        await shop.put(None, {"plan": "free" if number % 2 else "pro", "n": number}, f"u{number}", "user")
    return shop


async def test_segments_are_data_of_their_environment(shop: Shop) -> None:
    first = await make(shop)
    await shop.fork("env")
    second = await make(shop, "Env's", env="env")
    assert await names(shop) == ["Pro"]
    assert await names(shop, "env") == ["Pro", "Env's"]
    await segments.update(shop.actor, shop.project_id, "env", first, name="Renamed")
    assert (await names(shop), await names(shop, "env")) == (["Pro"], ["Renamed", "Env's"])
    await segments.delete(shop.actor, shop.project_id, "env", second)
    assert await names(shop, "env") == ["Renamed"]
    document = await shop.state(None, "project", "project")
    listed = (await segments.list_segments(shop.actor, shop.project_id, None)).segments
    assert document == {
        "config": {
            "segments": [
                {"segment_id": str(first), "name": "Pro", "rules": PRO, "created_at": listed[0].created_at},
            ]
        }
    }


async def test_what_is_no_change_is_none_and_the_rest_of_the_document_stays(shop: Shop) -> None:
    await shop.put(None, {"config": {"other": 1}, "x": Decimal("1.0")}, "project", "project")
    segment_id = await make(shop)
    before = await shop.version(None, "project", "project")
    same = await segments.update(shop.actor, shop.project_id, None, segment_id, name="Pro", rules=PRO)
    assert same.version == before
    gone = await segments.delete(shop.actor, shop.project_id, None, segment_id)
    assert gone.segment == same.segment
    expected = {"config": {"other": 1, "segments": []}, "x": Decimal("1.0")}
    assert await shop.state(None, "project", "project") == expected


async def test_two_made_at_once_both_stay(shop: Shop) -> None:
    await asyncio.gather(*(make(shop, f"s{number}") for number in range(4)))
    assert sorted(await names(shop)) == ["s0", "s1", "s2", "s3"]


async def test_a_stale_version_is_refused(shop: Shop) -> None:
    version = (await segments.list_segments(shop.actor, shop.project_id, None)).version
    segment_id = await make(shop)
    stale = Expected(version=version)
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: segments.create(shop.actor, shop.project_id, None, "b", [], expected=stale),
        lambda: segments.update(shop.actor, shop.project_id, None, segment_id, name="b", expected=stale),
        lambda: segments.delete(shop.actor, shop.project_id, None, segment_id, expected=stale),
    ]
    for call in calls:
        with pytest.raises(VersionConflict):
            await call()
    assert await names(shop) == ["Pro"]


@pytest.mark.parametrize(
    ("name", "rules", "path"),
    [
        ("", [], "/name"),
        ("x" * 201, [], "/name"),
        ("a", {}, "/rules"),
        ("a", [{"field": "a", "op": "like", "value": 1}], "/rules/0/op"),
        ("a", [{"field": "a", "op": "gt", "value": "1"}], "/rules/0/value"),
        ("a", [{"field": "a", "op": "eq", "value": 1}] * 10_000, "/rules"),
    ],
)
async def test_what_cannot_be_read_changes_nothing(shop: Shop, name: str, rules: Value, path: str) -> None:
    segment_id = await make(shop)
    before = await shop.state(None, "project", "project")
    with pytest.raises(ValidationFailed) as refusal:
        await segments.create(shop.actor, shop.project_id, None, name, rules)
    assert refusal.value.fields["path"] == path
    with pytest.raises(ValidationFailed):
        await segments.update(shop.actor, shop.project_id, None, segment_id, name=name, rules=rules)
    bad: Value = [{"segment_id": str(uuid4()), "name": name, "rules": rules}]
    with pytest.raises(DomainError):
        await shop.merge(None, {"config": {"segments": bad}}, "project", "project")
    assert await shop.state(None, "project", "project") == before


async def test_any_write_of_the_document_is_held_to_it(shop: Shop) -> None:
    bad: Value = [{"segment_id": str(uuid4()), "name": "a", "rules": [], "colour": "red"}]
    pointer = ("config", "segments")
    writes: list[Callable[[], Awaitable[object]]] = [
        lambda: shop.put(None, {"config": {"segments": bad}}, "project", "project"),
        lambda: shop.merge(None, {"config": {"segments": bad}}, "project", "project"),
        lambda: documents.patch(
            shop.actor,
            shop.project_id,
            None,
            "project",
            "project",
            [{"op": "add", "path": "/config", "value": {"segments": bad}}],
        ),
        lambda: shop.load(None, {"kind": "project", "key": "project", "data": {"config": {"segments": bad}}}),
    ]
    for write in writes:
        with pytest.raises(DomainError) as refusal:
            await write()
        assert "/config/segments/0/colour" in str(refusal.value.fields) + refusal.value.message
    await make(shop)
    with pytest.raises(ValidationFailed):
        await shop.put(None, "", "project", "project", path=(*pointer, "0", "name"))


async def test_unknown_segments(shop: Shop) -> None:
    unknown = uuid4()
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: segments.update(shop.actor, shop.project_id, None, unknown, name="b"),
        lambda: segments.delete(shop.actor, shop.project_id, None, unknown),
        lambda: preview(shop, segment_id=unknown),
        lambda: environments.fork(shop.actor, shop.project_id, ForkOptions("env", segment_id=unknown)),
    ]
    for call in calls:
        with pytest.raises(SegmentNotFound):
            await call()


async def test_one_that_is_served_is_not_deleted(shop: Shop) -> None:
    segment_id = await make(shop)
    env = await shop.fork("beta")
    await environments.update(shop.actor, env, EnvironmentUpdate(segments=[str(segment_id)]))
    with pytest.raises(SegmentInUse) as refusal:
        await segments.delete(shop.actor, shop.project_id, None, segment_id)
    assert refusal.value.fields["environments"] == ["beta"]
    await segments.delete(shop.actor, shop.project_id, "beta", segment_id)
    await environments.archive(shop.actor, env)
    await segments.delete(shop.actor, shop.project_id, None, segment_id)
    assert await names(shop) == []


async def test_who_may_write_to_production_decides(shop: Shop, make_actor: MakeActor) -> None:
    segment_id = await make(shop)
    await shop.fork("env")
    editor = await make_actor()
    await shop.join(editor, Role.EDITOR)
    await project_settings.update(shop.actor, shop.project_id, {"direct_prod_roles": ["owner"]})
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: segments.create(editor, shop.project_id, None, "b", []),
        lambda: segments.update(editor, shop.project_id, None, segment_id, name="b"),
        lambda: segments.delete(editor, shop.project_id, None, segment_id),
    ]
    for call in calls:
        with pytest.raises(Forbidden):
            await call()
    await segments.create(editor, shop.project_id, "env", "b", [])
    assert (await names(shop), await names(shop, "env")) == (["Pro"], ["Pro", "b"])


async def test_a_preview_counts_what_the_environment_shows(people: Shop) -> None:
    segment_id = await make(people)
    assert await preview(people, segment_id=segment_id) == Preview(3, 6, ["u0", "u2", "u4"])
    assert await preview(people, rules=[]) == Preview(6, 6, [f"u{number}" for number in range(6)])
    await people.fork("env")
    await people.merge("env", {"plan": "pro"}, "u1", "user")
    await people.merge("env", {"plan": "free"}, "u2", "user")
    await people.merge("env", {"n": 7}, "u4", "user")
    await people.delete("env", "u0", "user")
    await people.put("env", {"plan": "pro"}, "new", "user")
    await people.merge(None, {"plan": "pro"}, "u3", "user")
    assert await preview(people, "env", segment_id=segment_id) == Preview(4, 6, ["new", "u1", "u3", "u4"])
    assert await preview(people, segment_id=segment_id) == Preview(4, 6, ["u0", "u2", "u3", "u4"])
    with pytest.raises(ValidationFailed):
        await preview(people)
    with pytest.raises(ValidationFailed):
        await preview(people, rules=[], segment_id=segment_id)


async def test_a_sample_is_of_the_first_that_match(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "SAMPLE", 3)
    lines = [{"kind": "user", "key": f"u{number:04d}", "data": {"n": number}} for number in range(1_205)]
    await shop.load(None, *lines)
    found = await preview(shop, rules=[{"field": "n", "op": "gt", "value": 999}])
    assert found == Preview(205, 1_205, ["u1000", "u1001", "u1002"])


async def test_a_fork_by_segment_shows_those_that_match(people: Shop) -> None:
    segment_id = await make(people)
    forked = await environments.fork(people.actor, people.project_id, ForkOptions("env", segment_id=segment_id))
    assert forked.forked_count == 5
    assert await people.keys("env", "user") == ["u0", "u2", "u4"]
    assert await preview(people, "env", rules=[]) == Preview(3, 3, ["u0", "u2", "u4"])
    manifest = await manifests.get(people.actor, forked.manifest_uuid)
    assert manifest.forked_count == 5
    asked = {"rules": PRO, "segment_id": str(segment_id), "name": "Pro", "matching": 3}
    assert manifest.user_filter == asked
    with pytest.raises(ManifestNotFound):
        await manifests.get(people.actor, uuid4())
    child = await people.forked("child", forked.environment.uuid)
    assert child.forked_count == 5
    assert await people.keys("child", "user") == ["u0", "u2", "u4"]
    assert (await manifests.get(people.actor, child.manifest_uuid)).user_filter is None


async def test_definitions_and_users_are_those_of_what_is_forked(people: Shop) -> None:
    segment_id = await make(people)
    env = await people.fork("env", users=["u0", "u1", "u2", "u3"])
    await segments.update(
        people.actor, people.project_id, "env", segment_id, rules=[{"field": "plan", "op": "neq", "value": "pro"}]
    )
    await people.merge("env", {"plan": "free"}, "u0", "user")
    await people.put("env", {}, "own", "user")
    await people.delete("env", "u3", "user")
    options = ForkOptions("child", parent_env_uuid=env, segment_id=segment_id)
    forked = await environments.fork(people.actor, people.project_id, options)
    assert await people.keys("child", "user") == ["own", "u0", "u1"]
    assert forked.forked_count == 5
    assert await preview(people, "child", rules=PRO) == Preview(0, 3, [])


async def test_a_fork_takes_one_filter(shop: Shop) -> None:
    segment_id = await make(shop)
    for options in (
        ForkOptions("env", user_uuids=["a"], segment_id=segment_id),
        ForkOptions("env", user_rules=[], segment_id=segment_id),
        ForkOptions("env", user_rules=[], user_uuids=["a"]),
    ):
        with pytest.raises(ValidationFailed):
            await environments.fork(shop.actor, shop.project_id, options)


async def test_a_manifest_says_how_many_named_users_there_were(people: Shop) -> None:
    forked = await people.forked("env", users=["u0", "nobody"])
    manifest = await manifests.get(people.actor, forked.manifest_uuid)
    assert manifest.user_filter == {"user_uuids": ["u0", "nobody"], "matching": 1}


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    some_rules,
    st.lists(user_documents, min_size=1, max_size=4),
    st.lists(user_documents, min_size=0, max_size=3),
)
async def test_a_set_of_users_is_what_its_users_are_one_by_one(
    shop: Shop, wanted: list[Rule], base: list[Value], over: list[Value]
) -> None:
    lines = [{"kind": "user", "key": f"u{number}", "data": data} for number, data in enumerate(base)]
    for stale in await shop.keys(None, "user"):
        await shop.delete(None, stale, "user")
    await shop.load(None, *lines)
    env = (await shop.forked(f"e{uuid4()}")).environment
    await shop.load(
        str(env.uuid), *[{"kind": "user", "key": f"u{at + 1}", "data": data} for at, data in enumerate(over)]
    )
    for reference in (None, str(env.uuid)):
        keys = await shop.keys(reference, "user")
        matching = [key for key in keys if matches(wanted, await shop.state(reference, key, "user"))]
        seen = await environments.find(shop.actor, shop.project_id, reference)
        head = await generations.get([shop.project_id], seen.head_uuid)
        assert head is not None
        assert await stored.count(head, wanted, 10) == stored.Matching(len(matching), len(keys), sorted(matching))
        options = ForkOptions(f"f{uuid4()}", parent_env_uuid=seen.uuid, user_rules=[rule.to_json() for rule in wanted])
        forked = await fork_or_none(shop, options)
        if forked is not None:
            assert await shop.keys(str(forked), "user") == matching
            await environments.archive(shop.actor, forked)
    await environments.archive(shop.actor, env.uuid)


async def fork_or_none(shop: Shop, options: ForkOptions) -> UUID | None:
    """Return a fork; None where the dotted form cannot say the path of a rule."""
    try:
        return (await environments.fork(shop.actor, shop.project_id, options)).environment.uuid
    except ValidationFailed:
        return None


async def protect(shop: Shop, *globs: str, env: str | None = None) -> None:
    await shop.merge(env, {"config": {"protected_fields": list(globs)}}, "project", "project")


async def test_no_segment_asks_for_what_is_protected(people: Shop) -> None:
    about: list[Value] = [{"not": {"any": [{"field": "ssn.first", "op": "contains", "value": "1"}]}}]
    segment_id = await make(people, "Before", about)
    old = await people.forked("old", users=["u0"])
    by_rules = await environments.fork(people.actor, people.project_id, ForkOptions("by", user_rules=about))
    await protect(people, "user:ssn")
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: make(people, "After", about),
        lambda: segments.update(people.actor, people.project_id, None, segment_id, rules=[*about, PRO[0]]),
        lambda: preview(people, rules=about),
        lambda: preview(people, segment_id=segment_id),
        lambda: preview(people, "old", rules=about),
        lambda: environments.fork(people.actor, people.project_id, ForkOptions("env", segment_id=segment_id)),
        lambda: environments.fork(people.actor, people.project_id, ForkOptions("env", user_rules=about)),
        lambda: environments.fork(
            people.actor,
            people.project_id,
            ForkOptions("env", parent_env_uuid=old.environment.uuid, segment_id=segment_id),
        ),
    ]
    for call in calls:
        with pytest.raises(FieldProtected):
            await call()
    assert await names(people) == ["Before"]
    masked: Value = [{"not": {"any": [{"field": "ssn.first", "op": "contains", "value": {"$protected": True}}]}}]
    for _ in range(2):
        manifest = await manifests.get(people.actor, by_rules.manifest_uuid)
        assert manifest.user_filter == {"rules": masked, "matching": 6}
        await sweeping.sweep(people.project_id)
    await segments.update(people.actor, people.project_id, None, segment_id, rules=PRO)
    assert (await preview(people, segment_id=segment_id)).matching == 3


async def test_a_name_alone_can_be_changed_after_its_path_became_protected(people: Shop, actor: Actor) -> None:
    segment_id = await make(people, "Old", [{"field": "ssn", "op": "eq", "value": "1"}])
    await protect(people, "user:ssn")
    await segments.update(people.actor, people.project_id, None, segment_id, name="New")
    assert await names(people) == ["New"]
    await segments.delete(people.actor, people.project_id, None, segment_id)
