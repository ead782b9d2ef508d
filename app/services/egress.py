"""Sending a request out of the house: to an address that was checked, by itself, once, and within bounds.

The name is resolved once and the connection is made to what came of it, so that a second answer of the name server
changes nothing. No redirect is followed and no proxy is asked.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from typing import Final

import h11

from app.domain.egress import Address, Allowed, Target, check_address, parse_url
from app.domain.errors import AddressRefused
from app.domain.webhooks import Outcome

SECONDS: Final = 10.0
KEPT_BYTES: Final = 1_000
_RESOLVING_SECONDS: Final = 5.0
_BODY_SECONDS: Final = 2.0
_HEADER_BYTES: Final = 32_768
# Looking up a name cannot be cut short; those that hang must not take the threads that others need.
_resolvers: Final = ThreadPoolExecutor(8, thread_name_prefix="resolve")

allowed = Allowed()
"""What ``STRATA_WEBHOOK_ALLOW`` lists; set when the process starts."""


class Unreachable(Exception):
    """No answer came; the text says why, for people, and repeats nothing that the receiver said."""


async def check(url: str) -> None:
    """Refuse a URL to which nothing would be sent, as far as that is known now. Raises AddressRefused."""
    target = parse_url(url, allowed)
    try:
        await _addresses(target)
    except Unreachable:
        # The name may get its address later; but by plain http nothing goes to where nobody knows.
        if target.scheme != "https" and target.host not in allowed.hosts:
            raise AddressRefused("The host's name cannot be resolved, and without https it must be.") from None


async def post(url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
    """Post ``body`` and return how that went; never raises for what others do wrong."""
    started = time.monotonic()
    try:
        async with asyncio.timeout(SECONDS):
            code, text = await _exchange(url, headers, body)
        return Outcome(_since(started), code, text)
    except AddressRefused as refusal:
        return Outcome(_since(started), error=refusal.message)
    except Unreachable as failure:
        return Outcome(_since(started), error=str(failure))
    except TimeoutError:
        return Outcome(_since(started), error=f"No answer within {SECONDS:.0f} seconds.")


def _since(started: float) -> int:
    return int((time.monotonic() - started) * 1_000)


async def _exchange(url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
    target = parse_url(url, allowed)
    addresses = await _addresses(target)
    reader, writer = await _connected(target, addresses)
    try:
        return await _asked(_Exchange(reader, writer), target, headers, body)
    except (OSError, ssl.SSLError) as error:
        raise Unreachable(f"The connection broke: {type(error).__name__}.") from None
    except h11.RemoteProtocolError:
        raise Unreachable("The answer is not HTTP/1.1.") from None
    finally:
        writer.transport.abort()


async def _addresses(target: Target) -> list[Address]:
    """Return the addresses of the host, all of them checked. Raises AddressRefused, Unreachable."""
    literal = target.literal
    found = [literal] if literal is not None else await _resolved(target)
    for address in found:
        check_address(target, address, allowed)
    return found


async def _resolved(target: Target) -> list[Address]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_RESOLVING_SECONDS):
            # A name with a final dot is asked for as it is, without the machine's search list.
            found = await loop.run_in_executor(_resolvers, resolve, f"{target.host}.", target.port)
    except (OSError, UnicodeError, TimeoutError):
        raise Unreachable("The host's name cannot be resolved.") from None
    return found


def resolve(host: str, port: int) -> list[Address]:
    """Return the addresses of a name; blocks. Raises OSError."""
    name = host.rstrip(".") if host.rstrip(".") in allowed.hosts else host
    rows = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ip_address(row[4][0]) for row in rows))


async def _connected(target: Target, addresses: list[Address]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    secure = target.scheme == "https"
    for address in addresses[:4]:
        try:
            return await asyncio.open_connection(
                str(address),
                target.port,
                ssl=_tls() if secure else None,
                server_hostname=target.host if secure else None,
                limit=_HEADER_BYTES,
            )
        except ssl.SSLError as error:
            reason = error.reason or type(error).__name__
            failure = Unreachable(f"No secure connection: {reason}.")
        except OSError as error:
            failure = Unreachable(f"No connection: {type(error).__name__}.")
    raise failure


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


@dataclass(frozen=True, slots=True)
class _Exchange:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


async def _asked(exchange: _Exchange, target: Target, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
    protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEADER_BYTES)
    sent = {
        "Host": target.authority,
        "User-Agent": "Strata",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        **headers,
    }
    request = h11.Request(method="POST", target=target.path, headers=list(sent.items()))
    for part in (request, h11.Data(body), h11.EndOfMessage()):
        exchange.writer.write(protocol.send(part) or b"")
    await exchange.writer.drain()
    return await _answer(exchange.reader, protocol)


async def _answer(reader: asyncio.StreamReader, protocol: h11.Connection) -> tuple[int, str]:
    while not isinstance(event := await _next(reader, protocol), h11.Response):
        if not isinstance(event, h11.InformationalResponse):
            raise Unreachable("The connection was closed without an answer.")
    kept = bytearray()
    # The status decides; whatever is wrong with the rest, or takes its time, is not waited for.
    with suppress(OSError, TimeoutError, h11.RemoteProtocolError):
        async with asyncio.timeout(_BODY_SECONDS):
            while len(kept) < KEPT_BYTES and isinstance(part := await _next(reader, protocol), h11.Data):
                kept += part.data
    text = kept[:KEPT_BYTES].decode("utf-8", "replace")
    return event.status_code, text.replace("\0", "\N{REPLACEMENT CHARACTER}")


async def _next(
    reader: asyncio.StreamReader, protocol: h11.Connection
) -> h11.Event | type[h11.PAUSED] | type[h11.NEED_DATA]:
    while (event := protocol.next_event()) is h11.NEED_DATA:
        protocol.receive_data(await reader.read(4_096))
    return event
