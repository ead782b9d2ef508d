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
