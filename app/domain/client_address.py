"""Whose request it is where proxies stand before the server."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network


def parse_networks(text: str) -> tuple[Network, ...]:
    """Return the networks of a comma-separated list of addresses and CIDRs. Raises ValueError."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def client_address(peer: str, forwarded: Iterable[str], trusted: Iterable[Network]) -> str:
    """Return the address nearest to the server that none of the ``trusted`` proxies has.

    ``forwarded`` are the values of ``X-Forwarded-For`` in their order. Each proxy adds at the right whom it was
    asked by, so only what trusted proxies added is believed; what the client wrote further left never is.
    """
    networks = tuple(trusted)
    found = peer
    hops = [hop for value in forwarded for hop in value.split(",")]
    while hops and _is_within(found, networks):
        named = _address(hops.pop())
        if named is None:
            break
        found = str(named)
    return found


def _is_within(address: str, networks: tuple[Network, ...]) -> bool:
    named = _address(address)
    return named is not None and any(named in network for network in networks)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address in a hop, which may have a port: ``1.2.3.4:5``, ``[::1]:5``."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found
