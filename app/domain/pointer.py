"""Paths into documents: RFC 6901 pointers, and the guide's dotted form.

Inside Strata a path is a tuple of keys; text forms are read and written here only.
"""

from typing import Final

from app.domain.errors import InvalidPath

Path = tuple[str, ...]

MAX_KEYS: Final = 64
"""Keys of the longest path, which is as deep as documents go. Functions on paths recurse, so there is an end."""

_BACKSLASH = "\\"


def format_pointer(path: Path) -> str:
    """Return ``path`` as an RFC 6901 pointer; the whole document is ``""``."""
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in path)


def parse_pointer(text: str) -> Path:
    """Return the path of an RFC 6901 pointer. Raises InvalidPath if ``text`` is none."""
    if not text:
        return ()
    if text[0] != "/":
        raise InvalidPath(text, "a JSON pointer starts with '/' (RFC 6901)")
    return _bounded(text, [_unescape(text, part) for part in text[1:].split("/")])


def _bounded(text: str, keys: list[str]) -> Path:
    if len(keys) > MAX_KEYS:
        raise InvalidPath(text, f"it has more than {MAX_KEYS} keys")
    return tuple(keys)


def _unescape(text: str, part: str) -> str:
    if "~" not in part:
        return part
    if part.count("~") > part.count("~0") + part.count("~1"):
        raise InvalidPath(text, "'~' is written '~0' and '/' is written '~1' (RFC 6901)")
    return part.replace("~1", "/").replace("~0", "~")


def format_dotted(path: Path) -> str:
    """Return the guide's dotted form; dots and backslashes inside a key are escaped by a backslash.

    So is a slash at the very beginning, which would make it a pointer. ``parse_path`` reverses it but for the
    path of one empty key, which gives ``""`` as the empty path does.
    """
    dotted = ".".join(key.replace(_BACKSLASH, _BACKSLASH * 2).replace(".", _BACKSLASH + ".") for key in path)
    return _BACKSLASH + dotted if dotted.startswith("/") else dotted


def parse_dotted(text: str) -> Path:
    """Return the path of a dotted form; the empty text is the whole document. Raises InvalidPath."""
    if not text:
        return ()
    keys: list[list[str]] = [[]]
    characters = iter(text)
    for character in characters:
        if character == ".":
            keys.append([])
        elif character == _BACKSLASH:
            escaped = next(characters, None)
            if escaped not in (".", "/", _BACKSLASH):
                raise InvalidPath(text, "a backslash escapes only '.', '/' and '\\'")
            keys[-1].append(escaped)
        else:
            keys[-1].append(character)
    return _bounded(text, ["".join(key) for key in keys])


def parse_path(text: str) -> Path:
    """Return the path of a pointer if ``text`` starts with ``/``, else of a dotted form (§11.29)."""
    return parse_pointer(text) if text.startswith("/") else parse_dotted(text)
