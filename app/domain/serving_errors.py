"""Refusals of a server that is too busy, or that gave a request up; see ``errors.py`` for all others."""

from app.domain.errors import DomainError, Kind


class Overloaded(DomainError):
    """More work waits for the database than can be done soon; nothing was begun."""

    code, kind = "overloaded", Kind.UNAVAILABLE

    def __init__(self) -> None:
        super().__init__("The server has too much to do at the moment; nothing was done, try again.", retry_after=1)


class DeadlineExceeded(DomainError):
    """The request took too long; its statements were cancelled, and its transaction ended."""

    code, kind = "deadline_exceeded", Kind.UNAVAILABLE

    def __init__(self) -> None:
        super().__init__(
            "The request took too long and was given up. If it was to change something, look whether it did, or repeat"
            " it under the same idempotency key.",
            retry_after=1,
        )
