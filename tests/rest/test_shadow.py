"""Shadow writes over HTTP: how far an environment is behind, and what a write to production costs."""

from typing import Any

import pytest

from app.services import shadow
from app.storage import db
from tests.rest.conftest import Api, made


async def test_the_lag_of_an_environment(api: Api) -> None:
    plain = (await api.fork("plain"))["anchor_uuid"]
    env = (await api.fork("staging", shadow_writes=True))["anchor_uuid"]
    made(await api.post("/api/sandbox/checkpoint", {"env_uuid": env}))
    for number in range(2):
        made(await api.put(api.entity("page", "a"), {"n": number}))
    lags = await _lags(api)
    assert (lags["production"], lags["plain"], lags["staging"]["versions"]) == (None, None, 2)
    assert 0 <= lags["staging"]["seconds"] < 30
    await shadow.mirror_production(api.project.id)
    await shadow.mirror_into(api.project.id, env)
    assert (await _lags(api))["staging"] == {"versions": 0, "seconds": 0}
    changed = {"env_uuid": plain, "shadow_writes": True}
    assert made(await api.patch("/api/sandbox/environment", changed))["shadow_lag"] == {"versions": 0, "seconds": 0}


async def _lags(api: Api) -> dict[str, Any]:
    answer = made(await api.get("/api/sandbox/environments", params={"project_id": api.project.id}))
    return {item["env_name"]: item["shadow_lag"] for item in answer["environments"]}


@pytest.mark.parametrize("mirrored", [False, True])
async def test_a_write_to_production_has_as_many_statements_with_a_mirror(api: Api, mirrored: bool) -> None:
    await api.fork("staging", shadow_writes=mirrored)
    made(await api.put(api.entity("page", "a"), {"n": 0}))
    with db.count_statements() as counted:
        made(await api.put(api.entity("page", "a"), {"n": 1}))
    assert counted.count <= 6
