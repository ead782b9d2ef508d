"""A query makes a fixed number of SQL statements, whatever the number of rows."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.domain.model import Actor, EnvType, Project
from app.services import access, branching, documents, environments, transfer
from app.storage import db
from app.storage import environments as environment_rows
from app.storage import generations as generation_rows
from tests.schema.conftest import GraphQL


async def _imported(actor: Actor, project: Project, number: int) -> None:
    async def lines() -> AsyncIterator[bytes]:
        yield b"".join(b'{"kind": "item", "key": "k%05d", "data": {"n": %d}}\n' % (n, n) for n in range(number))

    await transfer.import_documents(actor, project.id, None, lines())


async def _nested(actor: Actor, project: Project, depth: int) -> list[UUID]:
    uuids: list[UUID] = []
    for number in range(depth):
        options = branching.ForkOptions(env_name=f"e{number}", parent_env_uuid=uuids[-1] if uuids else None)
        fork = await environments.fork(actor, project.id, options)
        uuids.append(fork.environment.uuid)
        for key in range(number, 200, depth):
            path = (f"level{number}",)
            await documents.put(actor, project.id, str(uuids[-1]), "item", f"k{key:05}", number, path=path)
    return uuids


async def _count(graphql: GraphQL, query: str, variables: dict[str, object], *, cold: bool = True) -> tuple[int, Any]:
    if cold:
        access._remembered.clear()
    with db.count_statements() as counted:
        data = await graphql.ask(query, variables)
    return counted.count, data


@pytest.fixture
async def deep(actor: Actor, project: Project) -> list[UUID]:
    """Eight environments on one another, above 200 documents of which each overrides some."""
    await _imported(actor, project, 200)
    return await _nested(actor, project, 8)


async def test_200_documents_at_depth_8_are_at_most_3_statements(graphql: GraphQL, deep: list[UUID]) -> None:
    query = (
        'query ($uuid: UUID!) { environment(uuid: $uuid) { documents(kind: "item", first: 200) {'
        " nodes { key version data overrides { path } } } } }"
    )
    count, data = await _count(graphql, query, {"uuid": str(deep[-1])})
    nodes = data["environment"]["documents"]["nodes"]
    assert len(nodes) == 200
    assert nodes[0]["data"] == {"n": 0, "level0": 0}
    assert nodes[7]["data"] == {"n": 7, "level7": 7}
    assert nodes[7]["overrides"] == [{"path": "/level7"}]
    assert count <= 3


async def test_documents_by_name_are_at_most_3_statements(graphql: GraphQL, deep: list[UUID]) -> None:
    fields = " ".join(f'd{n}: document(kind: "item", key: "k{n:05}") {{ data }}' for n in range(15))
    query = f"query ($uuid: UUID!) {{ environment(uuid: $uuid) {{ {fields} }} }}"
    count, data = await _count(graphql, query, {"uuid": str(deep[-1])})
    assert [document["data"]["n"] for document in data["environment"].values()] == list(range(15))
    assert count <= 3


async def test_documents_by_the_environments_name_are_at_most_3_statements(graphql: GraphQL, deep: list[UUID]) -> None:
    query = (
        'query ($id: Int!) { project(id: $id) { environment(name: "e7") {'
        ' documents(kind: "item", first: 200) { nodes { data } } } } }'
    )
    count, data = await _count(graphql, query, {"id": graphql.project.id})
    assert len(data["project"]["environment"]["documents"]["nodes"]) == 200
    assert count <= 3


@pytest.mark.usefixtures("unlimited")
async def test_lists_of_environments_read_their_documents_and_history_at_once(
    graphql: GraphQL, actor: Actor, project: Project
) -> None:
    query = (
        "query ($id: Int!) { project(id: $id) { environments { nodes { generation parent { name } document { data }"
        ' documents(kind: "project", first: 5) { totalCount nodes { key } } history(first: 3) { nodes { version'
        " environment { name } generation { number } } } head { changedEntities parent { number } }"
        " checkpoints(first: 2) { totalCount nodes { number } } changes: history { totalCount } } } } }"
    )
    await graphql.fork("first")
    few, _ = await _count(graphql, query, {"id": project.id})
    for number in range(20):
        await environments.fork(actor, project.id, branching.ForkOptions(env_name=f"more{number}"))
    many, data = await _count(graphql, query, {"id": project.id})
    assert len(data["project"]["environments"]["nodes"]) == 22
    assert many == few


async def test_the_tree_of_1000_generations_10_deep_is_at_most_3_statements(graphql: GraphQL, project: Project) -> None:
    await _grow(project, 1_000)
    node = "uuid number label isCheckpoint diffOnly parent { uuid } environment { name status } ancestors { uuid }"
    selection = node
    for _ in range(10):
        selection = f"{node} children {{ {selection} }}"
    query = f"query ($id: Int!) {{ project(id: $id) {{ tree {{ {selection} }} }} }}"
    count, data = await _count(graphql, query, {"id": project.id})
    tree = data["project"]["tree"]
    assert _size(tree) == 1_001
    assert _depth(tree) == 10
    assert count <= 3


async def _grow(project: Project, number: int) -> None:
    """Add ``number`` generations, ten on one another in each environment, past the service that forks."""
    production = await environment_rows.production(project.id)
    root = await generation_rows.get([project.id], production.head_uuid)
    assert root is not None
    async with db.transaction():
        for line in range(number // 10):
            uuids = [uuid4() for _ in range(10)]
            env = replace(production, uuid=uuid4(), name=f"line {line}", env_type=EnvType.SANDBOX)
            await environment_rows.add(replace(env, head_uuid=uuids[-1], parent_uuid=production.uuid))
            for position, uuid in enumerate(uuids):
                path = (root.uuid, *uuids[: position + 1])
                node = replace(root, uuid=uuid, number=position + 1, env_uuid=env.uuid, parent_uuid=path[-2])
                await generation_rows.add(replace(node, ancestors=path, path=path, sealed=position < 9))


def _size(node: dict[str, Any]) -> int:
    return 1 + sum(map(_size, node.get("children", ())))


def _depth(node: dict[str, Any]) -> int:
    return max((1 + _depth(child) for child in node.get("children", ())), default=0)


async def test_nodes_are_read_by_type_not_one_by_one(graphql: GraphQL, actor: Actor, project: Project) -> None:
    ids = [(await graphql.fork(f"e{number}"))["id"] for number in range(10)]
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    count, _ = await _count(graphql, query, {"ids": ids})
    assert count <= 2


async def test_the_total_is_counted_only_when_asked_for(graphql: GraphQL) -> None:
    query = (
        "query ($id: Int!, $count: Boolean!) { project(id: $id) { environments { totalCount @include(if: $count) } } }"
    )
    without, _ = await _count(graphql, query, {"id": graphql.project.id, "count": False})
    with_it, _ = await _count(graphql, query, {"id": graphql.project.id, "count": True})
    assert with_it == without + 1


async def test_a_mutation_is_not_answered_from_before_it(graphql: GraphQL) -> None:
    env = await graphql.fork("one")
    write = (
        "writeDocument(input: {envUuid: $env, patch: {put: {n: %d}}}) { ... on WriteDocumentPayload {"
        " change { environment { document { data } updatedAt head { sealed changedEntities } } } } }"
    )
    query = f"mutation ($env: UUID!) {{ a: {write % 1} b: {write % 2} }}"
    data = await graphql.ask(query, {"env": env["uuid"]})
    seen = [data[name]["change"]["environment"]["document"]["data"] for name in "ab"]
    assert seen == [{"n": 1}, {"n": 2}]


async def test_the_lags_of_all_environments_are_one_statement_and_none_without_mirrors(graphql: GraphQL) -> None:
    query = "query ($id: Int!) { project(id: $id) { environments { nodes { name %s } } } }"
    names: dict[str, object] = {"id": graphql.project.id}
    for number in range(5):
        await graphql.fork(f"e{number}", shadowWrites=number > 0)
    without, _ = await _count(graphql, query % "", names)
    with_it, data = await _count(graphql, query % "shadowLag { versions seconds }", names)
    assert with_it == without + 1
    nodes = data["project"]["environments"]["nodes"]
    assert [node["shadowLag"] for node in nodes] == [None, None, *[{"versions": 0, "seconds": 0.0}] * 4]
