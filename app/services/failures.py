"""What nobody expected: logged so that it can be found, without a word of what a user wrote."""

import traceback

import structlog

_log = structlog.get_logger("strata")
_FRAMES = 20


def log_failure(error: BaseException, request_id: str, **where: object) -> None:
    """Log the kind of an unexpected error and the lines it came through.

    Neither its text nor the request is logged: both can quote a document, a query or a secret.
    """
    frames = traceback.extract_tb(error.__traceback__, limit=-_FRAMES)
    _log.error(
        "request failed",
        request_id=request_id,
        exception=type(error).__qualname__,
        frames=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
        **where,
    )
