"""Looking for planted values in everything that the database holds, in the forms in which values travel."""

from base64 import b64encode, urlsafe_b64encode
from hashlib import md5, sha1, sha256
from json import dumps
from urllib.parse import quote
from uuid import uuid4

from app.storage import db


def planted() -> str:
    """Return a value that is found again wherever it is: its ends are escaped here and there, its core never."""
    return f'sk_"live"/{uuid4().hex}+é<'


def forms(text: str) -> list[bytes]:
    """Return what to look for: it and its core as they are, reversed, in JSON, URLs, hex and base64, and hashed."""
    return [*forms_of(text), *forms_of(text[10:42])]


def forms_of(text: str) -> list[bytes]:
    """Return what to look for where ``text`` may stand, alone or within something longer."""
    raw = text.encode()
    found = [raw, raw[::-1], dumps(text)[1:-1].encode(), dumps(text, ensure_ascii=False)[1:-1].encode()]
    found += [quote(text, safe="").encode(), quote(text).encode(), raw.hex().encode(), raw.hex().upper().encode()]
    for padding in range(3):
        for encoded in (b64encode(b"x" * padding + raw), urlsafe_b64encode(b"x" * padding + raw)):
            # Its ends depend on what stands around it.
            found.append(encoded.rstrip(b"=")[4:-4])
    found += [digest(raw).hexdigest().encode() for digest in (md5, sha1, sha256)]
    found += [digest(raw).digest() for digest in (md5, sha1, sha256)]
    return found


def hits(texts: list[str], place: bytes) -> list[str]:
    """Return which of the values ``place`` holds in any form."""
    return [text for text in texts if any(form in place for form in forms(text))]


async def tables() -> dict[str, bytes]:
    """Return all rows of all tables as text."""
    names = await db.fetch("SELECT relname FROM pg_stat_user_tables ORDER BY relname")
    found = {}
    for (name,) in names:
        if await db.fetchval("SELECT has_table_privilege($1, 'SELECT')", name):
            rows = await db.fetch(f'SELECT row::text AS text FROM "{name}" row')
            found[name] = "\n".join(row["text"] for row in rows).encode()
    return found


async def tables_with(*texts: str) -> set[str]:
    """Return the tables that hold one of the values in any form."""
    return {name for name, content in (await tables()).items() if hits(list(texts), content)}
