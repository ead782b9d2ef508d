"""Flags over OFREP beside a bare Litestar JSON route of the same server.

Run by hand: ``python -m tests.bench.ofrep``. One process serves all; they are measured in turns, and the figures are
the medians of the rounds. The bare route reads the same body as JSON and answers with JSON of the size of an
evaluation, ``async def bare(data: dict) -> dict``; it takes no token and no parameters. Evaluations are of a flag with
three rules, for a user whose stored document and bucket decide while a rollout is under way; the bulk is of 50 such
flags. Rate limits are on, a thousand times as high as usual. Needs ``wrk``.
"""

import json
import multiprocessing
import statistics
import tempfile
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from litestar import post

from app import serving
from app.domain.model import Project, Scope, Strategy
from app.domain.rates import RateLimits
from app.domain.values import Value
from app.main import create_app
from app.services import api_keys, documents, environments, projects, promoting
from app.services.branching import ForkOptions
from app.services.promoting import PromoteOptions
from app.settings import Settings
from tests.bench.document_read import new_actor, temporary_cluster
from tests.bench.route import requests_per_second, wait_for

ROUNDS = 7
FLAGS = 50
SEGMENT = "7d1f0a52-7c0e-4a35-9c5f-0d6a3b8a1c11"
FLAG: dict[str, Value] = {
    "variants": {"new": True, "old": False},
    "defaultVariant": "old",
    "rules": [
        {"segment": SEGMENT, "variant": "new"},
        {"rules": [{"field": "country", "op": "in", "value": ["FR", "IT"]}], "variant": "new"},
        {"rules": [{"field": "country", "op": "eq", "value": "DE"}], "split": {"new": 20, "old": 80}},
    ],
}
BODY = {"context": {"targetingKey": "c1a2f7b0-1d0f-4b53-a3a5-2f0f3c0d7e15", "country": "DE", "plan": "pro"}}
ANSWER = {
    "key": "flag-00",
    "reason": "SPLIT",
    "variant": "old",
    "metadata": {"environment": "production", "env_uuid": SEGMENT, "route": "production", "version": "0" * 32},
    "value": False,
}


async def _prepare() -> tuple[Project, str]:
    actor = await new_actor()
    project = await projects.create(actor, "Bench")
    rules: list[Value] = [{"field": "tier", "op": "eq", "value": "premium"}]
    segments: list[Value] = [{"segment_id": SEGMENT, "name": "premium", "rules": rules, "created_at": None}]
    flags: dict[str, Value] = {f"flag-{number:02}": FLAG for number in range(FLAGS)}
    config: dict[str, Value] = {"config": {"flags": flags, "segments": segments}}
    await documents.put(actor, project.id, None, "project", "project", config)
    user = str(BODY["context"]["targetingKey"])
    await documents.put(actor, project.id, None, "user", user, {"tier": "basic", "country": "FR"})
    fork = await environments.fork(actor, project.id, ForkOptions("canary"))
    await documents.put(actor, project.id, "canary", "page", "a", {"price": 2})
    steps: list[Value] = [{"weight": 20}, {"weight": 100}]
    await promoting.promote(actor, fork.environment.uuid, PromoteOptions(Strategy.CANARY, rollout_steps=steps))
    key = await api_keys.create(actor, project.id, "app", [Scope.EVALUATE])
    assert key.secret is not None
    return project, key.secret


def _serve(dsn: str, listening: Any) -> None:
    app = create_app(Settings(database_url=dsn, rate_limits=RateLimits(factor=1_000)))

    @post("/bare", status_code=200)
    async def bare(data: dict[str, Any]) -> dict[str, Any]:
        return ANSWER

    app.register(bare)
    config = uvicorn.Config(
        app, loop="uvloop", http="httptools", ws="websockets-sansio", lifespan="on", log_config=None, access_log=False
    )
    serving.Server(config, lambda: None).run(sockets=[listening])


def _posting(folder: Path) -> str:
    script = folder / "post.lua"
    script.write_text(f"wrk.method = 'POST'\nwrk.body = {json.dumps(json.dumps(BODY))}\n")
    return str(script)


def main() -> None:
    with temporary_cluster() as cluster, tempfile.TemporaryDirectory() as folder:
        _, key = serving.run_at(serving.Database(cluster.owner_dsn, cluster.app_dsn), _prepare)
        listening = serving.listening_socket("127.0.0.1", 0)
        url = serving.url_of(listening, "127.0.0.1")
        server = multiprocessing.get_context("fork").Process(target=_serve, args=(cluster.app_dsn, listening))
        server.start()
        try:
            wait_for(url + "/bare")
            _measure(url, key, _posting(Path(folder)))
        finally:
            server.terminate()
            server.join()


def _measure(url: str, key: str, script: str) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    one, every = "/ofrep/v1/evaluate/flags/flag-00", "/ofrep/v1/evaluate/flags"
    first = httpx.post(url + one, json=BODY, headers=headers)
    bulk = httpx.post(url + every, json=BODY, headers=headers)
    if first.status_code != 200 or len(bulk.json()["flags"]) != FLAGS:
        raise RuntimeError(f"{first.text} {bulk.text}")
    print(f"one answer {len(first.content)} bytes: {first.text}")
    sent = ["Content-Type: application/json", f"Authorization: Bearer {key}"]
    known = [*sent, f"If-None-Match: {bulk.headers['ETag']}"]
    rounds = [
        (
            requests_per_second(url + "/bare", *sent, script=script),
            requests_per_second(url + one, *sent, script=script),
            requests_per_second(url + every, *sent, script=script),
            requests_per_second(url + every, *known, script=script),
        )
        for _ in range(ROUNDS)
    ]
    bare, single, whole, unchanged = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratio = statistics.median(one / bare for bare, one, _, _ in rounds)
    print(f"bare JSON route        {bare:8,.0f} requests/s")
    print(f"one evaluation         {single:8,.0f} requests/s  ratio {ratio:.2f}  (at least 0.7)")
    print(f"bulk of {FLAGS} flags       {whole:8,.0f} requests/s  (at least 1,000)   {len(bulk.content):,} bytes")
    print(f"the same, 304          {unchanged:8,.0f} requests/s")


if __name__ == "__main__":
    main()
