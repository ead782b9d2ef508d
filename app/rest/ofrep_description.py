"""What the description of flags' routes says beyond their signatures."""

from dataclasses import dataclass
from typing import Final

from litestar.openapi.spec import OpenAPIHeader, OpenAPIMediaType, OpenAPIResponse, Parameter, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType

from app.rest.ofrep_answers import AGE_HEADER
from app.rest.operations import ApiOperation
from app.rest.parameter_shapes import CONTEXT
from app.rest.parameters import MAX_ID
from app.rest.request import JSON

PROJECT_HEADER: Final = "X-AgentStack-Project"
_AGE: Final = OpenAPIHeader(
    schema=Schema(type=OpenAPIType.INTEGER),
    description="How old what the server evaluated is, in milliseconds; at most a second.",
)
_PROJECT: Final = (
    Parameter(
        name=PROJECT_HEADER,
        param_in="header",
        required=False,
        schema=Schema(type=OpenAPIType.INTEGER, minimum=1, maximum=MAX_ID),
        description="The project's id, for a user's token; an API key implies it.",
    ),
    Parameter(
        name="project_id",
        param_in="query",
        required=False,
        schema=Schema(type=OpenAPIType.INTEGER, minimum=1, maximum=MAX_ID),
        description="The same as the header, which wins over it.",
    ),
)
_SEEN: Final = Parameter(
    name="flagConfigEtag",
    param_in="query",
    required=False,
    schema=Schema(type=OpenAPIType.STRING),
    description="The `etag` of the event that made the client ask again.",
)
_TAG: Final = Parameter(
    name="If-None-Match",
    param_in="header",
    required=False,
    schema=Schema(type=OpenAPIType.STRING),
    description="The `ETag` of the answer that the client has.",
)
_CONTEXT: Final = Schema(
    type=OpenAPIType.OBJECT,
    properties={
        "context": Schema(
            type=OpenAPIType.OBJECT,
            description="What is known of the user; `targetingKey` names it.",
            properties={"targetingKey": Schema(type=OpenAPIType.STRING, max_length=256)},
        )
    },
)


@dataclass
class Evaluating(ApiOperation):
    """Evaluating flags: the handlers read all by themselves."""

    def describe(self) -> None:
        """Add the body, the project and the environment."""
        self.parameters = [*(self.parameters or ()), *_PROJECT, *CONTEXT]
        self.request_body = RequestBody(required=False, content={JSON: OpenAPIMediaType(schema=_CONTEXT)})
        assert self.responses is not None
        answer = self.responses["200"]
        assert isinstance(answer, OpenAPIResponse)
        answer.headers = {AGE_HEADER: _AGE}


@dataclass
class EvaluatingAll(Evaluating):
    """Evaluating all flags."""

    def describe(self) -> None:
        """Add what makes it answer 304."""
        super().describe()
        assert self.parameters is not None
        self.parameters = [*self.parameters, _TAG, _SEEN]
        assert self.responses is not None
        self.responses["304"] = OpenAPIResponse(description="`If-None-Match` names this answer.")
