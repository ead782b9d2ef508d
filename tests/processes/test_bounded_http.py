"""What comes before a request is bounded in size and time (raw sockets against a real server)."""

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.conftest import Database
from tests.processes.served import Served, served


@pytest.fixture(scope="module")
def server(database: Database) -> Iterator[Served]:
    with served({"STRATA_DATABASE_URL": database.app_dsn}) as found:
        yield found


@pytest.fixture
def raw(server: Served) -> Iterator[socket.socket]:
    """A connection on which nothing was sent."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=30) as opened:
        yield opened


def _answer(raw: socket.socket) -> bytes:
    received = b""
    while chunk := raw.recv(65_536):
        received += chunk
    return received


HEAD = b"GET /health/live HTTP/1.1\r\nHost: strata\r\n"


def test_a_head_without_end_is_refused(raw: socket.socket) -> None:
    raw.sendall(HEAD)
    try:
        for _ in range(100):
            raw.sendall(b"X-Long: " + b"a" * 8_000 + b"\r\n")
        answer = _answer(raw)
    except ConnectionError:
        return
    assert answer.startswith(b"HTTP/1.1 431 ")


def test_a_head_of_ordinary_size_is_none(raw: socket.socket) -> None:
    raw.sendall(HEAD + b"X-Long: " + b"a" * 30_000 + b"\r\nConnection: close\r\n\r\n")
    assert _answer(raw).startswith(b"HTTP/1.1 200 ")


def test_requests_one_after_the_other_add_nothing_up(raw: socket.socket) -> None:
    for _ in range(5):
        raw.sendall(HEAD + b"X-Long: " + b"a" * 30_000 + b"\r\n\r\n")
        received = b""
        while b'{"status":"ok"}' not in received:
            received += raw.recv(65_536)


def test_a_head_that_does_not_come_is_waited_for_ten_seconds(server: Served, raw: socket.socket) -> None:
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=30) as half:
        half.sendall(HEAD)
        assert _answer(raw).startswith(b"HTTP/1.1 408 ")
        assert _answer(half).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /health/live HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(raw: socket.socket, request_: bytes) -> None:
    raw.sendall(request_)
    raw.shutdown(socket.SHUT_WR)
    assert _answer(raw).startswith(b"HTTP/1.1 400 ")
