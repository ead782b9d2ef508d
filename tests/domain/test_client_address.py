"""Only what trusted proxies added to X-Forwarded-For is believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.client_address import client_address, parse_networks

PROXIES = parse_networks("10.0.0.0/8, 192.0.2.7, 2001:db8:ffff::/48")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.5", [], "203.0.113.5"),
        ("203.0.113.5", ["1.1.1.1"], "203.0.113.5"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.5"], "203.0.113.5"),
        ("10.0.0.1", ["1.1.1.1, 203.0.113.5"], "203.0.113.5"),
        ("10.0.0.1", ["1.1.1.1", "203.0.113.5"], "203.0.113.5"),
        ("10.0.0.1", ["1.1.1.1, 203.0.113.5, 10.9.9.9"], "203.0.113.5"),
        ("10.0.0.1", ["1.1.1.1, 10.3.3.3, 203.0.113.5,10.9.9.9 ,  192.0.2.7"], "203.0.113.5"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["203.0.113.5:4711"], "203.0.113.5"),
        ("10.0.0.1", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("2001:db8:ffff::1", ["::ffff:203.0.113.5"], "203.0.113.5"),
        ("::ffff:10.0.0.1", ["203.0.113.5"], "203.0.113.5"),
        ("10.0.0.1", ["1.1.1.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["1.1.1.1,"], "10.0.0.1"),
        ("10.0.0.1", ["1.1.1.1, _hidden, 10.0.0.2"], "10.0.0.2"),
        ("", ["1.1.1.1"], ""),
        ("testclient", ["1.1.1.1"], "testclient"),
    ],
)
def test_the_nearest_address_that_is_no_proxy(peer: str, forwarded: list[str], client: str) -> None:
    assert client_address(peer, forwarded, PROXIES) == client


def test_without_trusted_proxies_the_peer_it_is() -> None:
    assert client_address("10.0.0.1", ["1.1.1.1"], ()) == "10.0.0.1"


@given(st.lists(st.text(max_size=40)), st.ip_addresses())
def test_what_a_client_writes_changes_nothing(written: list[str], client: object) -> None:
    found = client_address("10.0.0.1", [*written, str(client)], parse_networks("10.0.0.1"))
    expected = client_address("10.0.0.1", [str(client)], parse_networks("10.0.0.1"))
    assert found == expected or str(client) == "10.0.0.1"


def test_networks_that_are_none_are_refused() -> None:
    for text in ("10.0.0.0/33", "proxy", "10.0.0.1/8"):
        with pytest.raises(ValueError, match=r"\S"):
            parse_networks(text)
