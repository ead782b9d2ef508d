"""What a write means where places are protected: what is sealed, what stays, and who may change the list (§7, §11.26).

Every way in which documents are written comes through here: what a writer sends is absorbed, what Strata itself moves
is settled, so that no layer and no change is ever made with a protected value in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from app.domain import policy
from app.domain.errors import Forbidden, InvalidPath, ValidationFailed
from app.domain.globs import MAX_GLOBS, parse_glob
from app.domain.jobs import JobKind
from app.domain.model import PROJECT_KIND, USER_KIND, Actor, Environment, Origin
from app.domain.pointer import Path, format_pointer
from app.domain.policy import Operation
from app.domain.protected import Protection
from app.domain.references import reference
from app.domain.sealing import absorb, kept_apart, with_references
from app.domain.segments import check_unprotected, segments_of
from app.domain.targeting import check_targeting
from app.domain.values import MISSING, State, Value, lookup, put, same
from app.services import access, jobs
from app.storage import protections, secrets
from app.storage.changes import Place
from app.storage.layers import Stack
from app.storage.sealed import Found, FreshSealer

LIST: Final[Path] = ("config", "protected_fields")


@dataclass(frozen=True, slots=True)
class Lists:
    """What a write does to its generation's list: adds globs, or, if ``exact``, makes it these."""

    globs: tuple[str, ...]
    exact: bool = False


@dataclass(frozen=True, slots=True)
class DocumentWrite:
    """An entity's stack at the head, and the state that it is to show.

    ``fresh`` are protected values that ``after`` refers to and that are not sealed yet; ``carried`` says whether a
    promotion is to carry the write.
    """

    stack: Stack
    after: State
    fresh: Sequence[Found] = ()
    lists: Lists | None = None
    carried: bool = True


def globs_of(document: State) -> list[str]:
    """Return the list of a project document, without what is none."""
    listed = lookup(document, LIST)
    return [item for item in listed if isinstance(item, str)] if isinstance(listed, list) else []


async def absorbed(
    actor: Actor, environment: Environment, stack: Stack, wanted: State, fresh: Sequence[Found] = ()
) -> DocumentWrite:
    """Return the write by which a member gives a document the state ``wanted``, as he sees documents.

    ``fresh`` are values that were taken out of it already. Raises ValidationFailed, FieldProtected, Forbidden.
    """
    lists, former = None, stack
    if stack.entity.kind == PROJECT_KIND:
        lists = await _lists(actor, environment, stack, wanted)
        stack = stack.under(stack.protection.with_(globs_of(wanted)))
        check_targeting(stack.state, wanted, stack.protection.of(USER_KIND))
        _check_segments(stack.protection, stack.state, wanted)
    if not stack.protection.active:
        return DocumentWrite(stack, wanted, (), lists)
    found = list(fresh)

    def keep(path: Path, value: Value) -> Value:
        # What becomes protected by this very write was seen by the writer, and stays what it is.
        old = lookup(former.state, path)
        if former.places.covering(path):
            return take_out(found, path, value)
        kept, known = with_references(value, old), lookup(stack.state, path)
        if known is not MISSING and same(kept, old):
            return known
        return take_out(found, path, value if kept is MISSING else kept)

    after = absorb(stack.places, wanted, stack.state, keep)
    return DocumentWrite(stack, after, found, lists)


def take_out(found: list[Found], path: Path, value: Value) -> Value:
    """Return a new reference to a value, which is added to ``found``."""
    item = Found(uuid4(), format_pointer(path), value)
    found.append(item)
    return reference(item.uuid)


async def _lists(actor: Actor, environment: Environment, stack: Stack, wanted: State) -> Lists | None:
    old, new = lookup(stack.state, LIST), lookup(wanted, LIST)
    if same(old, new):
        return None
    globs = _checked(new)
    if set(globs_of(stack.state)) <= set(globs):
        added = set(globs) - set(stack.protection.globs)
        return Lists(tuple(added)) if added else None
    if not environment.is_production:
        raise Forbidden("A list of protected fields is shortened in production only.", field="protected_fields")
    membership = await access.membership_in(actor, environment.project_id)
    policy.check(actor, membership, Operation.SHORTEN_PROTECTED)
    return Lists(tuple(globs), exact=True)


