"""Comparing a project with its model: all that can be seen, now and in the past."""

from collections.abc import Mapping
from uuid import UUID

import pytest

from app.domain.errors import DocumentNotFound, VersionNotFound
from app.domain.model import Actor, At, Change, Document, EntityStatus, Origin
from app.domain.values import MISSING, State, Value
from app.services import checkpoints, comparison, document_bodies, documents, history, resolution, transfer, tree
from app.services.resolution import DocumentKey
from app.storage import changes, environments, generations
from app.storage.codec import loads
from tests.services.model import Documents, Leaves, Name, Node, exact, exactly, overlaid, overrides
from tests.services.program import NAMES
from tests.services.promoting_program import PromotingProgram
from tests.services.shop import exported

Seen = Mapping[tuple[str | None, Name], Document | None]


def leaves_of(flat: Mapping[str, Value]) -> Leaves:
    """Return the leaves of a patch as it is stored and shown."""
    set_, unset = flat["set"], flat["unset"]
    assert isinstance(set_, dict)
    assert isinstance(unset, list)
    leaves: Leaves = {_path(pointer): value for pointer, value in set_.items()}
    leaves |= {_path(str(pointer)): MISSING for pointer in unset}
    assert len(leaves) == len(set_) + len(unset)
    return leaves


def _path(pointer: str) -> tuple[str, ...]:
    return tuple(key.replace("~1", "/").replace("~0", "~") for key in pointer.split("/")[1:])


def exact_leaves(leaves: Leaves) -> dict[tuple[str, ...], object]:
    return {path: exact(value) for path, value in leaves.items()}


