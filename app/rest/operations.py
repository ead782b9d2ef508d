"""What the description of an operation says beyond its signature: refusals, media types, headers, examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from litestar.openapi.spec import (
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Parameter,
    Reference,
    RequestBody,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIType

from app.event_stream import MEDIA_TYPE
from app.rest.examples import ANSWERS, BODIES
from app.rest.parameter_shapes import CONTEXT, KEY, KNOWN, shaped
from app.rest.request import JSON, JSON_PATCH, MERGE_PATCH, NDJSON

_REFUSALS: Final = ("400", "401", "403", "404", "409", "422", "429", "500", "503")
_SUCCESSES: Final = frozenset({"200", "201"})
_BODY_REFUSALS: Final = ("413", "415")
_ANY_JSON: Final = Schema(description="Any JSON value.")
_MERGE: Final = Schema(description="A merge patch: what to set; `null` removes (RFC 7396).")
_OPERATIONS: Final = Schema(
    type=OpenAPIType.ARRAY,
    items=Schema(type=OpenAPIType.OBJECT, required=["op", "path"]),
    description="A JSON patch: operations, done in order, all or none (RFC 6902).",
)
_REFUSAL: Final = Schema(
    type=OpenAPIType.OBJECT,
    required=["error", "message", "request_id"],
    properties=dict.fromkeys(("error", "message", "request_id"), Schema(type=OpenAPIType.STRING)),
)
_LINES: Final = Schema(type=OpenAPIType.STRING, description='One `{"kind", "key", "data"}` a line.')
_EVENTS: Final = Schema(type=OpenAPIType.STRING, description="Server-sent events; the data of each is JSON.")
_ETAG: Final = OpenAPIHeader(
    schema=Schema(type=OpenAPIType.STRING),
    description="The document's version; `If-Match` takes it as it stands.",
)
_CONTENT_TAG: Final = OpenAPIHeader(
    schema=Schema(type=OpenAPIType.STRING),
    description="Changes with the answer; `If-None-Match` takes it as it stands.",
)


@dataclass
class ApiOperation(Operation):
    """An operation with its refusals, and the guide's example where it has one."""

    takes_key: ClassVar[bool] = False
    is_tagged: ClassVar[bool] = False

    def __post_init__(self) -> None:
        text, _, more = (self.description or "").partition("\n\n")
        self.summary, self.description = text.strip().rstrip("."), more.strip() or None
        self.responses = dict(self.responses or {})
        self.describe()
        self._refuse(_REFUSALS if self.request_body is None else (*_REFUSALS, *_BODY_REFUSALS))
        self._exemplify()
        self.parameters = [shaped(parameter) for parameter in self.parameters or ()]
        if any(isinstance(parameter, Parameter) and parameter.name == "If-Match" for parameter in self.parameters):
            self._refuse(["412"])
        if self.takes_key:
            self.parameters = [*self.parameters, KEY]
        if self.is_tagged:
            self._tag()

    def describe(self) -> None:
        """Say what the signature does not; for operations that are not all JSON."""

    def succeed(self, status: str, description: str, media_type: str | None, schema: Schema) -> None:
        """Describe a success whose body the signature does not show."""
        content = {media_type: OpenAPIMediaType(schema=schema)} if media_type else None
        assert self.responses is not None
        self.responses[status] = OpenAPIResponse(description=description, content=content)

    def _refuse(self, statuses: Sequence[str]) -> None:
        assert self.responses is not None
        for status in statuses:
            self.responses[status] = Reference(ref=f"#/components/responses/{status}")

    def _tag(self) -> None:
        """Describe the tag of an answer that is JSON and has none of its own."""
        assert self.responses is not None
        read = self.responses.get("200")
        if not isinstance(read, OpenAPIResponse) or JSON not in (read.content or {}) or "304" in self.responses:
            return
        read.headers = {**(read.headers or {}), "ETag": _CONTENT_TAG}
        self.responses["304"] = OpenAPIResponse(
            description="`If-None-Match` names this answer.", headers={"ETag": _CONTENT_TAG}
        )
        self.parameters = [*(self.parameters or ()), shaped(KNOWN)]

    def _exemplify(self) -> None:
        name = self.operation_id or ""
        if name in BODIES and isinstance(self.request_body, RequestBody):
            self.request_body.content[JSON].example = BODIES[name]
        if name in ANSWERS:
            for status in _SUCCESSES & (self.responses or {}).keys():
                response = (self.responses or {})[status]
                assert isinstance(response, OpenAPIResponse)
                assert response.content
                response.content[JSON].example = ANSWERS[name]


def with_key(operation: type[Operation]) -> type[Operation]:
    """Return the operation as one that changes something, and so takes an idempotency key."""
    return type(operation.__name__, (operation,), {"takes_key": True})


def with_tag(operation: type[Operation]) -> type[Operation]:
    """Return the operation as one whose answers have the tag of ``JsonResponse``, if they are JSON."""
    return type(operation.__name__, (operation,), {"is_tagged": True})


