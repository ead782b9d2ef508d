"""Answers as JSON with exact numbers."""

from typing import Any, TypeVar

from litestar import Response
from litestar.serialization import default_serializer
from litestar.types import Serializer

from app.storage.codec import encode

T = TypeVar("T")


class JsonResponse(Response[T]):
    """A response whose JSON has decimals as numbers; Litestar's own writes them as strings."""

    def render(self, content: Any, media_type: str, enc_hook: Serializer = default_serializer) -> bytes:
        """Return the body; bytes go out as they are."""
        return content if isinstance(content, bytes) else encode(content)