class ComparedProgram(PromotingProgram):
    """A program that is compared after each step, and once more at the end, through time."""

    def __init__(self, seed: int, actor: Actor, project_id: int, production_uuid: UUID) -> None:
        super().__init__(seed, actor, project_id)
        self.uuids[None] = production_uuid
        self.version = 0
        self.past: list[tuple[int, dict[str | None, dict[Name, object]]]] = []
        self.heads_before: dict[str | None, Node] = {}
        self.states_by_version: dict[tuple[str | None, Name, str], object] = {}
        self.times: list[Change] = []

    async def begin(self) -> None:
        """Give production a few documents."""
        for name in (("page", "home"), ("user", "u0"), ("user", "u1")):
            value = self.document(name)
            await documents.put(self.actor, self.project_id, None, *name, value)
            self.world.write(None, name, value)
        self.world.written.clear()
        self.version = await changes.current_version(self.project_id)

    async def compare(self) -> None:
        """Compare everything that is shown, and whatever the last step changed."""
        seen = await self._documents()
        for (env, name), document in seen.items():
            self._compare_document(env, name, document)
        await self._compare_changes()
        await self._compare_heads()
        await self._compare_reading(seen)
        await self._compare_lists()
        await self._compare_environments()
        await self._compare_statuses()
        self.past.append((self.version, self.remembered()))
        self.heads_before = dict(self.world.heads)
        self.world.written.clear()

    async def _documents(self) -> Seen:
        anchors = await environments.get_many(self.project_id, [self.uuids[env] for env in self.world.heads])
        places = [(env, name) for env in self.world.heads for name in (*NAMES, ("page", "never"))]
        keys = [DocumentKey(anchors[self.uuids[env]].head_uuid, *name) for env, name in places]
        return dict(zip(places, await resolution.documents(self.project_id, keys), strict=True))

    def _compare_document(self, env: str | None, name: Name, document: Document | None) -> None:
        head = self.world.heads[env]
        state = document.state if document else MISSING
        assert exact(state) == exact(head.state(name)), (env, name)
        if document is None:
            self.versions.pop((env, name), None)
            return
        own = head.rows.get(name, {}) if self._stands_on_something(head, name) else {}
        assert exact_leaves(leaves_of(document.overrides)) == exact_leaves(own), (env, name)
        known = self.states_by_version.setdefault((env, name, document.version), exact(state))
        assert known == exact(state), (env, name)
        untouched = head is self.heads_before.get(env) and all(write.name != name for write in self.world.written)
        if untouched and (env, name) in self.versions:
            assert document.version == self.versions[env, name]
        self.versions[env, name] = document.version

    @staticmethod
    def _stands_on_something(head: Node, name: Name) -> bool:
        for node in head.line():
            if node is not head and name in node.rows:
                return True
            if node.frozen is not None:
                return node is not head and name in node.frozen
        return False

    async def _compare_changes(self) -> None:
        page = await history.list_changes(self.actor, self.project_id, limit=100)
        new = [change for change in page.items if change.version > self.version]
        versions = [change.version for change in page.items]
        assert versions == sorted(set(versions), reverse=True)
        self.version = await changes.current_version(self.project_id)
        assert not new or new[0].version <= self.version
        self.times += new[-1:]
        by_place = {(change.env_uuid, change.entity.kind, change.entity.key): change for change in new}
        for write in self.world.written:
            change = by_place.pop((self.uuids[write.env], *write.name))
            forward, reverse = leaves_of(change.forward), leaves_of(change.reverse)
            assert exact_leaves(forward) == exact_leaves(overrides(write.before, write.after))
            assert exact(overlaid(write.after, reverse)) == exact(write.before)
        assert all(change.origin is Origin.FORK for change in by_place.values())
        assert len(new) == len(self.world.written) + len(by_place)

    async def _compare_heads(self) -> None:
        anchors = await environments.get_many(self.project_id, [self.uuids[env] for env in self.world.heads])
        known = await generations.get_many(self.project_id, [anchor.head_uuid for anchor in anchors.values()])
        for env, node in self.world.heads.items():
            found = known[anchors[self.uuids[env]].head_uuid]
            assert (found.number, found.sealed, found.env_uuid) == (node.number, node.sealed, self.uuids[env])
            assert len(found.ancestors) == len(list(node.line()))

    async def _compare_statuses(self) -> None:
        anchors = await environments.get_many(self.project_id, [self.uuids[env] for env in self.world.status])
        assert {env: anchors[self.uuids[env]].status.value for env in self.world.status} == self.world.status

    async def _compare_reading(self, seen: Seen) -> None:
        for _ in range(2):
            (env, name), document = self.chance.choice(list(seen.items()))
            reference = env if env is None or self.chance.random() < 0.5 else str(self.uuids[env])
            reading = document_bodies.read(self.actor, self.project_id, reference, *name)
            if document is None:
                with pytest.raises(DocumentNotFound):
                    await reading
                continue
            body = await reading
            assert (body.version, exact(loads(body.content))) == (document.version, exact(document.state))

    async def _compare_lists(self) -> None:
        env, kind, limit = self.environment(), self.chance.choice(["page", "user"]), self.chance.randint(1, 5)
        listed: list[tuple[Name, object]] = []
        cursor: str | None = None
        while cursor is not None or not listed:
            page = await documents.list_documents(self.actor, self.project_id, env, kind, limit=limit, cursor=cursor)
            listed += [((kind, item.entity.key), exact(item.state)) for item in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        shown = exactly(self.world.documents(env))
        assert listed == sorted((name, state) for name, state in shown.items() if name[0] == kind)

    async def _compare_environments(self) -> None:
        env, against = self.environment(), self.environment()
        old, new = self.world.heads[against], self.world.heads[env]
        expected: list[tuple[Name, EntityStatus, object, object]] = []
        for name in sorted(self.world.names):
            left, right = old.state(name), new.state(name)
            if exact(left) != exact(right) and old.in_sight(name) and new.in_sight(name):
                expected.append((name, _status(left, right), exact(left), exact(right)))
        found = await comparison.environment_diff(
            self.actor, self.uuids[env], against=self.uuids[against] if against else None, limit=200
        )
        assert [
            ((item.entity.kind, item.entity.key), item.status, exact(item.old), exact(item.new))
            for item in found.page.items
        ] == expected
        statuses = [status for _, status, _, _ in expected]
        assert (found.added, found.removed, found.modified) == tuple(
            statuses.count(status) for status in (EntityStatus.ADDED, EntityStatus.REMOVED, EntityStatus.MODIFIED)
        )

    async def compare_past(self) -> None:
        """Compare every earlier version of what still lives, and every snapshot ever taken."""
        for version, state in self.chance.sample(self.past, min(8, len(self.past))):
            for env in self.world.heads:
                if env in state:
                    assert exactly(await self._exported(env, At(version=version))) == state[env], (env, version)
                else:
                    with pytest.raises(VersionNotFound):
                        await self._exported(env, At(version=version))
        for taken in self.taken:
            expected = exactly(self.world.shown(taken.node))
            assert exactly(await self._exported(None, At(checkpoint=taken.uuid))) == expected
        for pin in self.pins:
            shown = await checkpoints.snapshot(self.actor, pin.uuid, limit=200)
            found = {(item.entity.kind, item.entity.key): item.state for item in shown.page.items}
            assert exactly(found) == exactly(self.world.shown(pin.node))
        await self._compare_tree()

    async def _exported(self, env: str | None, at: At) -> Documents:
        chunks = await transfer.export_documents(self.actor, self.project_id, env, at=at)
        return exported([line async for chunk in chunks for line in chunk.splitlines()])

    async def _compare_tree(self) -> None:
        nodes = await tree.tree(self.actor, self.project_id)
        found = sorted((str(node.environment.uuid), node.generation.number) for node in nodes)
        known = [node for node in self.world.nodes if node.frozen is None or node.counts_as_depth]
        assert found == sorted((str(self.uuids[node.env]), node.number) for node in known)


def _status(old: State, new: State) -> EntityStatus:
    if old is MISSING:
        return EntityStatus.ADDED
    return EntityStatus.REMOVED if new is MISSING else EntityStatus.MODIFIED