def _checked(listed: State) -> list[str]:
    """Return a list of globs. Raises ValidationFailed."""
    pointer = format_pointer(LIST)
    if listed is MISSING:
        return []
    if not isinstance(listed, list) or len(listed) > MAX_GLOBS:
        raise ValidationFailed(f"'config.protected_fields' is an array of at most {MAX_GLOBS} globs.", path=pointer)
    return [_checked_glob(f"{pointer}/{index}", item) for index, item in enumerate(listed)]


def _checked_glob(pointer: str, item: Value) -> str:
    if not isinstance(item, str):
        raise ValidationFailed("A protected field is named by a glob, which is a string.", path=pointer)
    try:
        parse_glob(item)
    except InvalidPath as error:
        raise ValidationFailed(f"A protected field cannot be read: {error.reason}.", path=pointer) from None
    if Protection((item,)).of(PROJECT_KIND).covering(LIST):
        raise ValidationFailed(
            "This glob would hide the list itself; narrow it to a kind or to other keys.", path=pointer
        )
    return item


def _check_segments(protection: Protection, before: State, wanted: State) -> None:
    """Raise FieldProtected for a new rule on a protected field; an old one is refused where it is evaluated."""
    known = segments_of(before)
    for uuid, segment in segments_of(wanted).items():
        if uuid not in known or known[uuid].rules != segment.rules:
            check_unprotected(segment.rules, protection.of(USER_KIND))


def settled(origin: Origin, writes: Sequence[DocumentWrite]) -> list[DocumentWrite]:
    """Return the writes as they are to be stored: with references to all that is protected, without what is no change.

    A promotion leaves the protected values of where it goes as they are.
    """
    done = [_settled(origin, write) for write in writes]
    return [write for write in done if not write.stack.protection.active or not same(write.stack.state, write.after)]


def _settled(origin: Origin, write: DocumentWrite) -> DocumentWrite:
    stack, after, lists = write.stack, write.after, write.lists
    if stack.entity.kind == PROJECT_KIND:
        if lists is None:
            after = _list_kept(origin, stack.state, after)
            added = set(globs_of(after)) - set(stack.protection.globs)
            lists = Lists(tuple(added)) if added else None
        stack = stack.under(stack.protection.with_(globs_of(after)))
    if not stack.protection.active:
        return DocumentWrite(stack, after, (), lists, write.carried)
    if origin is Origin.PROMOTION:
        after = kept_apart(stack.places, after, stack.state)
    sealer = FreshSealer()
    after = absorb(stack.places, after, stack.state, sealer.keep)
    return DocumentWrite(stack, after, (*write.fresh, *sealer.found), lists, write.carried)


def _list_kept(origin: Origin, before: State, after: State) -> State:
    """Return a project document that has all of production's list, which no restore and no promotion shortens."""
    missing: list[Value] = [glob for glob in globs_of(before) if glob not in globs_of(after)]
    if not missing or origin not in (Origin.RESTORE, Origin.PROMOTION):
        return after
    try:
        return put(after, LIST, [*globs_of(after), *missing])
    except LookupError:
        return after


async def before_writes(place: Place, writes: Sequence[DocumentWrite]) -> Lists | None:
    """Seal what the writes refer to, and return what they do to the list; their entities are locked."""
    for write in writes:
        await secrets.add(place.project_id, write.stack.entity.uuid, place.env_uuid, write.fresh)
    lists = next((write.lists for write in writes if write.lists), None)
    if lists is not None:
        await protections.lock(place.project_id)
    return lists


async def after_writes(place: Place, lists: Lists | None) -> None:
    """Put the list in force that the writes have brought; the project's counter is locked since they were recorded."""
    if lists is None:
        return
    own = () if lists.exact else await protections.own(place.project_id, place.generation_uuid)
    await protections.save(place.project_id, place.generation_uuid, {*own, *lists.globs})
    await jobs.enqueue(JobKind.SWEEP_PROTECTED, project_id=place.project_id)
