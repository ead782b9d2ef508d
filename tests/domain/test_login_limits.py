"""How failures add up: the pair locks, both sides have limits of their own, a stranger cannot lock out a user."""

import pytest

from app.domain.login_limits import PENDING_SECONDS, Failures, LoginHistory, LoginLimits, network_of, seconds_to_wait

LIMITS = LoginLimits()
NONE = Failures()


def wait(pair: Failures = NONE, email: Failures = NONE, address: Failures = NONE, *, familiar: bool = False) -> float:
    return seconds_to_wait(LIMITS, LoginHistory(pair, email, address, familiar))


def test_nothing_happened() -> None:
    assert wait() == 0


@pytest.mark.parametrize(
    ("ages", "seconds"),
    [
        ([1, 2, 3, 4], 0),
        ([1, 2, 3, 4, 5], 899),
        ([899, 900, 901, 902, 903], 1),
        ([900, 901, 902, 903, 904], 0),
        # One more failure after the lock is the first of a new row.
        ([0, 900, 901, 902, 903, 904], 0),
        ([10, 200, 400, 600, 909], 890),
        ([10, 200, 400, 600, 910], 0),
    ],
)
def test_five_failures_within_a_quarter_of_an_hour_lock_the_pair_for_as_long(ages: list[float], seconds: float) -> None:
    assert wait(pair=Failures(ages)) == seconds


@pytest.mark.parametrize("side", ["email", "address"])
def test_ten_failures_a_minute_and_a_hundred_an_hour(side: str) -> None:
    def of(ages: list[float]) -> float:
        failures = Failures(ages)
        return wait(email=failures) if side == "email" else wait(address=failures)

    assert of([5.0 * n for n in range(9)]) == 0
    assert of([5.0 * n for n in range(10)]) == 15
    assert of([5.0 * n + 15 for n in range(10)]) == 0
    assert of([30.0 * n for n in range(99)]) == 0
    assert of([30.0 * n for n in range(100)]) == 3_600 - 99 * 30


def test_an_address_from_which_the_user_logged_in_before_is_not_locked_out_by_strangers() -> None:
    flood = Failures([0.1 * n for n in range(100)])
    assert wait(email=flood) > 0
    assert wait(email=flood, familiar=True) == 0
    assert wait(pair=Failures([1, 2, 3, 4, 5]), familiar=True) > 0
    assert wait(address=flood, familiar=True) > 0


def test_attempts_under_way_are_waited_for_but_not_punished() -> None:
    assert wait(pair=Failures([1, 2, 3], pending=1)) == 0
    assert wait(pair=Failures([1, 2, 3], pending=2)) == PENDING_SECONDS
    assert wait(address=Failures((), pending=10)) == PENDING_SECONDS
    assert wait(pair=Failures([1, 2, 3, 4, 5], pending=3)) == 899


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_what_counts_as_one_address(address: str, network: str) -> None:
    assert network_of(address) == network
