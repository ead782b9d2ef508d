"""Where requests go out to: never inside, however the address is spelled, whatever the name server says."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app.domain.egress import Allowed, is_public, parse_url
from app.domain.errors import AddressRefused
from app.services import egress
from tests.receiver import Receiver, receiving, saying, silence

LOOPBACK_HOSTS = (
    "127.0.0.1 127.0.0.1. 127.1 127.0.1 127.000.000.001 0127.0.0.1 0177.0.0.1 0177.0.0.01 0x7f.0.0.1 0x7f000001"
    " 0x7f.1 0X7F.0x0.0X0.0x1 2130706433 017700000001 00000000177.0.0.1 127.0.0.1.. 127.0x0.0.1 127.255.255.254"
    " 0 0.0.0.0 0x0 00 0.0 localhost LOCALHOST LocalHost localhost. localhost.localdomain foo.localhost ip6-localhost"
    " [::1] [::] [0:0:0:0:0:0:0:1] [0000::0001] [::0001] [::127.0.0.1] [::ffff:127.0.0.1] [::ffff:7f00:1]"
    " [::ffff:0:127.0.0.1] [0:0:0:0:0:ffff:127.0.0.1] [64:ff9b::127.0.0.1] [64:ff9b::7f00:1] [64:ff9b:1::7f00:1]"
    " [2002:7f00:1::] [2001:0:7f00:1::] [::1%lo] [::1%25lo] [fe80::1] [fe80::1%eth0] [fec0::1] [fc00::1] [fd00::1]"
    " [ff02::1] [::ffff:10.0.0.1] [::ffff:a9fe:a9fe] [fd00:ec2::254] [2001:db8::1] [3fff::1] [100::1] [5f00::1] ::1"
    " [127.0.0.1] [::1 ::1] [[::1]] [] 127.0.0.1%00.example.com 127.0.0.1%2eexample.com %31%32%37.0.0.1 %6cocalhost"
    " 127\u30020\u30020\u30021 127\uff0e0\uff0e0\uff0e1 \uff11\uff12\uff17.0.0.1 \u2460\u2461\u2466.0.0.1"
    " \u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3 loca\u217chost 127.0.0.1\u200b 127.0.0.1\x00"
).split(" ")
INNER_HOSTS = (
    "10.0.0.1 10.1 10.255.255.255 0x0a000001 167772161 012.0.0.1 172.16.0.1 172.31.255.255 172.16.1 192.168.0.1"
    " 192.168.1 0xc0a80001 3232235521 169.254.169.254 169.254.43518 0xa9fea9fe 2852039166 0251.0376.0251.0376"
    " 169.254.169.254. 100.64.0.1 100.127.255.255 100.100.100.200 192.0.0.192 192.0.2.1 192.88.99.1 198.18.0.1"
    " 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 168.63.129.16"
    " metadata metadata.google.internal instance-data db.local printer.lan router.home.arpa vault.internal kubernetes"
    " a.test x.onion"
).split(" ")
WHOLE_URLS = [
    "",
    " ",
    "https://",
    "https:///",
    "https:127.0.0.1",
    "https:/127.0.0.1/",
    "https:///127.0.0.1/",
    "//127.0.0.1/",
    "http://example.com/",
    "HTTPS://example.com/",
    "file:///etc/passwd",
    "ftp://example.com/",
    "gopher://127.0.0.1:6379/_INFO",
    "data:text/plain,x",
    "javascript:alert(1)",
    "unix:///run/docker.sock",
    "https://example.com@127.0.0.1/",
    "https://127.0.0.1@example.com/",
    "https://user:password@example.com/",
    "https://example.com:443@127.0.0.1/",
    "https://example.com#@127.0.0.1/",
    "https://127.0.0.1#@example.com/",
    "https://127.0.0.1?@example.com/",
    "https://example.com\\@127.0.0.1/",
    "https://127.0.0.1\\@example.com/",
    "https:\\\\127.0.0.1/",
    "https://example.com\t@127.0.0.1/",
    "https://exam\nple.com/",
    "\nhttps://example.com/",
    "https://example.com/\r\nHost: 127.0.0.1",
    "https://example.com/ x",
    "https://example.com/\u2028",
    "https://example.com/ü",
    "https://bücher.example/",
    "https://example.com/#fragment",
    "https://example.com:0/",
    "https://example.com:65536/",
    "https://example.com:x/",
    "https://example.com:-1/",
    "https://example.com:80:80/",
    "https://example.com:/",
    "https://example..com/",
    "https://.example.com/",
    "https://-example.com/",
    "https://exa_mple.com/",
    "https://example.com./",
    "https://example.1/",
    "https://example.0x1/",
    "https://" + "a" * 64 + ".com/",
    "https://" + "a." * 130 + "com/",
    "https://example.com/" + "a" * 2_000,
]
REFUSED = [*(f"https://{host}/" for host in (*LOOPBACK_HOSTS, *INNER_HOSTS)), *WHOLE_URLS]


class Network:
    """Every connection that the process begins, and what names resolve to."""

    def __init__(self) -> None:
        self.connects: list[object] = []
        self.names: dict[str, list[list[str]]] = {}

    def resolve(self, host: str, port: int) -> list[Any]:
        answers = self.names.get(host.rstrip("."))
        if not answers:
            raise socket.gaierror
        return [ip_address(text) for text in (answers.pop(0) if len(answers) > 1 else answers[0])]


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    """Nothing connects but what the network counts."""
    made = Network()
    opened = asyncio.open_connection

    async def open_connection(host: str, port: int, **options: Any) -> Any:
        made.connects.append((host, port))
        return await opened(host, port, **options)

    monkeypatch.setattr(asyncio, "open_connection", open_connection)
    monkeypatch.setattr(egress, "resolve", made.resolve)
    return made


@pytest.fixture
async def receiver(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Receiver]:
    """A receiver on this machine, which the installation lists."""
    monkeypatch.setattr(egress, "allowed", Allowed.parse("127.0.0.1, hook.internal"))
    async with receiving() as made:
        yield made


def test_there_are_enough_spellings() -> None:
    assert len(REFUSED) == len(set(REFUSED)) >= 150


@pytest.mark.parametrize("url", REFUSED)
async def test_a_spelling_is_refused_and_nothing_connects(network: Network, url: str) -> None:
    with pytest.raises(AddressRefused):
        await egress.check(url)
    outcome = await egress.post(url, {}, b"{}")
    assert (outcome.response_code, outcome.delivered) == (None, False)
    assert network.connects == []


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.0.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["fe80::1%1"],
        ["169.254.169.254"],
        ["100.64.0.1"],
        ["93.184.215.14", "127.0.0.1"],
        ["127.0.0.1", "93.184.215.14"],
    ],
)
async def test_a_name_that_leads_inside_is_refused(network: Network, addresses: list[str]) -> None:
    network.names["example.com"] = [addresses]
    with pytest.raises(AddressRefused):
        await egress.check("https://example.com/")
    assert "not on the public internet" in str((await egress.post("https://example.com/", {}, b"{}")).error)
    assert network.connects == []


async def test_a_name_that_changes_its_mind_is_asked_once(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress, "SECONDS", 0.5)
    network.names["example.com"] = [["93.184.215.14"], ["127.0.0.1"]]
    await egress.check("https://example.com/")
    await egress.post("https://example.com/", {}, b"{}")
    network.names["example.com"] = [["93.184.215.14"], ["127.0.0.1"]]
    await egress.post("https://example.com/", {}, b"{}")
    assert network.connects == [("93.184.215.14", 443)]


async def test_a_name_without_an_address_is_no_reason_to_refuse(network: Network) -> None:
    await egress.check("https://example.com/")
    assert "cannot be resolved" in str((await egress.post("https://example.com/", {}, b"{}")).error)


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "172.15.255.255", "172.32.0.1", "2606:4700::1111", "2a00::1"])
def test_public_addresses(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("https://example.com", "example.com", 443, "/"),
        ("https://Example.COM:8443/a/b?c=d&e=%20", "example.com", 8443, "/a/b?c=d&e=%20"),
        ("https://example.com?x", "example.com", 443, "/?x"),
        ("https://xn--bcher-kva.example/", "xn--bcher-kva.example", 443, "/"),
        ("https://8.8.8.8/", "8.8.8.8", 443, "/"),
        ("https://[2606:4700::1111]:444/", "2606:4700::1111", 444, "/"),
    ],
)
def test_a_url_is_read(url: str, host: str, port: int, path: str) -> None:
    target = parse_url(url, Allowed())
    assert (target.host, target.port, target.path) == (host, port, path)


def test_what_the_installation_lists_is_let_through() -> None:
    allowed = Allowed.parse(" 127.0.0.0/8 ,receiver.internal,hook,")
    for url in ("http://127.0.0.1:9000/", "https://127.9.9.9/", "http://hook/", "http://receiver.internal/"):
        parse_url(url, allowed)
    for url in ("http://10.0.0.1/", "http://other.internal/", "http://localhost/", "https://127.1/"):
        with pytest.raises(AddressRefused):
            parse_url(url, allowed)
    for wrong in ("127.1", "10.0.0.0/40", "http://x", "10.0.0.1/8"):
        with pytest.raises(ValueError):  # noqa: PT011
            Allowed.parse(wrong)


async def test_a_message_arrives_as_it_was_given(network: Network, receiver: Receiver) -> None:
    outcome = await egress.post(receiver.url, {"webhook-id": "one"}, b'{"a":1}')
    assert (outcome.response_code, outcome.response_text, outcome.error) == (200, "ok", None)
    (request,) = receiver.received
    assert request.line == "POST /hook?token=receivers-own HTTP/1.1"
    assert (request.body, request.id) == (b'{"a":1}', "one")
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.headers["content-type"] == "application/json"


async def test_a_listed_name_is_sent_to_by_its_address(network: Network, receiver: Receiver) -> None:
    network.names["hook.internal"] = [["127.0.0.1"]]
    outcome = await egress.post(f"http://hook.internal:{receiver.port}/", {}, b"{}")
    assert outcome.delivered
    assert receiver.received[0].headers["host"] == f"hook.internal:{receiver.port}"


async def test_no_redirect_is_followed(network: Network, receiver: Receiver) -> None:
    receiver.answers = [saying("302 Found", headers=f"Location: {receiver.url}\r\n".encode())]
    outcome = await egress.post(receiver.url, {}, b"{}")
    assert (outcome.response_code, outcome.delivered) == (302, False)
    assert len(network.connects) == 1


async def test_no_proxy_of_the_environment_is_asked(
    network: Network, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await egress.post(receiver.url, {}, b"{}")).delivered
    assert network.connects == [("127.0.0.1", receiver.port)]


async def test_who_says_nothing_is_not_waited_for(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress, "SECONDS", 0.3)
    receiver.answers = [silence]
    outcome = await egress.post(receiver.url, {}, b"{}")
    assert outcome.response_code is None
    assert outcome.error is not None
    assert 300 <= outcome.duration < 2_000


async def test_an_answer_without_end_is_cut(receiver: Receiver) -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()

    receiver.answers = [endless]
    outcome = await egress.post(receiver.url, {}, b"{}")
    assert outcome.delivered
    assert outcome.response_text == "x" * 1_000
    assert outcome.duration < 2_000


async def test_headers_without_end_are_no_answer(receiver: Receiver) -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-Header: " + b"x" * 1_000 + b"\r\n")
            await writer.drain()

    receiver.answers = [endless]
    outcome = await egress.post(receiver.url, {}, b"{}")
    assert (outcome.response_code, outcome.error) == (None, "The answer is not HTTP/1.1.")


async def test_a_slow_body_is_not_waited_for(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")
        await writer.drain()
        await asyncio.sleep(60)

    monkeypatch.setattr(egress, "_BODY_SECONDS", 0.2)
    receiver.answers = [slow]
    outcome = await egress.post(receiver.url, {}, b"{}")
    assert (outcome.response_code, outcome.response_text) == (200, "ab")


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"", "The answer is not HTTP/1.1."),
        (b"SSH-2.0-OpenSSH\r\n", "The answer is not HTTP/1.1."),
        (b"HTTP/1.1 abc\r\n\r\n", "The answer is not HTTP/1.1."),
    ],
)
async def test_what_is_no_answer(receiver: Receiver, raw: bytes, error: str) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(raw)

    receiver.answers = [answer]
    outcome = await egress.post(receiver.url, {}, b"{}")
    assert (outcome.response_code, outcome.error) == (None, error)


async def test_text_that_the_database_cannot_hold_is_replaced(receiver: Receiver) -> None:
    receiver.answers = [saying("500 No", b"a\0b\xff")]
    outcome = await egress.post(receiver.url, {}, b"{}")
    assert outcome.response_text == "a\ufffdb\ufffd"


async def test_nobody_listens(receiver: Receiver) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        outcome = await egress.post(f"http://127.0.0.1:{bound.getsockname()[1]}/", {}, b"{}")
    assert outcome.error == "No connection: ConnectionRefusedError."


def _certificate(folder: Path, name: str) -> Path:
    """Make a certificate of a name that it signs itself, in one file with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    owner = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(owner, owner, key.public_key(), x509.random_serial_number(), now, now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = folder / "certificate.pem"
    path.write_bytes(private + made.public_bytes(Encoding.PEM))
    return path


async def test_only_who_can_show_its_name_gets_something(
    network: Network, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(egress, "allowed", Allowed.parse("127.0.0.1"))
    network.names = {"hook.example": [["127.0.0.1"]], "other.example": [["127.0.0.1"]]}
    path = _certificate(tmp_path, "hook.example")
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(path)
    async with receiving(server) as receiver:
        unknown = await egress.post(f"https://hook.example:{receiver.port}/", {}, b"{}")
        assert unknown.error == "No secure connection: CERTIFICATE_VERIFY_FAILED."
        known = ssl.create_default_context(cafile=str(path))
        monkeypatch.setattr(egress, "_tls", lambda: known)
        other = await egress.post(f"https://other.example:{receiver.port}/", {}, b"{}")
        assert other.error == "No secure connection: CERTIFICATE_VERIFY_FAILED."
        assert receiver.received == []
        assert (await egress.post(f"https://hook.example:{receiver.port}/", {}, b"{}")).delivered
        assert [request.headers["host"] for request in receiver.received] == [f"hook.example:{receiver.port}"]
