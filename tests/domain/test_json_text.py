"""The strict reader of JSON texts (RFC 8259, semantics §2, hardening.md J1)."""

from decimal import Decimal
from typing import Final

import msgspec
import pytest
from hypothesis import strategies as st

from app.domain.errors import MalformedJson, ValueNotStorable
from app.domain.json_text import MAX_NESTING, check_storable, parse_json
from app.domain.values import Value, canonical_number, same
from tests.domain.laws import Law, Laws, name_of
from tests.strategies import values

encoder: Final = msgspec.json.Encoder(decimal_format="number")
decoder: Final = msgspec.json.Decoder(float_hook=Decimal)

TOKENS: Final = (
    *('{"a":', '{"":', '"b":', "{", "}", "[", "]", ",", ":", " ", "\n", "null", "true", "false", '"a"', '""', '"'),
    *("0", "-0", "-", "1", "01", "1.10", "1.", ".1", "-0.0", "1e2", "1E+2", "1e-400", "1e309", "e", "NaN", "Infinity"),
    *(r'"\u00e9"', r'"\ud83d\ude00"', r'"\ud800"', r'"\u0000"', r'"\n"', r'"\x"', '"\t"', '"é"', "'a'", "//", "\ufeff"),
)

broken_texts: Final = st.lists(st.sampled_from(TOKENS), max_size=8).map("".join)
plain_texts: Final = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)

laws = Laws(value=values, text=broken_texts, plain=plain_texts)


@laws.law
def what_strata_holds_is_read_as_it_was_written(value: Value) -> None:
    assert check_storable(value) is value
    written = encoder.encode(value)
    assert same(parse_json(written), value)
    assert same(parse_json(written.decode()), value)
    assert encoder.encode(parse_json(written)) == written


@laws.law
def any_storable_text_is_read_as_it_was_written(plain: str) -> None:
    value: Value = {plain: [plain]}
    assert same(parse_json(encoder.encode(check_storable(value))), value)


def canonical(value: Value) -> Value:
    """Return a value that another reader made as this one would have spelled it."""
    if isinstance(value, dict):
        return {key: canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [canonical(item) for item in value]
    return canonical_number(value) if isinstance(value, Decimal) else value


@laws.law
def what_is_accepted_is_what_another_reader_reads(text: str) -> None:
    try:
        value = check_storable(parse_json(text))
    except (MalformedJson, ValueNotStorable):
        return
    assert same(canonical(decoder.decode(text)), value)
    assert same(parse_json(encoder.encode(value)), value)


@pytest.mark.parametrize("law", laws.all, ids=name_of)
def test_law(law: Law) -> None:
    laws.try_one(law)


@pytest.mark.slow
def test_all_laws_on_many_texts() -> None:
    laws.try_all()


MALFORMED: list[tuple[str, bytes | str]] = [
    ("empty body", b""),
    ("blank body", b" \r\n\t"),
    ("half an object", b'{"a": 1'),
    ("trailing text", b"{} x"),
    ("two documents", b"{}{}"),
    ("trailing NUL", b"{}\0"),
    ("trailing comma in object", b'{"a": 1,}'),
    ("trailing comma in array", b"[1,]"),
    ("single quotes", b"{'a': 1}"),
    ("bare key", b"{a: 1}"),
    ("number as key", b"{1: 1}"),
    ("line comment", b"{} // no"),
    ("block comment", b"/* no */ {}"),
    ("hash comment", b"# no\n{}"),
    ("Python's literals", b"[True, None]"),
    ("undefined", b"undefined"),
    ("NaN", b"NaN"),
    ("NaN below", b'{"a": [NaN]}'),
    ("Infinity", b"[Infinity]"),
    ("-Infinity", b"-Infinity"),
    ("-NaN", b"-NaN"),
    ("1e999999", b"1e999999"),
    ("-1e999999", b"[-1e999999]"),
    ("1e131071", b'{"a": 1e131071}'),
    ("1e309", b"1e309"),
    ("exponent beyond all", b"1e" + b"9" * 30),
    ("exponent beyond all, zero", b"0e" + b"9" * 30),
    ("exponent below all", b"1e-" + b"9" * 30),
    ("5,000 digits", b"1" * 5_000),
    ("5,000 digits before a point", b"1" * 5_000 + b".5"),
    ("5,000 arrays", b"[" * 5_000 + b"]" * 5_000),
    ("5,000 objects", b'{"a":' * 5_000 + b"1" + b"}" * 5_000),
    ("100,000 open arrays", b"[" * 100_000),
    ("nested once too often", b"[" * (MAX_NESTING + 1) + b"]" * (MAX_NESTING + 1)),
    ("duplicate key", b'{"a": 1, "a": 1}'),
    ("duplicate key below", b'[{"x": {"a": 1, "b": 2, "a": 3}}]'),
    ("duplicate key by escape", rb'{"a": 1, "\u0061": 2}'),
    ("duplicate empty key", b'{"": 1, "": 2}'),
    ("duplicate key with a surrogate", rb'{"\ud800": 1, "\ud800": 2}'),
    ("byte order mark", b"\xef\xbb\xbf{}"),
    ("byte order mark in text", "\ufeff{}"),
    ("UTF-16 LE", '{"a": 1}'.encode("utf-16-le")),
    ("UTF-16 BE", '{"a": 1}'.encode("utf-16-be")),
    ("UTF-16 with mark", '{"a": 1}'.encode("utf-16")),
    ("UTF-32", '{"a": 1}'.encode("utf-32")),
    ("Latin-1", '{"a": "é"}'.encode("latin-1")),
    ("cut UTF-8", '{"a": "é'.encode()[:-1]),
    ("overlong UTF-8", b'{"a": "\xc0\xaf"}'),
    ("surrogate in UTF-8", b'{"a": "\xed\xa0\x80"}'),
    ("gzip", b"\x1f\x8b\x08\x00"),
    ("raw tab in string", b'{"a": "x\ty"}'),
    ("raw line feed in string", b'{"a": "x\ny"}'),
    ("raw NUL in string", b'{"a": "x\0y"}'),
    ("raw escape in key", b'{"a\x1b": 1}'),
    ("unknown escape", rb'{"a": "\x41"}'),
    ("half an escape", rb'{"a": "\u00"}'),
    ("leading zero", b"01"),
    ("leading zero, negative", b"-01"),
    ("leading plus", b"+1"),
    ("no digit before the point", b".5"),
    ("no digit after the point", b"5."),
    ("no digit in the exponent", b"5e"),
    ("hexadecimal", b"0x10"),
    ("digits grouped", b"1_000"),
    ("digits of another script", "\u0661"),
    ("no-break space", "\u00a0{}"),
]


@pytest.mark.parametrize("raw", [case[1] for case in MALFORMED], ids=[case[0] for case in MALFORMED])
def test_malformed(raw: bytes | str) -> None:
    with pytest.raises(MalformedJson) as refused:
        parse_json(raw)
    assert refused.value.code == "malformed_json"
    assert len(refused.value.message) < 300
    assert refused.value.message.encode().isascii()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b'{"a":\n  }', "line 2, column 3"),
        (b'{"a": "\xff"}', "byte 7"),
        (b'{"a": {"b": 1, "b": 2}}', 'the key "b" twice'),
        (b"[NaN]", "NaN is no JSON value"),
        (b"1e309", "larger than 1e308"),
        (b"[" * 5_000, "nested"),
        (b"9" * 5_000, "too many digits"),
    ],
)
def test_a_malformed_text_is_told_what_is_wrong(raw: bytes, said: str) -> None:
    with pytest.raises(MalformedJson) as refused:
        parse_json(raw)
    assert said in refused.value.message


