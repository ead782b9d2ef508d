"""Which freeze is in force, at every moment around its edges."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from app.domain.errors import ValidationFailed
from app.domain.freezes import Freeze, ProductionFrozen, check_owner, check_reason, check_window, freeze_in_force

NOON = datetime(2026, 12, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def freeze(start: int, end: int | None, number: int = 0, lifted: int | None = None) -> Freeze:
    return Freeze(
        project_id=1,
        uuid=UUID(int=number),
        reason="Holidays",
        owner="Ada",
        starts_at=NOON + start * HOUR,
        ends_at=None if end is None else NOON + end * HOUR,
        created_by="ada@example.com",
        created_at=NOON,
        lifted_by=None if lifted is None else "ada@example.com",
        lifted_at=None if lifted is None else NOON + lifted * HOUR,
    )


def test_a_window_holds_from_its_start_to_before_its_end() -> None:
    window = freeze(1, 2)
    assert freeze_in_force([window], NOON) is None
    assert freeze_in_force([window], NOON + HOUR - timedelta(microseconds=1)) is None
    assert freeze_in_force([window], NOON + HOUR) == window
    assert freeze_in_force([window], NOON + 2 * HOUR - timedelta(microseconds=1)) == window
    assert freeze_in_force([window], NOON + 2 * HOUR) is None
    assert not window.is_over(NOON)
    assert window.is_over(NOON + 2 * HOUR)


def test_without_an_end_it_holds_until_it_is_lifted() -> None:
    assert freeze_in_force([freeze(0, None)], NOON + 10_000 * HOUR) is not None
    assert freeze_in_force([freeze(0, None, lifted=1)], NOON + HOUR) is None


def test_of_several_the_one_that_ends_last_is_named() -> None:
    short, long, endless, to_come = freeze(0, 1, 1), freeze(0, 3, 2), freeze(0, None, 3), freeze(5, None, 4)
    assert freeze_in_force([long, short, to_come], NOON) == long
    assert freeze_in_force([short, endless, long], NOON) == endless
    assert freeze_in_force([], NOON) is None


def test_a_refusal_says_why_until_when_and_whom_to_ask() -> None:
    refusal = ProductionFrozen(freeze(0, 1))
    assert refusal.message == "Production is frozen until 2026-12-24T13:00:00+00:00, says Ada: Holidays"
    assert refusal.fields["ends_at"] == "2026-12-24T13:00:00+00:00"
    assert "until it is lifted" in ProductionFrozen(freeze(0, None)).message


@pytest.mark.parametrize(
    ("starts_at", "ends_at", "field"),
    [
        (None, NOON, "ends_at"),
        (NOON + HOUR, NOON + HOUR, "ends_at"),
        (datetime(2026, 12, 24), None, "starts_at"),
        (None, datetime(2030, 12, 24), "ends_at"),
    ],
)
def test_windows_that_are_none(starts_at: datetime | None, ends_at: datetime | None, field: str) -> None:
    with pytest.raises(ValidationFailed) as refusal:
        check_window(starts_at, ends_at, NOON)
    assert refusal.value.fields["field"] == field


def test_windows() -> None:
    assert check_window(None, None, NOON) == (NOON, None)
    assert check_window(NOON - HOUR, NOON + HOUR, NOON) == (NOON - HOUR, NOON + HOUR)


@pytest.mark.parametrize("text", ["", "  ", "x" * 501, "a\x00b"])
def test_reasons_and_owners_that_are_none(text: str) -> None:
    with pytest.raises(ValidationFailed):
        check_reason(text)
    with pytest.raises(ValidationFailed):
        check_owner(text)
