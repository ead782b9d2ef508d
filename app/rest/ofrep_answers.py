"""How evaluations look in the OpenFeature Remote Evaluation Protocol, 0.3."""

import time
from hashlib import sha256
from typing import Any, Final

from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from app.domain.evaluation import Evaluated, Evaluation, Failed
from app.domain.model import Actor
from app.domain.routing import Route
from app.domain.values import MISSING, Value
from app.rest.answers import Answer
from app.rest.document_answer import CACHING
from app.rest.preconditions import etag, is_known
from app.services import stream_tickets
from app.services.evaluation import Answer as Found
from app.services.evaluation import Known
from app.storage.codec import encode

AGE_HEADER: Final = "X-Snapshot-Age-Ms"
STREAM: Final = "/ofrep/v1/events"
_AGE: Final = AGE_HEADER.lower().encode()
_JSON_TYPE: Final = (b"content-type", b"application/json")
_INACTIVITY_SECONDS: Final = 120
_MAX_TEXTS: Final = 10_000


class EvaluationAnswer(Answer):
    """`value` is missing where the client's own default is to be taken: the flag is disabled, or the leaf is null."""

    key: str
    reason: str
    variant: str
    metadata: dict[str, Any]
    value: Any


class BulkAnswer(Answer):
    """`flags` has a value or an `errorCode` for each; `eventStreams` say when to ask again, for API keys only."""

    flags: list[dict[str, Any]]
    metadata: dict[str, Any]
    eventStreams: list[dict[str, Any]]  # noqa: N815


class Evaluations(ASGIResponse):
    """An answer as it goes out. It does nothing that is not needed for it, as it is asked for all the time."""

    def __init__(self, content: bytes, age: float, status: int = 200, tag: bytes | None = None) -> None:
        self.body = content
        self.status_code = status
        self._headers: list[tuple[bytes, bytes]] = [(_AGE, b"%d" % (age * 1_000)), *CACHING]
        if tag is not None:
            self._headers.append((b"etag", tag))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        headers = self._headers
        if self.status_code != 304:
            headers += (_JSON_TYPE, (b"content-length", b"%d" % len(self.body)))
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


def single(found: Found) -> Evaluations:
    """Return the answer to the evaluation of one flag. Raises FlagNotFound, FlagNotEvaluable."""
    evaluation = found.evaluations[0]
    if isinstance(evaluation, Failed):
        raise evaluation.refusal()
    test = found.route.experiment
    key = (evaluation, found.route.reason, test.variant if test else None)
    text = found.known.texts.get(key)
    if text is None:
        text = encode(_evaluated(evaluation, _origin(found.route, found.known)))
        if evaluation.key in found.known.flags.flags:
            _remember(found.known, key, text)
    return Evaluations(text, found.age)


def bulk(found: Found, actor: Actor, if_none_match: str | None) -> Evaluations:
    """Return the answer to the evaluation of all flags."""
    texts = found.known.texts
    said = b",".join([texts.get(evaluation) or _part(found.known, evaluation) for evaluation in found.evaluations])
    metadata = encode(_origin(found.route, found.known))
    ticket = stream_tickets.issue(actor, time.time())
    # Whatever else has changed in the project is no news to this user.
    version = sha256(b"%b %b %b" % (said, metadata, (ticket or "").encode())).hexdigest()[:24]
    tag = etag(version).encode()
    if is_known(version, if_none_match):
        return Evaluations(b"", found.age, 304, tag)
    streams = _streams(ticket, found.tag) if ticket else b"[]"
    content = b'{"flags":[' + said + b'],"metadata":' + metadata + b',"eventStreams":' + streams + b"}"
    return Evaluations(content, found.age, 200, tag)


def _part(known: Known, evaluation: Evaluation) -> bytes:
    if isinstance(evaluation, Failed):
        return encode(_failed(evaluation))
    text = encode(_evaluated(evaluation, {}))
    _remember(known, evaluation, text)
    return text


def _remember(known: Known, key: object, text: bytes) -> None:
    if len(known.texts) < _MAX_TEXTS:
        known.texts[key] = text


def _evaluated(evaluation: Evaluated, origin: dict[str, Value]) -> dict[str, Value]:
    said: dict[str, Value] = {
        "key": evaluation.key,
        "reason": evaluation.reason.value,
        "variant": evaluation.variant,
        "metadata": {**origin, **evaluation.metadata},
    }
    if evaluation.value is not MISSING:
        said["value"] = evaluation.value
    return said


def _failed(evaluation: Failed) -> dict[str, Value]:
    return {"key": evaluation.key, "errorCode": evaluation.code.value, "errorDetails": evaluation.details}


def _origin(route: Route, known: Known) -> dict[str, Value]:
    origin: dict[str, Value] = {
        "environment": route.place.env_name,
        "env_uuid": str(route.place.env_uuid),
        "route": route.reason.value,
        "version": known.version,
    }
    if route.experiment is not None:
        origin |= {"test_id": str(route.experiment.test_uuid), "test_variant": route.experiment.variant}
    return origin


def _streams(ticket: str, tag: str) -> bytes:
    # With what the client has seen: what changes before its stream begins, it is told of then.
    endpoint = {"requestUri": f"{STREAM}?ticket={ticket}&seen={tag}"}
    return encode([{"type": "sse", "endpoint": endpoint, "inactivityDelaySec": _INACTIVITY_SECONDS}])
