"""Globs: what they name, what they do not, and what cannot be read as one."""

import pytest

from app.domain.errors import InvalidPath
from app.domain.globs import outermost, parse_glob
from app.domain.pointer import Path


def hit(glob: str, *path: str) -> Path | None:
    return outermost((parse_glob(glob).pattern,), path)


@pytest.mark.parametrize(
    ("glob", "path", "place"),
    [
        ("keys.api.secret", "keys.api.secret", "keys.api.secret"),
        ("keys.api.secret", "keys.api.secret.more", "keys.api.secret"),
        ("keys.api.secret", "keys.api", None),
        ("keys.*.secret", "keys.api.secret", "keys.api.secret"),
        ("keys.*.secret", "keys.secret", None),
        ("keys.*", "keys.api.secret", "keys.api"),
        ("**.secret", "secret", "secret"),
        ("**.secret", "a.b.secret.c", "a.b.secret"),
        ("a.**.z", "a.z", "a.z"),
        ("a.**.z", "a.b.c.z", "a.b.c.z"),
        ("a.**.z", "b.z", None),
        ("a.**", "a", None),
        ("a.**", "a.b.c", "a.b"),
        ("api_*", "api_key", "api_key"),
        ("api_*", "api_", "api_"),
        ("api_*_key_*", "api_old_key_1", "api_old_key_1"),
        ("*a*a", "aa", "aa"),
        ("*a*a", "a", None),
        ("/keys/*/secret", "keys.api.secret", "keys.api.secret"),
        ("user:ssn", "ssn", "ssn"),
    ],
)
def test_what_a_glob_names(glob: str, path: str, place: str | None) -> None:
    assert hit(glob, *path.split(".")) == (tuple(place.split(".")) if place else None)


def test_keys_with_everything_in_them() -> None:
    assert hit(r"a\.b", "a.b") == ("a.b",)
    assert hit(r"a\.b", "a", "b") is None
    assert hit(r"\*", "*") == ("*",)
    assert hit(r"\*", "x") is None
    assert hit("/a~1b/c~0d", "a/b", "c~d") == ("a/b", "c~d")
    assert hit(r"/\*\*", "**") == ("**",)
    assert hit(r"a\:b", "a:b") == ("a:b",)
    assert hit("..", "", "", "") == ("", "", "")
    assert hit("/", "") == ("",)
    assert parse_glob(r"a\:b").kind is None
    assert parse_glob("user:/a/b").kind == "user"


@pytest.mark.parametrize("text", ["", "user:", "a\\", "a\\x", "/a~2", "/a~", "a" * 257, ".".join("a" * 17)])
def test_what_is_no_glob(text: str) -> None:
    with pytest.raises(InvalidPath):
        parse_glob(text)
