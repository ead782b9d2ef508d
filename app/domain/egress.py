"""Where the server may send to: addresses of the public internet, and what the installation lists (hardening L5).

Addresses are read strictly. What two programs may understand differently, such as ``127.1`` or ``user@host``, is
refused and not interpreted.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

from app.domain.errors import AddressRefused

Address: TypeAlias = IPv4Address | IPv6Address

MAX_URL: Final = 2_000
_PORTS: Final = {"https": 443, "http": 80}
_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,253})(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>[/?][!$-;=?-Z_a-z~%]*)?"
)
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# Names that mean this machine or this network wherever they are asked for (RFC 6761, 6762, 8375, 9476).
_INNER_NAMES: Final = tuple("localhost localdomain local internal intranet home.arpa lan alt onion test".split())

# IANA's special-purpose registries, multicast, and a public address at which a cloud answers its own machines.
_INNER_IPV4: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 168.63.129.16/32 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24"
        " 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15"
        " 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4"
    ).split()
)
# Global unicast is all of IPv6 that is public; what in it embeds or tunnels to other addresses is not.
_GLOBAL_IPV6: Final = IPv6Network("2000::/3")
_INNER_IPV6: Final = tuple(
    IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)


@dataclass(frozen=True, slots=True)
class Allowed:
    """What an installation lists beside the public internet: names and networks, also for plain http."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Allowed":
        """Return what a list of names, addresses and networks says, separated by commas. Raises ValueError."""
        hosts, networks = set(), []
        for item in filter(None, (part.strip().lower() for part in text.split(","))):
            if _is_name(item):
                hosts.add(item)
            else:
                networks.append(ip_network(item))
        return cls(frozenset(hosts), tuple(networks))

    def has(self, address: Address) -> bool:
        """Return whether the list has a network with this address."""
        return any(address.version == network.version and address in network for network in self.networks)


@dataclass(frozen=True, slots=True)
class Target:
    """An address that was read. ``host`` is a name in lower case or a literal address, ``path`` has the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def literal(self) -> Address | None:
        """Return the address that the host is, if it is no name."""
        return None if _is_name(self.host) else ip_address(self.host)

    @property
    def authority(self) -> str:
        """Return the value of the header ``Host``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def parse_url(url: str, allowed: Allowed) -> Target:
    """Return what ``url`` says, if its spelling alone does not rule it out. Raises AddressRefused."""
    found = _URL.fullmatch(url) if len(url) <= MAX_URL else None
    if found is None:
        raise AddressRefused(
            "A URL is https://host/path with ASCII characters only, a port at most, and no user name or fragment;"
            " write other characters of a path as %XX, and international names as xn--…."
        )
    path = found["path"] or "/"
    path = path if path.startswith("/") else f"/{path}"
    target = Target(found["scheme"], _host(found["host"]), _port(found), path)
    literal = target.literal
    if literal is not None:
        check_address(target, literal, allowed)
    elif target.host not in allowed.hosts:
        _check_name(target, allowed)
    return target


def check_address(target: Target, address: Address, allowed: Allowed) -> None:
    """Let pass an address that the target's host is, or was resolved to. Raises AddressRefused."""
    if target.host in allowed.hosts or allowed.has(address):
        return
    if target.scheme != "https":
        raise AddressRefused("A URL begins with https://; STRATA_WEBHOOK_ALLOW lists exceptions.")
    if not is_public(address):
        raise AddressRefused("The host is not on the public internet; STRATA_WEBHOOK_ALLOW lists exceptions.")


def is_public(address: Address) -> bool:
    """Return whether an address belongs to a machine of the public internet, without a detour."""
    if isinstance(address, IPv4Address):
        return not _within(address, _INNER_IPV4)
    return address.scope_id is None and address in _GLOBAL_IPV6 and not _within(address, _INNER_IPV6)


def _within(address: Address, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    return any(address in network for network in networks)


def _host(text: str) -> str:
    host = text.strip("[]").lower()
    if _is_name(host) and not text.startswith("["):
        return host
    try:
        address = ip_address(host)
    except ValueError:
        address = None
    # One spelling of an IPv4 address; an IPv6 address only in brackets.
    if address is None or (address.version == 6) is not text.startswith("["):
        raise AddressRefused("The host is neither a name nor an address in its usual spelling.")
    return str(address)


def _is_name(host: str) -> bool:
    labels = host.split(".")
    # A name whose last part begins with a digit is what old programs read as an address.
    return len(host) <= 253 and all(map(_LABEL.fullmatch, labels)) and not labels[-1][0].isdigit()


def _check_name(target: Target, allowed: Allowed) -> None:
    if target.scheme != "https" and not allowed.networks:
        raise AddressRefused("A URL begins with https://; STRATA_WEBHOOK_ALLOW lists exceptions.")
    inner = any(target.host == name or target.host.endswith(f".{name}") for name in _INNER_NAMES)
    if inner or "." not in target.host:
        raise AddressRefused("The host's name is none of the public internet; STRATA_WEBHOOK_ALLOW lists exceptions.")


def _port(found: "re.Match[str]") -> int:
    port = int(found["port"]) if found["port"] else _PORTS[found["scheme"]]
    if not 1 <= port <= 65_535:
        raise AddressRefused("The port is none.")
    return port
