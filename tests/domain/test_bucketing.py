"""Buckets of A/B tests: vectors for other programs, the same in every process, an even share for every split."""

import json
import os
import subprocess
import sys
from collections import Counter
from hashlib import sha256
from pathlib import Path
from shutil import which

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.bucketing import BUCKETS, Variant, bucket, variant

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "bucketing.json").read_text())
MILLION = VECTORS["million"]
USERS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=256)
SPLITS = st.integers(0, 100)


@pytest.mark.parametrize("case", VECTORS["buckets"], ids=lambda case: f"{case['user'][:20]!a}+{case['seed']!a}")
def test_vectors(case: dict[str, object]) -> None:
    user, seed, shown = case["user"], case["seed"], case["variant_at"]
    assert isinstance(user, str)
    assert isinstance(seed, str)
    assert isinstance(shown, dict)
    assert bucket(user, seed) == case["bucket"]
    assert {split: variant(user, seed, int(split)) for split in shown} == shown


def test_a_test_without_a_seed_is_none() -> None:
    with pytest.raises(ValueError, match="seed"):
        bucket("user", "")


@given(user=USERS, seed=USERS, one=SPLITS, other=SPLITS)
def test_who_is_in_b_stays_there_with_a_larger_share(user: str, seed: str, one: int, other: int) -> None:
    less, more = sorted((one, other))
    assert 0 <= bucket(user, seed) < BUCKETS
    assert variant(user, seed, less) is Variant.A or variant(user, seed, more) is Variant.B
    assert variant(user, seed, 0) is Variant.A
    assert variant(user, seed, 100) is Variant.B


def test_every_bucket_has_its_share_and_seeds_are_independent() -> None:
    # Chi-square with 99 and 9,999 degrees of freedom: the bounds are beyond the 0.9999 quantiles.
    count = 200_000
    found = [(bucket(f"u{number}", "one"), bucket(f"u{number}", "other")) for number in range(count)]
    for dealt, cells, bound in (([one for one, _ in found], 100, 158.0), (found, 10_000, 10_530.0)):
        expected = count / cells
        counts = Counter[object](dealt)
        missing = (cells - len(counts)) * expected
        assert sum((seen - expected) ** 2 / expected for seen in counts.values()) + missing < bound


IN_ANOTHER_PROCESS = """
from hashlib import sha256
from app.domain.bucketing import bucket
print(sha256(bytes(bucket(f"user-{number}", "million") for number in range(%d))).hexdigest())
"""


def _interpreters() -> list[str]:
    """Return this Python and others that are here, the versions that the project runs on."""
    named = [which(f"python3.{minor}") for minor in range(11, 20)]
    installed = sorted(Path.home().glob(".pyenv/versions/3.1[1-9]*/bin/python"))
    return list(dict.fromkeys([sys.executable, *map(str, installed), *filter(None, named)]))


@pytest.mark.slow
@pytest.mark.parametrize("hash_seed", ["0", "1", "4294967295"])
def test_a_million_users_are_dealt_alike_in_every_process_and_python(hash_seed: str) -> None:
    said = {}
    for python in _interpreters():
        done = subprocess.run(
            [python, "-c", IN_ANOTHER_PROCESS % MILLION["count"]],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            check=False,
        )
        # A name on the path may stand for a version that is not there.
        if done.returncode == 0 or python == sys.executable:
            said[python] = done.stdout.strip()
    assert set(said.values()) == {MILLION["sha256"]}, said


def test_a_million_users_of_other_programs() -> None:
    buckets = bytes(bucket(f"user-{number}", MILLION["seed"]) for number in range(MILLION["count"]))
    assert sha256(buckets).hexdigest() == MILLION["sha256"]
    assert sum(number < 50 for number in buckets) == MILLION["in_b_at_50"]
