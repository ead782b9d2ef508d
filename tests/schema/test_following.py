"""Subscriptions inside the process: what they keep, and for how long."""

import gc
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from graphql.execution.collect_fields import FieldDetails
from strawberry.types.graphql import OperationType

from app.domain.events import Event, EventType
from app.domain.model import Actor, Plan
from app.services import live
from app.services.passes import Pass
from schema import operations
from schema.context import Context
from schema.loaders import Loaders
from schema.root import build_schema

QUERY = "subscription { environmentEvents(projectId: 1) { cursor version type data actor } }"


def _context() -> Context:
    actor = Actor(uuid4(), "a@example.com")
    return Context(
        caller=actor,
        environment=None,
        request_id="r",
        default_plan=Plan.PRO,
        loaders=Loaders(actor),
        bearer=Pass("Bearer x", actor, None),
    )


def _kept() -> int:
    gc.collect()
    return sum(isinstance(thing, FieldDetails) for thing in gc.get_objects())


async def test_a_subscription_keeps_nothing_of_its_events(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[int] = []

    async def happening() -> AsyncGenerator[Event]:
        for version in range(300):
            if version in (100, 299):
                kept.append(_kept())
            yield Event(1, version, EventType.FREEZE_STARTED, None, None, {}, None, datetime.now(UTC))

    async def events(*_: Any, **__: Any) -> AsyncGenerator[Event]:
        return happening()

    monkeypatch.setattr(live, "events", events)
    found = await build_schema().stream(
        QUERY, context_value=_context(), allowed_operation_types=(OperationType.SUBSCRIPTION,)
    )
    assert len([result async for result in found]) == 300
    assert kept[1] <= kept[0] + 5


async def test_one_document_serves_all_who_send_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "MAX_KNOWN", 2)
    operations._documents.clear()
    schema = build_schema()
    for text in ("{ a: __typename }", "{ b: __typename }", "{ a: __typename }", "{ c: __typename }", "{ broken", "{"):
        first = await schema.execute(text, context_value=_context())
        again = await schema.execute(text, context_value=_context())
        assert first.data == again.data
        assert [error.message for error in first.errors or ()] == [error.message for error in again.errors or ()]
    assert len(operations._documents) == 2
    await schema.execute("{ __typename }" + " " * operations.MAX_KNOWN_LENGTH, context_value=_context())
    assert all(len(text) <= operations.MAX_KNOWN_LENGTH for text in operations._documents)
