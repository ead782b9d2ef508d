"""What the description says in words only, told to schemathesis, which loads this file into a process of its own.

Requests that are meant to be right get a project that exists, things of it that exist, and parts that do not contradict
one another; those that are meant to be wrong stay as they were made. ``STRATA_WORLD`` has what there is, as JSON.
"""

import json
import os
import re
from typing import Any
from uuid import uuid4
from zlib import crc32

import schemathesis

WORLD: dict[str, list[Any]] = json.loads(os.environ["STRATA_WORLD"])
# Pairs of words for one thing: the second leaves.
ALIKE = (
    ("env_name", "name"),
    ("promotion_id", "env_uuid"),
    ("active_env", "env_uuid"),
    ("path", "paths"),
    ("user_filter", "segment_id"),
    ("strategy", "instant"),
    ("user_uuid", "exposures"),
    ("user_uuid", "results"),
    ("outcome", "results"),
)
ALWAYS = ("project_id", "field_path")
# Bodies that have to name one of several things.
NEEDED = {
    "/api/sandbox/approve": ("env_uuid", "promotion_id"),
    "/api/sandbox/active-env": ("env_uuid", "active_env"),
    "/api/sandbox/ab-test/{test_id}/exposure": ("user_uuid", "exposures"),
    "/api/sandbox/ab-test/{test_id}/result": ("user_uuid", "results"),
}
_tags = re.compile(r'\*|(W/)?"[!#-~]*"(, *(W/)?"[!#-~]*")*').fullmatch


def _choice(name: str, given: object) -> Any:
    """Return one of the things that exist, mostly; the same for the same value."""
    found = WORLD[name]
    number = crc32(repr(given).encode())
    return given if number % 8 == 0 and name not in ALWAYS else found[number % len(found)]


def _existing(members: dict[str, Any]) -> None:
    for name, given in members.items():
        if name in WORLD and not isinstance(given, list | dict):
            members[name] = _choice(name, given)


def _query(query: dict[str, Any], names: set[str]) -> None:
    if "project_id" in names and "env_uuid" not in query:
        query["project_id"] = WORLD["project_id"][0]
    # Cursors are made by the server; a filter is JSON in a string.
    for name in ("cursor", "after", "filter"):
        query.pop(name, None)
    if "decrypt_protected" in query:
        query.pop("as_of", None)
    _existing(query)


def _headers(headers: dict[str, Any], writes: bool) -> None:
    for name in ("If-Match", "If-None-Match"):
        if name in headers and not _tags(str(headers[name])):
            headers[name] = '"0"'
    if writes and "If-None-Match" in headers:
        headers["If-None-Match"] = "*"
        headers.pop("If-Match", None)
    if "Idempotency-Key" in headers:
        headers["Idempotency-Key"] = uuid4().hex


def _body(body: dict[str, Any], query: dict[str, Any], path: str) -> None:
    _existing(body)
    for first, second in ALIKE:
        if first in body:
            body.pop(second, None)
    needed = NEEDED.get(path, ())
    if needed and not any(name in body for name in needed):
        body[needed[0]] = WORLD[needed[0]][0]
    if isinstance(body.get("user_filter"), dict):
        body["user_filter"] = {"user_uuids": ["u0", "u1"]}
    for name in ("project_id", "source_project_id"):
        if name in body:
            query.pop("project_id", None)
            body[name] = WORLD["project_id"][0]


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Make a request right that is meant to be."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    _query(case.query, {parameter.name for parameter in case.operation.query})
    _existing(case.path_parameters)
    _headers(case.headers, case.method in ("POST", "PUT", "PATCH", "DELETE"))
    if isinstance(case.body, dict):
        _body(case.body, case.query, case.path)


@schemathesis.serializer("application/x-ndjson")
def lines(context: schemathesis.SerializationContext, value: Any) -> bytes:
    """Write lines of JSON."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()
