"""A project with short ways to do things to its documents."""

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from app.domain.model import Actor, Generation, Project, Role
from app.domain.pointer import Path
from app.domain.values import State, Value
from app.services import checkpoints, comparison, documents, environments, transfer, tree
from app.services.branching import Fork, ForkOptions
from app.services.comparison import EnvironmentDiff
from app.services.documents import ANY, Expected, Written
from app.services.transfer import Imported
from app.storage import db
from app.storage.codec import encode, loads

Name = tuple[str, str]


class Shop:
    """Names an environment by its name, None for production; a document by its key, of the kind ``page``."""

    def __init__(self, actor: Actor, project: Project) -> None:
        self.actor, self.project = actor, project
        self.project_id, self.production = project.id, project.production_uuid

    async def put(
        self,
        env: str | None,
        value: Value,
        key: str = "a",
        kind: str = "page",
        path: Path = (),
        expected: Expected = ANY,
    ) -> Written:
        return await documents.put(self.actor, self.project_id, env, kind, key, value, path=path, expected=expected)

    async def merge(self, env: str | None, patch: Value, key: str = "a", kind: str = "page") -> Written:
        return await documents.merge(self.actor, self.project_id, env, kind, key, patch)

    async def delete(self, env: str | None, key: str = "a", kind: str = "page") -> Written:
        return await documents.delete(self.actor, self.project_id, env, kind, key)

    async def state(self, env: str | None, key: str = "a", kind: str = "page") -> State:
        return (await documents.read(self.actor, self.project_id, env, kind, key)).state

    async def version(self, env: str | None, key: str = "a", kind: str = "page") -> str:
        return (await documents.read(self.actor, self.project_id, env, kind, key)).version

    async def overrides(self, env: str, key: str = "a", kind: str = "page") -> object:
        return (await documents.read(self.actor, self.project_id, env, kind, key)).overrides

    async def keys(self, env: str | None, kind: str = "page") -> list[str]:
        page = await documents.list_documents(self.actor, self.project_id, env, kind, limit=200)
        return [document.entity.key for document in page.items]

    async def fork(self, name: str, parent: UUID | None = None, users: Sequence[str] | None = None) -> UUID:
        return (await self.forked(name, parent, users)).environment.uuid

    async def forked(self, name: str, parent: UUID | None = None, users: Sequence[str] | None = None) -> Fork:
        options = ForkOptions(name, parent_env_uuid=parent, user_uuids=users)
        return await environments.fork(self.actor, self.project_id, options)

    async def checkpoint(self, env: UUID, label: str | None = None) -> Generation:
        return await checkpoints.checkpoint(self.actor, env, label)

    async def rollback(self, checkpoint: Generation) -> UUID:
        return (await checkpoints.rollback(self.actor, checkpoint.uuid)).environment.uuid

    async def head(self, env: UUID) -> Generation:
        return await tree.generation(self.actor, (await environments.get(self.actor, env)).head_uuid)

    async def join(self, actor: Actor, role: Role) -> None:
        """Make an account a member, as nobody in the project did."""
        await db.execute(
            "INSERT INTO member (project_id, account_uuid, role) VALUES ($1, $2, $3)",
            self.project_id,
            actor.account_uuid,
            role.value,
        )

    async def named(self, env: str) -> UUID:
        return (await environments.find(self.actor, self.project_id, env)).uuid

    async def differing(self, env: UUID) -> EnvironmentDiff:
        return await comparison.environment_diff(self.actor, env, limit=200)

    async def load(self, env: str | None, *lines: object) -> Imported:
        """Import ``lines``, each a whole chunk; bytes are sent as they are."""

        async def chunks() -> AsyncIterator[bytes]:
            for line in lines:
                yield line if isinstance(line, bytes) else encode(line) + b"\n"

        return await transfer.import_documents(self.actor, self.project_id, env, chunks())

    async def dump(self, env: str | None, kind: str | None = None) -> dict[Name, Value]:
        """Return what an export gives; a name that comes twice, or out of order, fails."""
        chunks = await transfer.export_documents(self.actor, self.project_id, env, kind=kind)
        return exported([line async for chunk in chunks for line in chunk.splitlines()])


def exported(lines: Sequence[bytes]) -> dict[Name, Value]:
    """Return the documents of NDJSON lines, which are in the order of kind and key."""
    found: dict[Name, Value] = {}
    for line in lines:
        value = loads(line)
        assert isinstance(value, dict)
        name = (str(value["kind"]), str(value["key"]))
        assert not found or name > max(found)
        found[name] = value["data"]
    return found


def page(key: str, data: Value) -> dict[str, Value]:
    """Return a line of an import."""
    return {"kind": "page", "key": key, "data": data}