@dataclass
class DocumentOperation(ApiOperation):
    """An operation that answers with a bare document and its version."""

    def show_document(self, **statuses: str) -> None:
        """Describe the answers with a document: ``_200="…"``."""
        assert self.responses is not None
        for status, description in statuses.items():
            self.responses[status.strip("_")] = OpenAPIResponse(
                description=description,
                content={JSON: OpenAPIMediaType(schema=_ANY_JSON)},
                headers={"ETag": _ETAG},
            )

    def check_version(self) -> None:
        """Describe the refusal of a stale ``If-Match``."""
        self._refuse(["412"])


@dataclass
class EntityList(ApiOperation):
    """Listing documents."""

    def describe(self) -> None:
        """Leave out what stands at the same address for keys of nothing but slashes."""
        listed = (self.responses or {})["200"]
        assert isinstance(listed, OpenAPIResponse)
        shown = (listed.content or {})[JSON]
        assert isinstance(shown.schema, Schema)
        assert shown.schema.one_of
        shown.schema = shown.schema.one_of[0]


@dataclass
class DocumentRead(DocumentOperation):
    """Reading a document."""

    def describe(self) -> None:
        """Add ETag and 304, and the context that the handler reads by itself."""
        self.parameters = [*(self.parameters or ()), *CONTEXT]
        self.show_document(_200="The document, or what stands at `path` of it.")
        assert self.responses is not None
        self.responses["304"] = OpenAPIResponse(
            description="`If-None-Match` names this version.", headers={"ETag": _ETAG}
        )


@dataclass
class DocumentPut(DocumentOperation):
    """Replacing a document."""

    def describe(self) -> None:
        """Add the body and both successes."""
        self.request_body = RequestBody(required=True, content={JSON: OpenAPIMediaType(schema=_ANY_JSON)})
        self.show_document(_200="The document as it is now.", _201="There was none; the document as it is now.")
        self.check_version()


@dataclass
class DocumentPatch(DocumentOperation):
    """Changing a document."""

    def describe(self) -> None:
        """Add the bodies: one kind of patch per media type."""
        bodies = {MERGE_PATCH: _MERGE, JSON_PATCH: _OPERATIONS, JSON: _MERGE}
        self.request_body = RequestBody(
            required=True,
            content={media_type: OpenAPIMediaType(schema=schema) for media_type, schema in bodies.items()},
        )
        self.show_document(_200="The document as it is now.")
        self.check_version()


@dataclass
class DocumentDelete(DocumentOperation):
    """Deleting a document."""

    def describe(self) -> None:
        """Add the refusal of a stale version."""
        assert self.responses is not None
        self.responses["204"] = OpenAPIResponse(description="It is gone.")
        self.check_version()


@dataclass
class Import(ApiOperation):
    """Bulk writing."""

    def describe(self) -> None:
        """Add the NDJSON body."""
        self.request_body = RequestBody(required=True, content={NDJSON: OpenAPIMediaType(schema=_LINES)})


@dataclass
class Export(ApiOperation):
    """Bulk reading."""

    def describe(self) -> None:
        """Add the NDJSON answer."""
        self.succeed("200", "The documents, by kind and key.", NDJSON, _LINES)


@dataclass
class Events(ApiOperation):
    """A stream of events."""

    def describe(self) -> None:
        """Add the answer, which is one event after another."""
        self.succeed("200", "The events, each with an `id`, as they happen.", MEDIA_TYPE, _EVENTS)


@dataclass
class Deciding(ApiOperation):
    """An operation whose answer is a promotion, also where it was not carried out."""

    alike: ClassVar[Mapping[str, str]] = {
        "409": "Not carried out: the promotion with its checks, conflicts and what changed, or a refusal."
    }

    def _refuse(self, statuses: Sequence[str]) -> None:
        assert self.responses is not None
        made = self.responses["201" if "201" in self.responses else "200"]
        assert isinstance(made, OpenAPIResponse)
        shown = (made.content or {})[JSON].schema
        super()._refuse([status for status in statuses if status not in self.alike])
        for status, description in self.alike.items():
            assert shown is not None
            schema = Schema(any_of=[shown, _REFUSAL]) if status == "409" else shown
            content = {JSON: OpenAPIMediaType(schema=schema)}
            self.responses[status] = OpenAPIResponse(description=description, content=content)


@dataclass
class Promoting(Deciding):
    """Promoting: done, under way, refused, or only looked at."""

    alike: ClassVar[Mapping[str, str]] = {
        "202": "It rolls out, or waits for approval.",
        "409": "A check failed or conflicts are open: the promotion, `blocked`; or a refusal.",
    }

    def describe(self) -> None:
        """Add the answer of a dry run."""
        self.succeed("200", "A dry run: checks, conflicts and resulting documents.", JSON, _ANY_JSON)
