"""A/B tests through REST: the guide's calls and shapes, and what is refused without a trace."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.domain.bucketing import Variant
from app.domain.model import Actor, Project
from app.services import experiments
from tests.doors import Headers
from tests.services.trying import Trial


@pytest.fixture
async def trial(client: httpx.AsyncClient, owner: Headers, actor: Actor, project: Project) -> Trial:
    client.headers.update(owner)
    return await Trial.made(actor, project)


def at(trial: Trial, rest: str = "") -> str:
    return f"/api/sandbox/ab-test/{trial.test.uuid}{rest}"


async def answered(asked: Any, status: int) -> Any:
    answer: httpx.Response = await asked
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_the_guides_test_from_its_making_to_its_winner(client: httpx.AsyncClient, trial: Trial) -> None:
    body = {
        "env_a_uuid": str(trial.project.production_uuid),
        "env_b_uuid": str(trial.tried),
        "split_pct": 50,
        "metric": "conversion_rate",
    }
    made = await answered(client.post("/api/sandbox/ab-test", json=body), 201)
    assert {name: made[name] for name in body} == body
    assert (made["status"], made["winner"]) == ("active", None)
    assert made["ab_seed"]
    assert made["created_at"].endswith("Z")
    test = f"/api/sandbox/ab-test/{made['test_id']}"
    shown = await answered(client.get(f"{test}/variant", params={"user_uuid": "ada"}), 200)
    assert (shown["test_id"], shown["user_uuid"]) == (made["test_id"], "ada")
    assert shown["env_uuid"] == made["env_a_uuid" if shown["variant"] == "A" else "env_b_uuid"]
    again = await answered(client.get(f"{test}/variant", params={"user_uuid": "ada", "expose": "false"}), 200)
    assert again == {**shown, "exposed": False}
    result = {"user_uuid": "ada", "outcome": "converted"}
    assert (await answered(client.post(f"{test}/result", json=result), 202))["accepted"] == 1
    found = await answered(client.get(f"{test}/metrics"), 200)
    own = found["env_a" if shown["variant"] == "A" else "env_b"]
    assert (own["requests"], own["conversions"], own["rate"]) == (1, 1, 100.0)
    assert (found["test_id"], found["winner"], found["status"]) == (made["test_id"], None, "active")
    await experiments.stop(trial.actor, trial.test.uuid)
    done = await answered(client.post(f"{test}/promote", json={"winner": "B"}), 201)
    assert (done["status"], done["env_uuid"], done["test"]["winner"]) == ("completed", str(trial.tried), "B")
    assert done["promotion_id"] == done["test"]["promotion_id"]
    assert (await answered(client.get(f"{test}/metrics"), 200))["winner"] == "B"
    listed = await answered(client.get("/api/sandbox/ab-tests", params={"project_id": trial.project.id}), 200)
    assert [item["status"] for item in listed["ab_tests"]] == ["completed", "stopped"]
    stopped = f"/api/sandbox/ab-tests?project_id={trial.project.id}&status=stopped"
    listed = await answered(client.get(stopped), 200)
    assert [item["test_id"] for item in listed["ab_tests"]] == [str(trial.test.uuid)]


async def test_numbers_of_the_guide(client: httpx.AsyncClient, trial: Trial) -> None:
    for side, users, hits in ((Variant.A, 1_200, 84), (Variant.B, 1_195, 107)):
        dealt = trial.dealt(side, users)
        for start in range(0, users, 1_000):
            await trial.expose(dealt[start : start + 1_000])
        await trial.convert(dealt[:hits])
    found = await answered(client.get(at(trial, "/metrics"), params={"effect_pct": 10}), 200)
    assert found["env_a"] | {"requests": 1200, "conversions": 84, "rate": 7.0} == found["env_a"]
    assert found["env_b"] | {"requests": 1195, "conversions": 107, "rate": 8.95} == found["env_b"]
    assert found["comparison"]["p_value"] == pytest.approx(0.077, abs=0.0005)
    assert found["comparison"]["chance_to_win_pct"] == pytest.approx(94.1, abs=0.05)
    assert found["comparison"]["uplift"] == pytest.approx(1.954, abs=0.0005)
    assert found["mismatch"] == {"p_value": pytest.approx(0.92, abs=0.005), "alarm": False}
    assert found["recommendation"]["winner"] is None
    assert found["sample_size"]["env_a"] > 20_000
    assert (found["values"], found["values_per_user"]) == (None, None)


async def test_a_batch_says_what_it_refused(client: httpx.AsyncClient, trial: Trial) -> None:
    exposures = [{"user_uuid": f"u{number}"} for number in range(3)]
    told = await answered(client.post(at(trial, "/exposure"), json={"exposures": exposures}), 202)
    assert told == {
        "test_id": str(trial.test.uuid), "accepted": 3, "repeated": 0, "quarantined": 0, "refused": []
    }  # fmt: skip
    other = "B" if trial.test.variant_of("u1") == "A" else "A"
    results: list[dict[str, Any]] = [
        {"user_uuid": "u0", "outcome": "converted", "value": 1.5},
        {"user_uuid": "u1", "outcome": "converted", "variant": other},
        {"user_uuid": "nobody", "outcome": "converted"},
        {"user_uuid": "u2", "outcome": "converted", "value": 10**16},
    ]
    told = await answered(client.post(at(trial, "/result"), json={"results": results}), 202)
    assert (told["accepted"], told["quarantined"]) == (1, 1)
    assert [(item["index"], item["user_uuid"], item["error"]) for item in told["refused"]] == [
        (2, "nobody", "user_not_exposed"),
        (3, "u2", "validation_failed"),
    ]
    single = {"user_uuid": "nobody", "outcome": "converted"}
    assert (await answered(client.post(at(trial, "/result"), json=single), 404))["error"] == "user_not_exposed"
    found = await answered(client.get(at(trial, "/metrics")), 200)
    assert (found["quarantined"], found["env_a"]["conversions"] + found["env_b"]["conversions"]) == (1, 1)


async def test_a_test_that_has_ended(client: httpx.AsyncClient, trial: Trial) -> None:
    stopped = await answered(client.post(at(trial, "/stop"), json={"reason": "Enough"}), 200)
    assert (stopped["status"], stopped["reason"]) == ("stopped", "Enough")
    for path, body in (
        ("/stop", None),
        ("/promote", {"winner": "B"}),
        ("/exposure", {"user_uuid": "ada"}),
        ("/result", {"user_uuid": "ada", "outcome": "converted"}),
    ):
        refused = await answered(client.post(at(trial, path), json=body), 409)
        assert (refused["error"], refused["status"]) == ("ab_test_not_active", "stopped")
    told = await answered(client.get(at(trial, "/variant"), params={"user_uuid": "ada"}), 200)
    assert told["exposed"] is False


async def test_a_stop_needs_no_body(client: httpx.AsyncClient, trial: Trial) -> None:
    for content, status in ((b'{"reason": 5}', 422), (b'{"why": "x"}', 422), (b"junk", 400), (b"[]", 422)):
        headers = {"Content-Type": "application/json"}
        await answered(client.post(at(trial, "/stop"), content=content, headers=headers), status)
    assert (await answered(client.post(at(trial, "/stop")), 200))["status"] == "stopped"


async def test_a_winner_that_waits_or_is_blocked(client: httpx.AsyncClient, trial: Trial) -> None:
    promote = {"env_uuid": str(trial.tried)}
    refused = await answered(client.post("/api/sandbox/promote", json=promote), 409)
    assert (refused["error"], refused["test_id"]) == ("ab_test_running", str(trial.test.uuid))
    page = f"/api/projects/{trial.project.id}/entities/page/a"
    await answered(client.put(page, json={"title": "Meanwhile"}), 201)
    blocked = await answered(client.post(at(trial, "/promote"), json={"winner": "B"}), 409)
    assert (blocked["status"], blocked["test"]["status"], len(blocked["conflicts"])) == ("blocked", "active", 1)
    conflicts = [{name: conflict[name] for name in ("kind", "key", "path")} for conflict in blocked["conflicts"]]
    resolutions = [{**conflict, "take": "theirs"} for conflict in conflicts]
    body = {"winner": "B", "strategy": "blue_green", "resolutions": resolutions}
    waits = await answered(client.post(at(trial, "/promote"), json=body), 202)
    assert (waits["status"], waits["test"]["winner"]) == ("pending_approval", None)
    await answered(client.post("/api/sandbox/approve", json={"promotion_id": waits["promotion_id"]}), 200)
    assert (await answered(client.get(at(trial)), 200))["winner"] == "B"


async def test_a_control_that_is_kept(client: httpx.AsyncClient, trial: Trial) -> None:
    done = await answered(client.post(at(trial, "/promote"), json={"winner": "A"}), 201)
    assert (done["promotion_id"], done["status"], done["test"]["winner"]) == (None, "completed", "A")
    assert done["env_uuid"] == str(trial.project.production_uuid)


RESULT = {"user_uuid": "ada", "outcome": "converted"}
NO_VALUES: list[object] = ["1", True, [], 10**15 + 1, 1e-16]


async def test_what_cannot_be_read_changes_nothing(client: httpx.AsyncClient, trial: Trial) -> None:
    await trial.expose(["ada"])
    before = await trial.tallies()
    sides = {"env_a_uuid": str(trial.project.production_uuid), "env_b_uuid": str(trial.tried)}
    bad: list[tuple[str, object, int]] = [
        *(("/api/sandbox/ab-test", {**sides, "split_pct": split}, 422) for split in (-1, 101, 50.5, "50", True, None)),
        ("/api/sandbox/ab-test", {**sides, "env_b_uuid": sides["env_a_uuid"]}, 422),
        ("/api/sandbox/ab-test", {**sides, "env_b_uuid": str(uuid4())}, 404),
        ("/api/sandbox/ab-test", {**sides, "env_b_uuid": "tried"}, 422),
        ("/api/sandbox/ab-test", {**sides, "metric": 1}, 422),
        ("/api/sandbox/ab-test", {**sides, "seed": "s"}, 422),
        ("/api/sandbox/ab-test", {"env_a_uuid": sides["env_a_uuid"]}, 422),
        (at(trial, "/result"), {}, 400),
        (at(trial, "/result"), {**RESULT, "results": [RESULT]}, 400),
        (at(trial, "/result"), {"user_uuid": "ada"}, 422),
        (at(trial, "/result"), {**RESULT, "outcome": "bought"}, 422),
        (at(trial, "/result"), {**RESULT, "variant": "C"}, 422),
        *((at(trial, "/result"), {**RESULT, "value": value}, 422) for value in NO_VALUES),
        *((at(trial, "/result"), {**RESULT, "user_uuid": user}, 422) for user in ("", "x" * 257, 5)),
        (at(trial, "/result"), {"results": []}, 422),
        (at(trial, "/result"), {"results": [RESULT] * 1_001}, 422),
        (at(trial, "/result"), {"results": [RESULT, {"user_uuid": "ada"}]}, 422),
        (at(trial, "/result"), {"results": [RESULT, {**RESULT, "value": "1"}]}, 422),
        (at(trial, "/exposure"), {"exposures": [{"user_uuid": "x"}] * 1_001}, 422),
        (at(trial, "/exposure"), {}, 400),
        (at(trial, "/promote"), {}, 422),
        (at(trial, "/promote"), {"winner": "C"}, 422),
        (at(trial, "/promote"), {"winner": "B", "env_uuid": str(trial.tried)}, 422),
        (f"/api/sandbox/ab-test/{uuid4()}/result", RESULT, 404),
    ]
    for path, body, status in bad:
        refused = await answered(client.post(path, json=body), status)
        assert refused["error"], (path, body)
    assert await trial.tallies() == before
    assert await trial.now() == trial.test
    listed = await answered(client.get("/api/sandbox/ab-tests", params={"project_id": trial.project.id}), 200)
    assert len(listed["ab_tests"]) == 1


async def test_no_sample_size_while_nobody_converted(client: httpx.AsyncClient, trial: Trial) -> None:
    assert (await answered(client.get(at(trial, "/metrics?effect_pct=5")), 200))["sample_size"] is None


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("effect_pct=nan", 400),
        ("effect_pct=many", 400),
        ("effect_pct=0", 422),
        ("effect_pct=5&baseline_pct=101", 400),
        ("effect_pct=5&baseline_pct=0", 422),
        ("effect_pct=1e-300&baseline_pct=50", 422),
        ("effect_pct=5&baseline_pct=10", 200),
    ],
)
async def test_sample_sizes(client: httpx.AsyncClient, trial: Trial, query: str, status: int) -> None:
    found = await answered(client.get(at(trial, f"/metrics?{query}")), status)
    assert status != 200 or found["sample_size"] == {"env_a": 57_760, "env_b": 57_760}