def test_where_a_text_breaks_off_is_told_as_data() -> None:
    with pytest.raises(MalformedJson) as refused:
        parse_json(b'{\n "a": x}')
    assert refused.value.fields == {"line": 2, "column": 7}


READ: list[tuple[str, Value, bytes]] = [
    ("1", 1, b"1"),
    ("1.0", Decimal("1.0"), b"1.0"),
    ("1.10", Decimal("1.10"), b"1.10"),
    ("-0", 0, b"0"),
    ("-0.0", Decimal("0.0"), b"0.0"),
    ("-0.00", Decimal("0.00"), b"0.00"),
    ("0e5", 0, b"0"),
    ("-0e5", 0, b"0"),
    ("0e999999", 0, b"0"),
    ("1E2", 100, b"100"),
    ("1e+2", 100, b"100"),
    ("1.5e1", 15, b"15"),
    ("1.50e1", Decimal("15.0"), b"15.0"),
    ("-1e-2", Decimal("-0.01"), b"-0.01"),
    ("1e308", 10**308, b"1" + b"0" * 308),
    ("9" * 309, int("9" * 309), b"9" * 309),
    ("9007199254740993", 2**53 + 1, b"9007199254740993"),
    ("-9223372036854775809", -(2**63) - 1, b"-9223372036854775809"),
    (
        "0.1000000000000000055511151231257827",
        Decimal("0.1000000000000000055511151231257827"),
        b"0.1000000000000000055511151231257827",
    ),
    ("0." + "0" * 399 + "1", Decimal("1E-400"), b"1E-400"),
    ("  null\r\n", None, b"null"),
    ("{}", {}, b"{}"),
    ('[[], {}, "", null]', [[], {}, "", None], b'[[],{},"",null]'),
    ('{"": {"": 1}}', {"": {"": 1}}, b'{"":{"":1}}'),
    ('{"__proto__": {"a": 1}}', {"__proto__": {"a": 1}}, b'{"__proto__":{"a":1}}'),
    ('{"a.b": 1, "a": {"b": 2}}', {"a.b": 1, "a": {"b": 2}}, b'{"a.b":1,"a":{"b":2}}'),
    ('{"é": 1, "e\u0301": 2}', {"é": 1, "e\u0301": 2}, '{"é":1,"e\u0301":2}'.encode()),
    (r'"\ud83d\ude00"', "\U0001f600", '"\U0001f600"'.encode()),
    (r'"\u0001\u001f\u007f\/"', "\x01\x1f\x7f/", rb'"\u0001\u001f' + b'\x7f/"'),
    ('"\ufeff\u2028"', "\ufeff\u2028", '"\ufeff\u2028"'.encode()),
]


@pytest.mark.parametrize(("text", "value", "written"), READ, ids=[case[0][:40] for case in READ])
def test_read_and_written(text: str, value: Value, written: bytes) -> None:
    read = check_storable(parse_json(text))
    assert same(read, value)
    assert encoder.encode(read) == written
    assert same(parse_json(written), value)


@pytest.mark.parametrize("opened", [b"[", b'{"a":'])
def test_the_deepest_text_can_be_worked_with(opened: bytes) -> None:
    raw = opened * MAX_NESTING + b"1" + opened.replace(b"[", b"]").replace(b'{"a":', b"}") * MAX_NESTING
    value = parse_json(raw)
    assert same(value, parse_json(raw))
    assert same(parse_json(encoder.encode(value)), value)


def test_brackets_in_strings_are_no_nesting() -> None:
    assert parse_json(b'["' + b"[{" * 5_000 + b'"]') == ["[{" * 5_000]
    assert parse_json(b"[" + b"[]," * 5_000 + b"[]]") == [[]] * 5_001
