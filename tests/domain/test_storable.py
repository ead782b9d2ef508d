"""What a document may hold: what PostgreSQL can, within limits (semantics §2, hardening.md J1)."""

from decimal import Decimal

import pytest

from app.domain.errors import ValueNotStorable
from app.domain.json_text import DEFAULT_LIMITS, Limits, check_storable, parse_json
from app.domain.values import Value, same
from app.storage.codec import encode


def deep(levels: int) -> Value:
    value: Value = 1
    for _ in range(levels):
        value = [value]
    return value


UNSTORABLE: list[tuple[str, str, str, str]] = [
    ("NUL in a value", r'{"a": ["x", "\u0000"]}', "/a/1", "U+0000"),
    ("NUL in a key", r'{"a": {"b\u0000": 1}}', "/a", "in a key, the character U+0000"),
    ("NUL in the document itself", r'"\u0000"', "", "U+0000"),
    ("lone high surrogate", r'{"a/b": "\ud800"}', "/a~1b", "surrogate"),
    ("lone low surrogate", r'["\udfff"]', "/0", "surrogate"),
    ("surrogates in the wrong order", r'{"a": "\ude00\ud83d"}', "/a", "surrogate"),
    ("lone surrogate in a key", r'{"a": {"\ud800": 1}}', "/a", "in a key, a lone surrogate"),
    ("below a key with a lone surrogate", r'{"\ud800": {"a": "\u0000"}}', "", "surrogate"),
    ("1e-401", '{"a": [1e-401]}', "/a/0", "400 digits after the point"),
    ("0e-999999", '{"a": 0e-999999}', "/a", "400 digits after the point"),
    ("1e-425000000", "1e-425000000", "", "400 digits after the point"),
    ("310 digits", '{"a": 1' + "0" * 309 + "}", "/a", "309 digits"),
    ("310 digits, negative", '{"a": -1' + "0" * 309 + "}", "/a", "309 digits"),
    ("4,000 digits", '{"a": ' + "1" * 4_000 + "}", "/a", "309 digits"),
    ("65 levels", "[" * 65 + "]" * 65, "/0" * 64, "64 levels"),
    ("65 objects", '{"a":' * 65 + "1" + "}" * 65, "/a" * 64, "64 levels"),
    ("long key", '{"a": {"' + "k" * 257 + '": 1}}', "/a", "256 bytes"),
    ("long key of few characters", '{"a": {"' + "é" * 129 + '": 1}}', "/a", "256 bytes"),
    ("long string", '{"a": "' + "x" * 262_145 + '"}', "/a", "262,144 characters"),
]


@pytest.mark.parametrize(
    ("text", "path", "said"), [case[1:] for case in UNSTORABLE], ids=[case[0] for case in UNSTORABLE]
)
def test_unstorable(text: str, path: str, said: str) -> None:
    value = parse_json(text)
    with pytest.raises(ValueNotStorable) as refused:
        check_storable(value)
    assert refused.value.code == "value_not_storable"
    assert refused.value.fields == {"path": path}
    assert said in refused.value.message
    assert refused.value.message.encode()


def test_the_key_that_is_one_too_many() -> None:
    halves: Value = {"a": {str(n): n for n in range(4_999)}, "b": {str(n): n for n in range(4_999)}}
    assert check_storable(halves) is halves
    with pytest.raises(ValueNotStorable, match="10,000 keys"):
        check_storable([halves, {"c": 1}])


STORABLE: list[tuple[str, Value]] = [
    ("64 levels", deep(64)),
    ("a key of 256 bytes", {"é" * 128: 1}),
    ("a string of 262,144 characters", "é" * 262_144),
    ("309 digits", [10**309 - 1, 1 - 10**309]),
    ("309 digits and 400 after the point", Decimal("9" * 309 + "." + "9" * 400)),
    ("400 digits after the point", Decimal("0." + "0" * 400)),
    ("true is no number", [True, False]),
    ("noncharacters", "\ufffe\uffff\U0010ffff"),
]


@pytest.mark.parametrize("value", [case[1] for case in STORABLE], ids=[case[0] for case in STORABLE])
def test_storable(value: Value) -> None:
    assert check_storable(value) is value
    assert same(parse_json(encode(value)), value)


def test_limits_are_the_callers() -> None:
    tight = Limits(depth=1, keys=2, key_bytes=1, string_length=1, integer_digits=2, fraction_digits=1)
    fitting: list[Value] = [{"a": "x", "b": Decimal("99.9")}, [99, -99, None, True]]
    for value in fitting:
        assert check_storable(value, tight) is value
    refused: list[Value] = [
        [[]],
        {"a": 1, "b": 2, "c": 3},
        {"aa": 1},
        "xx",
        100,
        -100,
        Decimal("100.0"),
        Decimal("0.01"),
    ]
    for value in refused:
        assert check_storable(value, DEFAULT_LIMITS) is value
        with pytest.raises(ValueNotStorable):
            check_storable(value, tight)
