"""The log: one JSON object a line, on standard error."""

import logging
import sys
import traceback
from typing import Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_FRAMES: Final = 20
_COMMON: Final[tuple[Processor, ...]] = (
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def configure_logging() -> None:
    """Log what this server says, and what libraries warn of, in one form."""
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, *_COMMON, structlog.processors.JSONRenderer()],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_COMMON, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _without_texts,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def _without_texts(_: WrappedLogger, __: str, said: EventDict) -> EventDict:
    """Leave of an exception its kind and the lines it came through: its text can quote what nobody may read."""
    given = said.pop("exc_info", None)
    if given is True:
        given = sys.exc_info()
    error = given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        frames = traceback.extract_tb(error.__traceback__, limit=-_FRAMES)
        said["exception"] = type(error).__qualname__
        said["frames"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return said
