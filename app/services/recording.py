"""Writing the audit trail: in the transaction of what is recorded, so that neither is there without the other."""

from dataclasses import replace
from uuid import UUID

from app.domain.audit import INSTALLATION, Action, Entry, Object, ObjectType, before_and_after
from app.domain.model import Actor
from app.domain.values import MISSING, State
from app.services import calls
from app.storage import audit
from app.storage.accounts import Account


def entry(
    project_id: int, thing: Object, *, env_uuid: UUID | None = None, change: tuple[State, State] | None = None
) -> Entry:
    """Return the row of the operation under way; ``change`` is what it made of what, if no change of a document."""
    call = calls.current()
    call.project_id = project_id
    before, after = before_and_after(*change) if change else (None, None)
    return Entry(
        project_id=project_id,
        action=call.action,
        actor=call.actor,
        via=calls.via(),
        object=thing,
        env_uuid=env_uuid,
        before=before,
        after=after,
    )


async def record(
    project_id: int,
    thing: Object,
    *,
    env_uuid: UUID | None = None,
    change: tuple[State, State] | None = None,
    versions: tuple[int, int] | None = None,
) -> None:
    """Add the row of the operation under way; to be called last in its transaction.

    ``versions`` are those of the first and the last change of documents. Raises AuditUnavailable.
    """
    made = entry(project_id, thing, env_uuid=env_uuid, change=change)
    await audit.add(replace(made, versions=versions))


async def record_as(
    actor: Actor | None, action: Action, thing: Object, project_id: int = INSTALLATION, *, after: State = MISSING
) -> None:
    """Add a row for what is no operation of a member; to be called last in its transaction.

    ``actor`` is None for who works at the machine itself. Raises AuditUnavailable.
    """
    before, made = before_and_after(MISSING, after) if after is not MISSING else (None, None)
    await audit.add(Entry(project_id, action, actor, calls.via(), thing, before=before, after=made))


async def refused(call: calls.Call, code: str) -> None:
    """Add a row for an operation that its caller may not do, outside of any transaction."""
    if call.project_id is not None:
        await audit.add_refused(Entry(call.project_id, call.action, call.actor, calls.via(), refusal=code))


def account_object(known: Account) -> Object:
    """Return the object that an account is."""
    return Object(ObjectType.ACCOUNT, str(known.uuid), known.name)


async def refused_login(account: Account | None, code: str, action: Action = Action.LOGIN) -> None:
    """Add a row for a login that failed; ``account`` is None where it is not known, or there is none."""
    thing = account_object(account) if account else None
    await audit.add_refused(Entry(INSTALLATION, action, None, calls.via(), thing, refusal=code))
