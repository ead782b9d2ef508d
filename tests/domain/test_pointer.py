"""Paths and their two text forms (RFC 6901, semantics §11.29, hardening.md J2)."""

from collections.abc import Callable

import pytest
from hypothesis import strategies as st

from app.domain.errors import InvalidPath
from app.domain.pointer import (
    MAX_KEYS,
    Path,
    format_dotted,
    format_pointer,
    parse_dotted,
    parse_path,
    parse_pointer,
)
from tests.domain.laws import Law, Laws, name_of
from tests.strategies import paths

texts = st.text("ab./~01\\-é", max_size=12)
laws = Laws(path=paths, other=paths, text=texts)


@laws.law
def a_pointer_is_read_as_it_was_written(path: Path) -> None:
    assert parse_pointer(format_pointer(path)) == path
    assert parse_path(format_pointer(path)) == path


@laws.law
def a_dotted_form_is_read_as_it_was_written(path: Path) -> None:
    if path != ("",):
        assert parse_dotted(format_dotted(path)) == path
        assert parse_path(format_dotted(path)) == path


@laws.law
def two_paths_never_have_one_form(path: Path, other: Path) -> None:
    if path != other:
        assert format_pointer(path) != format_pointer(other)
        assert format_dotted(path) != format_dotted(other) or {path, other} == {(), ("",)}


@laws.law
def what_is_read_has_one_way_to_be_written(text: str) -> None:
    for parse, form in ((parse_pointer, format_pointer), (parse_dotted, format_dotted)):
        try:
            path = parse(text)
        except InvalidPath:
            continue
        assert parse(form(path)) == path
        assert form(parse(form(path))) == form(path)
    if text == "" or (text[0] == "/" and "~" not in text):
        assert format_pointer(parse_pointer(text)) == text


@pytest.mark.parametrize("law", laws.all, ids=name_of)
def test_law(law: Law) -> None:
    laws.try_one(law)


@pytest.mark.slow
def test_all_laws_on_many_paths() -> None:
    laws.try_all()


@pytest.mark.parametrize(
    ("path", "pointer", "dotted"),
    [
        ((), "", ""),
        (("a",), "/a", "a"),
        (("aa",), "/aa", "aa"),
        (("a", "b"), "/a/b", "a.b"),
        (("a.b",), "/a.b", r"a\.b"),
        (("a/b",), "/a~1b", "a/b"),
        (("~1",), "/~01", "~1"),
        (("m~n",), "/m~0n", "m~n"),
        (("a", ""), "/a/", "a."),
        (("", ""), "//", "."),
        (("i\\j",), "/i\\j", r"i\\j"),
        (("/a",), "/~1a", r"\/a"),
        (("a", "/b"), "/a/~1b", "a./b"),
        (("__proto__", "0", "-"), "/__proto__/0/-", "__proto__.0.-"),
        (("é",), "/é", "é"),
        (("e\u0301",), "/e\u0301", "e\u0301"),
    ],
)
def test_a_path_and_its_forms(path: Path, pointer: str, dotted: str) -> None:
    assert (format_pointer(path), format_dotted(path)) == (pointer, dotted)
    assert parse_pointer(pointer) == parse_path(pointer) == path
    assert parse_dotted(dotted) == parse_path(dotted) == path


def test_the_path_of_one_empty_key_can_be_said_as_a_pointer_only() -> None:
    assert parse_path("/") == ("",)
    assert format_dotted(("",)) == format_dotted(())


@pytest.mark.parametrize("text", ["a", "a/b", " /a", "/~", "/~2", "/a~", "/~~01", "/a/~b/c", ".", "#/a"])
def test_what_is_no_pointer(text: str) -> None:
    with pytest.raises(InvalidPath) as refused:
        parse_pointer(text)
    assert refused.value.code == "invalid_path"
    assert refused.value.fields == {"path": text}


@pytest.mark.parametrize("text", ["\\", "a\\", "a.\\", r"a\b", r"\a", r"a\\\ ", r"a\~"])
def test_what_is_no_dotted_path(text: str) -> None:
    with pytest.raises(InvalidPath) as refused:
        parse_dotted(text)
    assert refused.value.fields == {"path": text}


@pytest.mark.parametrize("parse", [parse_pointer, parse_path])
def test_a_path_has_as_many_keys_as_a_document_has_levels(parse: Callable[[str], Path]) -> None:
    assert len(parse("/a" * MAX_KEYS)) == MAX_KEYS
    with pytest.raises(InvalidPath, match="64 keys"):
        parse("/a" * (MAX_KEYS + 1))


def test_a_long_text_is_read_in_one_pass() -> None:
    # Where each character copies the key so far, this takes many seconds.
    assert parse_dotted("a" * 500_000) == ("a" * 500_000,)
    for text in ("a." * 100_000, "/a" * 100_000):
        with pytest.raises(InvalidPath) as refused:
            parse_path(text)
        assert refused.value.fields == {"path": text[:200]}
