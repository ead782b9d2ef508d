"""What the inputs of all mutations have in common."""

import strawberry


@strawberry.input
class MutationInput:
    """What the input of every mutation has."""

    idempotency_key: str | None = strawberry.field(
        default=None,
        description="A name for this request, 1 to 255 visible ASCII characters, such as a random UUID: asked again"
        " within 24 hours, it is not done again but answered as the first time. Left out: done each time.",
    )


@strawberry.input
class ContextInput(MutationInput):
    """What the input of a mutation has that goes to the environment it names, or else to the request's."""

    project_id: int | None = strawberry.field(
        default=None, description="Number of the project; may be left out where `envUuid` or the API key says it."
    )
