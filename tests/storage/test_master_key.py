"""The master key: what may be one, where it comes from, and that it opens only what it sealed."""

import hmac
import multiprocessing
import os
import secrets
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path

import pytest

from app.storage import master_key
from app.storage.master_key import MasterKey, MasterKeyError, parse, read_file, read_or_make_file

SECRET = bytes.fromhex("8d5a0f6be1c94d7732a8f01b5c6e92d4417f3ab6580ce9d2137b64f8a05e9cd1")


@pytest.mark.parametrize(
    "text",
    [
        SECRET.hex(),
        SECRET.hex().upper(),
        b64encode(SECRET).decode(),
        b64encode(SECRET).decode().rstrip("="),
        urlsafe_b64encode(SECRET).decode(),
        f" {SECRET.hex()}\n",
    ],
)
def test_hex_and_base64(text: str) -> None:
    assert parse(text) == SECRET


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "correct horse battery staple",
        "correct-horse-battery-staple-correct-horse!!",
        SECRET[:31].hex(),
        b64encode(SECRET[:31]).decode(),
        b64encode(SECRET + b"x").decode(),
        SECRET.hex() + "00",
        SECRET.hex()[:-1] + "g",
        "0" * 64,
        "0123456789abcdef" * 4,
        b64encode(b"A" * 32).decode(),
        "ключ" * 16,
    ],
)
def test_what_is_no_key_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match="it ") as caught:
        parse(text)
    assert len(text) < 2 or text not in str(caught.value)


def test_each_purpose_has_a_key_of_its_own() -> None:
    key = MasterKey(SECRET)
    assert key.derive("a") == MasterKey(SECRET).derive("a") != key.derive("b")
    assert len(key.derive("a")) == 32
    # RFC 5869 by hand: extract with an empty salt, expand with the purpose.
    extracted = hmac.digest(bytes(32), SECRET, "sha256")
    assert key.derive("a") == hmac.digest(extracted, b"strata a\x01", "sha256")


def test_what_is_sealed_opens_only_for_the_same_purpose_owner_and_key() -> None:
    key = MasterKey(SECRET)
    sealed = key.encrypt("p", b"plain", b"row 1")
    assert key.decrypt("p", sealed, b"row 1") == b"plain"
    assert key.encrypt("p", b"plain", b"row 1") != sealed
    assert b"plain" not in sealed
    with pytest.raises(MasterKeyError, match="was changed"):
        key.decrypt("p", sealed, b"row 2")
    with pytest.raises(MasterKeyError, match="was changed"):
        key.decrypt("q", sealed, b"row 1")
    with pytest.raises(MasterKeyError, match="is not the one"):
        MasterKey(secrets.token_bytes(32)).decrypt("p", sealed, b"row 1")
    for position in range(len(sealed)):
        changed = sealed[:position] + bytes([sealed[position] ^ 1]) + sealed[position + 1 :]
        with pytest.raises(MasterKeyError):
            key.decrypt("p", changed, b"row 1")
    for length in range(len(sealed)):
        with pytest.raises(MasterKeyError):
            key.decrypt("p", sealed[:length], b"row 1")


def test_the_key_does_not_show_itself() -> None:
    assert SECRET.hex() not in repr(MasterKey(SECRET))
    assert repr(SECRET) not in repr(MasterKey(SECRET))


def test_the_file_is_made_once_and_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    assert read_file(tmp_path) is None
    made = read_or_make_file(folder)
    path = folder / master_key.FILE_NAME
    assert (path.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)
    assert read_or_make_file(folder).derive("x") == made.derive("x") == MasterKey(parse(path.read_text())).derive("x")
    assert [entry.name for entry in folder.iterdir()] == [master_key.FILE_NAME]


def test_a_file_that_is_not_private_or_not_whole_is_refused(tmp_path: Path) -> None:
    read_or_make_file(tmp_path)
    path = tmp_path / master_key.FILE_NAME
    for mode in (0o640, 0o604, 0o666):
        path.chmod(mode)
        with pytest.raises(MasterKeyError, match="chmod 600"):
            read_or_make_file(tmp_path)
    path.chmod(0o600)
    whole = path.read_text()
    for text in ("", whole[:40], "x" * 10_000):
        path.write_text(text)
        with pytest.raises(MasterKeyError, match="cannot be used"):
            read_or_make_file(tmp_path)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MasterKeyError, match="cannot be read"):
        read_or_make_file(tmp_path)


def test_where_no_file_can_be_made(tmp_path: Path) -> None:
    with pytest.raises(MasterKeyError, match="STRATA_MASTER_KEY"):
        read_or_make_file(Path("/proc/nobody/makes/folders/here"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_root_makes_the_file_for_the_folders_owner(tmp_path: Path) -> None:
    os.chown(tmp_path, 12_345, 12_345)
    read_or_make_file(tmp_path)
    found = (tmp_path / master_key.FILE_NAME).stat()
    assert (found.st_uid, found.st_mode & 0o777) == (12_345, 0o600)


def _derived(folder: Path) -> bytes:
    return read_or_make_file(folder).derive("x")


def test_processes_that_start_at_once_get_the_same_key(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        for number in range(20):
            folder = tmp_path / str(number)
            assert len(set(pool.map(_derived, [folder] * 4, chunksize=1))) == 1
            assert len(list(folder.iterdir())) == 1
