"""New data keys for protected values: in short transactions, beside everything else, and resumed where it stopped."""

from typing import Final

from app.domain.audit import Action, Object, ObjectType
from app.domain.values import State
from app.services import recording
from app.storage import db, secrets
from app.storage.master_key import MasterKeyError
from app.storage.secrets import DataKey

_ROWS: Final = 200


async def rotate_all() -> dict[int, int]:
    """Encrypt all protected values with new keys; return how many were, by project.

    Raises MasterKeyError if values of a project cannot be read, when those of all others are done.
    """
    done: dict[int, int] = {}
    failure: MasterKeyError | None = None
    for key in await secrets.newest_keys():
        try:
            done[key.project_id] = await rotate(key)
        except MasterKeyError as error:
            failure = failure or error
    if failure is not None:
        raise failure
    return done


async def rotate(newest: DataKey) -> int:
    """Encrypt a project's values with a new key, or, if a rotation to ``newest`` was interrupted, with that."""
    key = await _begun(newest)
    count = 0
    while resealed := await _reseal(key):
        count += resealed
    await secrets.drop_unused_keys()
    return count


@db.atomic()
async def _begun(newest: DataKey) -> DataKey:
    if await secrets.rows_under(newest.project_id, newest.number, 1):
        return newest
    key = await secrets.add_key(newest.project_id, newest.number + 1)
    facts: State = {"key": key.number}
    thing = Object(ObjectType.PROJECT, str(key.project_id))
    await recording.record_as(None, Action.ROTATE_DATA_KEYS, thing, key.project_id, after=facts)
    return key


@db.atomic(statement_timeout="1min")
async def _reseal(key: DataKey) -> int:
    rows = await secrets.rows_under(key.project_id, key.number, _ROWS)
    if rows:
        await secrets.reseal(key, rows)
    return len(rows)
