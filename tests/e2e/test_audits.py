"""The audits of the npm package ``graphql-http`` against a real server: GraphQL over HTTP as its draft says."""

from collections.abc import Iterator

import pytest

from tests.conftest import Database
from tests.e2e.node import needs_node, running
from tests.processes.served import Served, served

pytestmark = needs_node
AUDITS = 61


@pytest.fixture
def server(database: Database) -> Iterator[Served]:
    with served({"STRATA_DATABASE_URL": database.app_dsn}) as found:
        yield found


async def test_every_audit_passes(server: Served) -> None:
    found = []
    async with running("audit.mjs", f"{server.url}/graphql") as told:
        while (line := await told.next("audit", "done"))[0] == "audit":
            found.append(line[1])
    assert [audit for audit in found if audit["status"] != "ok"] == []
    assert len(found) == AUDITS
