"""What a write of the project document may make of the places that targeting reads (semantics §6)."""

from typing import Final

from app.domain.errors import ValidationFailed
from app.domain.flags import check_flags
from app.domain.pointer import format_pointer
from app.domain.protected import Places
from app.domain.segments import SEGMENTS, parse_segment
from app.domain.values import MISSING, State, lookup, same

MAX_SEGMENTS: Final = 500
NO_PLACES: Final = Places((), active=False)


def check_targeting(old: State, new: State, places: Places = NO_PLACES) -> None:
    """Raise ValidationFailed, with the path, for a part that ``new`` changes into what cannot be read.

    ``places`` are the protected ones of users: raises FieldProtected for a flag that asks for one.
    """
    before, after = lookup(old, SEGMENTS), lookup(new, SEGMENTS)
    if after is not MISSING and not same(before, after):
        _check_segments(after)
    check_flags(old, new, places)


def _check_segments(listed: State) -> None:
    pointer = format_pointer(SEGMENTS)
    if not isinstance(listed, list) or len(listed) > MAX_SEGMENTS:
        raise ValidationFailed(f"'config.segments' is an array of at most {MAX_SEGMENTS} segments.", path=pointer)
    seen = set()
    for index, entry in enumerate(listed):
        segment = parse_segment(entry, (*SEGMENTS, str(index)))
        if segment.segment_id in seen:
            raise ValidationFailed("Two segments have this id.", path=f"{pointer}/{index}/segment_id")
        seen.add(segment.segment_id)
