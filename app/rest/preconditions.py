"""``ETag``, ``If-Match`` and ``If-None-Match`` (RFC 9110 §13): conditions on a document's version."""

import re
from typing import Annotated, Final, TypeAlias

from litestar.params import HeaderParameter

from app.domain.errors import BadRequest
from app.services.documents import ANY, Expected

IfMatch: TypeAlias = Annotated[
    str | None,
    HeaderParameter(name="If-Match", description="The `ETag` that was read: a stale one is refused with 412. Or `*`."),
]
IfNoneMatch: TypeAlias = Annotated[
    str | None,
    HeaderParameter(name="If-None-Match", description="`*`: only if there is no such document yet."),
]

_tags: Final = re.compile(r'\s*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|$)')


def etag(version: str) -> str:
    """Return a document's version as a strong entity tag."""
    return f'"{version}"'


def expected_version(if_match: IfMatch = None, if_none_match: IfNoneMatch = None) -> Expected:
    """Return what a write expects of the document. Raises BadRequest on what no document can meet or say."""
    if if_match is None and if_none_match is None:
        return ANY
    if if_match is not None and if_none_match is not None:
        raise BadRequest("If-Match and If-None-Match together can never be met.")
    if if_none_match is not None:
        if if_none_match.strip() != "*":
            raise BadRequest("A write takes If-None-Match only as '*'.", header="If-None-Match")
        return Expected(exists=False)
    assert if_match is not None
    if if_match.strip() == "*":
        return Expected(exists=True)
    tags = _entity_tags(if_match, "If-Match")
    if len(tags) != 1:
        raise BadRequest("If-Match takes one entity tag.", header="If-Match")
    weak, version = tags[0]
    # A weak tag never matches strongly; no version of ours starts like this.
    return Expected(version=f"W/{version}" if weak else version)


def is_known(version: str, if_none_match: str | None) -> bool:
    """Return whether a reader who sent ``If-None-Match`` has this version already. Raises BadRequest."""
    if if_none_match is None:
        return False
    if if_none_match == etag(version) or if_none_match.strip() == "*":
        return True
    return any(version == known for _, known in _entity_tags(if_none_match, "If-None-Match"))


def _entity_tags(header: str, name: str) -> list[tuple[bool, str]]:
    tags: list[tuple[bool, str]] = []
    position = 0
    while position < len(header):
        found = _tags.match(header, position)
        if found is None:
            raise BadRequest(f'{name} is no list of entity tags; quote them: {name}: "…".', header=name)
        tags.append((found[1] is not None, found[2]))
        position = found.end()
    if not tags:
        raise BadRequest(f"{name} is given and says nothing.", header=name)
    return tags
