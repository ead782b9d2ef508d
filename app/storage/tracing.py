"""OpenTelemetry, where it is configured: spans of requests, statements and jobs. Nothing of it is loaded otherwise.

Names and codes only: neither documents nor the texts of queries are ever put into a span.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.trace import Tracer

_PARENT: Final = frozenset({b"traceparent", b"tracestate"})

_provider: TracerProvider | None = None
_tracer: Tracer | None = None


class TracingMissing(RuntimeError):
    """Tracing is configured, and the packages that it takes are not installed."""


def check() -> None:
    """Raises TracingMissing."""
    try:
        for name in ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http.trace_exporter"):
            import_module(name)
    except ImportError as error:
        raise TracingMissing("OpenTelemetry is configured but not installed: install 'strata[tracing]'.") from error


def start(processor: SpanProcessor | None = None) -> None:
    """Trace from now on; where to and how much of it, OpenTelemetry's own variables say (``OTEL_*``)."""
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider

    global _provider, _tracer
    _provider = TracerProvider(resource=Resource({SERVICE_NAME: "strata"}).merge(Resource.create()))
    _provider.add_span_processor(processor or _exporting())
    _tracer = _provider.get_tracer("strata")


def _exporting() -> SpanProcessor:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    return BatchSpanProcessor(OTLPSpanExporter())


def stop() -> None:
    """Send what is left, and trace no more."""
    global _provider, _tracer
    provider, _provider, _tracer = _provider, None, None
    if provider is not None:
        provider.shutdown()


def active() -> bool:
    """Return whether anything is traced."""
    return _tracer is not None


def under_way() -> bool:
    """Return whether this task is within a span: what happens regularly, for nobody, is none."""
    if _tracer is None:
        return False
    from opentelemetry.trace import get_current_span

    return get_current_span().is_recording()


class Traced:
    """A span that is under way, or nothing that takes the same calls."""

    def say(self, **facts: str | int | bool) -> None:
        """Put facts on the span; ``_`` in their names stands for a dot, ``__`` for ``_``."""
        if _tracer is not None:
            from opentelemetry.trace import get_current_span

            get_current_span().set_attributes(_named(facts))

    def rename(self, name: str) -> None:
        """Give the span the name that is known only now."""
        if _tracer is not None:
            from opentelemetry.trace import get_current_span

            get_current_span().update_name(name)


current: Final = Traced()
"""Whatever span is under way in this task."""


@contextmanager
def span(name: str, **facts: str | int | bool) -> Iterator[Traced]:
    """Have a span for the block; one that raises is marked, by the kind of its error alone."""
    if _tracer is None:
        yield current
        return
    from opentelemetry.trace import Status, StatusCode

    with _tracer.start_as_current_span(
        name, attributes=_named(facts), record_exception=False, set_status_on_exception=False
    ) as begun:
        try:
            yield current
        except BaseException as error:
            begun.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


@contextmanager
def request(headers: Iterable[tuple[bytes, bytes]], method: str) -> Iterator[Traced]:
    """Have a span for a request, a part of the caller's trace where it says one (W3C Trace Context)."""
    if _tracer is None:
        yield current
        return
    from opentelemetry.propagate import extract
    from opentelemetry.trace import SpanKind

    carrier = {name.decode(): value.decode("latin-1") for name, value in headers if name in _PARENT}
    with _tracer.start_as_current_span(
        method,
        extract(carrier),
        SpanKind.SERVER,
        {"http.request.method": method},
        record_exception=False,
        set_status_on_exception=False,
    ):
        yield current


def _named(facts: Mapping[str, str | int | bool]) -> dict[str, str | int | bool]:
    return {name.replace("__", "\0").replace("_", ".").replace("\0", "_"): value for name, value in facts.items()}
