"""Which media type a client gets (GraphQL-over-HTTP draft, "Media Types")."""

from collections.abc import Mapping
from typing import Final

GRAPHQL_RESPONSE: Final = "application/graphql-response+json"
JSON: Final = "application/json"
EVENT_STREAM: Final = "text/event-stream"
_HTML: Final = "text/html"


def wants_page(method: str, accept: str | None, has_query: bool) -> bool:
    """Return whether a browser asks for a page rather than for an answer."""
    return method == "GET" and not has_query and _HTML in _ranges(accept)


def negotiate(accept: str | None) -> str | None:
    """Return the media type to answer with, None if the client takes none of ours.

    Who does not care gets ``application/json``; of two named alike, the one that was made for GraphQL.
    """
    ranges = _ranges(accept) or {"*/*": 1.0}
    best = max((JSON, GRAPHQL_RESPONSE), key=lambda ours: (_quality(ours, ranges), ours in ranges, ours == JSON))
    if _quality(GRAPHQL_RESPONSE, ranges) == _quality(JSON, ranges) and GRAPHQL_RESPONSE in ranges:
        best = GRAPHQL_RESPONSE
    return best if _quality(best, ranges) > 0 else None


def wants_events(accept: str | None) -> bool:
    """Return whether a stream of events is what the client likes best, and not only takes as well."""
    ranges = _ranges(accept)
    liked = ranges.get(EVENT_STREAM, 0.0)
    return liked > 0 and liked >= max(ranges.values()) and next(iter(ranges)) == EVENT_STREAM


def _quality(media_type: str, ranges: Mapping[str, float]) -> float:
    for name in (media_type, "application/*", "*/*"):
        if name in ranges:
            return ranges[name]
    return 0.0


def _ranges(accept: str | None) -> dict[str, float]:
    ranges = {}
    for item in (accept or "").split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        if name:
            ranges[name] = _weight(parameters)
    return ranges


def _weight(parameters: list[str]) -> float:
    text = next((parameter[2:] for parameter in parameters if parameter.startswith("q=")), "1")
    try:
        return float(text)
    except ValueError:
        return 0.0
