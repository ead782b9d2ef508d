"""Lists of trusted documents, as the tools write them."""

import json
from hashlib import sha256

import pytest

from app.domain.query_documents import MOST_TRUSTED, hash_of, parse_trusted

MANIFEST = {
    "format": "apollo-persisted-query-manifest",
    "version": 1,
    "operations": [
        {"id": "a1", "name": "A", "type": "query", "body": "query A { __typename }"},
        {"id": "b2", "name": "B", "type": "query", "body": "query B { __typename }"},
    ],
}


def test_the_forms_that_tools_write() -> None:
    pairs = {"a1": "query A { __typename }", "b2": "query B { __typename }"}
    assert parse_trusted(json.dumps(MANIFEST).encode()) == pairs
    assert parse_trusted(json.dumps(pairs).encode()) == pairs


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"a": "x", "a": "y"}', "not JSON"),
        (b"[]", "neither"),
        (b"5", "neither"),
        (b"{}", "0 documents"),
        (b'{"a": 5}', "every id"),
        (b'{"": "{ __typename }"}', "every id"),
        (b'{"operations": []}', "format"),
        (json.dumps({**MANIFEST, "version": 2}).encode(), "format"),
        (json.dumps({**MANIFEST, "operations": {}}).encode(), "no array"),
        (json.dumps({**MANIFEST, "operations": [{"id": "a"}]}).encode(), "'body'"),
        (json.dumps({**MANIFEST, "operations": [5]}).encode(), "'body'"),
        (json.dumps({**MANIFEST, "operations": MANIFEST["operations"] * 2}).encode(), "of its own"),  # type: ignore[operator]
        (json.dumps({str(n): "{ a }" for n in range(MOST_TRUSTED + 1)}).encode(), "10,001 documents"),
    ],
)
def test_what_is_no_list(text: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_trusted(text)


def test_hashes_are_those_of_everybody() -> None:
    assert hash_of("{ __typename }") == sha256(b"{ __typename }").hexdigest()
    assert hash_of("{ ä }") == sha256("{ ä }".encode()).hexdigest()
