"""Domain values as JSON and back: what every operation returns, with all that a document can hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, get_type_hints
from uuid import UUID, uuid4

import pytest
from hypothesis import given

from app.domain.model import EnvType, Scope
from app.domain.values import MISSING, State, Value
from app.services import (
    api_keys,
    backups,
    canaries,
    checkpoints,
    documents,
    environments,
    freezes,
    projects,
    revert,
    settings,
    transfer,
)
from app.storage import typed
from tests.strategies import documents as any_document


@dataclass(frozen=True, slots=True)
class Inner:
    scopes: frozenset[Scope]
    when: datetime | None


@dataclass(frozen=True, slots=True)
class Outer:
    uuid: UUID
    type: EnvType
    state: State
    value: Value
    patch: Mapping[str, Value]
    inner: tuple[Inner, ...]
    many: Sequence[Inner]
    secret: str | None = field(default=None, metadata={typed.WITHHELD: True})


WHEN = datetime(2030, 1, 31, 12, 0, 0, 123456, timezone(timedelta(hours=5, minutes=30)))


def outer(state: State) -> Outer:
    value = None if state is MISSING else state
    inner = Inner(frozenset({Scope.READ, Scope.ADMIN}), WHEN)
    return Outer(uuid4(), EnvType.STAGING, state, value, {"a": value}, (inner, Inner(frozenset(), None)), [inner])


@given(any_document)
def test_what_is_read_is_what_was_kept(document: Value) -> None:
    states: list[State] = [document, MISSING, [document], None, {"$missing": True}]
    for state in states:
        kept = outer(state)
        read = typed.load(typed.dump(kept, Outer), Outer)
        assert repr(read) == repr(kept)


def test_a_secret_is_not_kept() -> None:
    kept = Outer(uuid4(), EnvType.STAGING, None, None, {}, (), [], secret="do not tell")
    text = typed.dump(kept, Outer)
    assert "do not tell" not in text
    assert typed.load(text, Outer).secret is None


@dataclass(frozen=True, slots=True)
class Older:
    uuid: UUID


@dataclass(frozen=True, slots=True)
class Newer:
    uuid: UUID
    note: str | None = None


def test_a_member_added_later_has_its_default() -> None:
    older = Older(uuid4())
    assert typed.load(typed.dump(older, Older), Newer) == Newer(older.uuid)
    with pytest.raises(TypeError):
        typed.load("{}", Newer)


@pytest.mark.parametrize(
    "service",
    [
        api_keys.create, api_keys.revoke, backups.backup, backups.restore, checkpoints.checkpoint,
        checkpoints.delete_checkpoint, checkpoints.pin, checkpoints.rollback, documents.delete, documents.merge,
        documents.patch, documents.put, environments.archive, environments.fork, environments.update,
        canaries.abort, canaries.advance, canaries.report,
        freezes.freeze, freezes.lift, settings.update, projects.create, revert.revert, transfer.import_documents,
    ],
    ids=lambda service: f"{service.__module__.rpartition('.')[2]}.{service.__name__}",
)  # fmt: skip
def test_every_result_can_be_kept(service: Any) -> None:
    typed._form(get_type_hints(service)["return"])


@pytest.mark.parametrize("type_", [float, Decimal, dict[int, str] | list[str], object])
def test_what_cannot_be_kept_is_said_at_once(type_: Any) -> None:
    with pytest.raises(TypeError):
        typed._form(type_)


def test_questions_are_told_apart() -> None:
    asked: list[object] = [
        1, Decimal("1.0"), Decimal("1.00"), "1", "1.0", True, None, [], {}, [1], {"a": 1}, {"a": MISSING}, MISSING,
        "missing", ("a", "b"), ("ab",), UUID(int=0), str(UUID(int=0)), WHEN, WHEN.astimezone(UTC), "\ud800", "?",
        Inner(frozenset({Scope.READ}), None), Inner(frozenset({Scope.ADMIN}), None), {"a.b": 1}, {"a": {"b": 1}},
    ]  # fmt: skip
    assert len({typed.canonical(question) for question in asked}) == len(asked)
    assert typed.canonical({"a": 1, "b": 2}) == typed.canonical({"b": 2, "a": 1})
    scopes = list(Scope)
    assert typed.canonical(frozenset(scopes)) == typed.canonical(frozenset(reversed(scopes)))
