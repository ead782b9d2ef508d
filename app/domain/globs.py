"""Globs over the keys of objects, which say where documents are protected (semantics §7, §11.26).

``keys.*.secret`` or ``/keys/*/secret``: ``*`` stands for any text within a key, ``**`` for any number of keys.
``user:ssn`` is for documents of one kind, the others for those of every kind. A backslash takes the meaning from
``.``, ``/``, ``:``, ``*`` and itself. Items of arrays have no keys: protect the array.
"""

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final

from app.domain.errors import InvalidPath
from app.domain.pointer import Path

MAX_GLOBS: Final = 100
MAX_CHARACTERS: Final = 256
MAX_KEYS: Final = 16
_KIND: Final = re.compile(r"([A-Za-z][A-Za-z0-9_.-]{0,63}):", re.ASCII)
_ESCAPED: Final = ("\\", ".", "/", ":", "*")


class Deep(Enum):
    """Any number of keys, none included."""

    DEEP = "**"


@dataclass(frozen=True, slots=True)
class Wild:
    """A key with any text between its parts."""

    parts: tuple[str, ...]

    def matches(self, key: str) -> bool:
        """Return whether ``key`` has the parts in this order; in linear time, whatever they are."""
        first, *middle, last = self.parts
        if len(key) < len(first) + len(last) or not key.startswith(first) or not key.endswith(last):
            return False
        at, end = len(first), len(key) - len(last)
        for part in middle:
            at = key.find(part, at, end)
            if at < 0:
                return False
            at += len(part)
        return True


Token = str | Wild | Deep
Pattern = tuple[Token, ...]
Patterns = tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class Glob:
    """Places in documents of ``kind``, or of every kind."""

    text: str
    kind: str | None
    pattern: Pattern


@lru_cache(maxsize=4_096)
def parse_glob(text: str) -> Glob:
    """Return the glob that ``text`` spells. Raises InvalidPath."""
    if not text or len(text) > MAX_CHARACTERS:
        raise InvalidPath(text, f"a glob has 1 to {MAX_CHARACTERS} characters")
    named = _KIND.match(text)
    places = text[named.end() :] if named else text
    pattern = tuple(map(_token, _keys(text, places)))
    if not places or len(pattern) > MAX_KEYS:
        raise InvalidPath(text, f"a glob has 1 to {MAX_KEYS} keys")
    return Glob(text, named[1] if named else None, pattern)


def _keys(text: str, places: str) -> list[list[str]]:
    """Return each key as its characters; one that a star was, is the empty text."""
    separator = "/" if places.startswith("/") else "."
    keys: list[list[str]] = [[]]
    characters = iter(places[1:] if separator == "/" else places)
    for character in characters:
        if character == separator:
            keys.append([])
        elif character == "*":
            keys[-1].append("")
        elif character == "\\":
            escaped = next(characters, None)
            if escaped not in _ESCAPED:
                raise InvalidPath(text, "a backslash escapes only '.', '/', ':', '*' and '\\'")
            keys[-1].append(escaped)
        elif character == "~" and separator == "/":
            keys[-1].append(_unescaped(text, next(characters, None)))
        else:
            keys[-1].append(character)
    return keys


def _unescaped(text: str, character: str | None) -> str:
    if character not in ("0", "1"):
        raise InvalidPath(text, "'~' is written '~0' and '/' is written '~1' (RFC 6901)")
    return "~" if character == "0" else "/"


def _token(key: list[str]) -> Token:
    if key == ["", ""]:
        return Deep.DEEP
    parts = [""]
    for character in key:
        if character:
            parts[-1] += character
        else:
            parts.append("")
    return parts[0] if len(parts) == 1 else Wild(tuple(parts))


@lru_cache(maxsize=16_384)
def advance(patterns: Patterns, key: str) -> tuple[Patterns, bool]:
    """Return what is left of the patterns below ``key``, and whether one of them ends there."""
    following: dict[Pattern, None] = {}
    hits = [_consume(pattern, key, following) for pattern in patterns]
    return tuple(following), any(hits)


def _consume(pattern: Pattern, key: str, following: dict[Pattern, None]) -> bool:
    head, rest = pattern[0], pattern[1:]
    if head is Deep.DEEP:
        following[pattern] = None
        return not rest or _consume(rest, key, following)
    if not (head.matches(key) if isinstance(head, Wild) else head == key):
        return False
    if rest:
        following[rest] = None
    return not rest


def outermost(patterns: Patterns, path: Path) -> Path | None:
    """Return the shortest beginning of ``path``, or all of it, that a pattern names; None if none does."""
    for length, key in enumerate(path, 1):
        patterns, hit = advance(patterns, key)
        if hit:
            return path[:length]
        if not patterns:
            return None
    return None
