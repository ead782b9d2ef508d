"""What a person has filled in."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qs
from uuid import UUID

from app.domain.errors import BadRequest, ValidationFailed
from app.domain.json_text import check_storable, parse_json
from app.domain.values import Value

MAX_FIELDS: Final = 20_000


class Form:
    """The fields of a form by their names; a field that was not sent is empty."""

    def __init__(self, fields: Mapping[str, Sequence[str]]) -> None:
        self._fields = fields

    @classmethod
    def read(cls, body: bytes) -> "Form":
        """Return the form in a body of ``application/x-www-form-urlencoded``. Raises BadRequest."""
        try:
            fields = parse_qs(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
        except ValueError:
            raise BadRequest("The form cannot be read.") from None
        return cls(fields)

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def text(self, name: str, default: str = "") -> str:
        """Return a field, lines ending as they do everywhere but in forms."""
        values = self._fields.get(name)
        return values[0].replace("\r\n", "\n") if values else default

    def given(self, name: str) -> str | None:
        """Return a field without white space around it; None if there is nothing else in it."""
        return self.text(name).strip() or None

    def all(self, name: str) -> list[str]:
        """Return all fields of a name."""
        return list(self._fields.get(name, ()))

    def integer(self, name: str) -> int | None:
        """Return a whole number, None for an empty field. Raises ValidationFailed."""
        text = self.given(name)
        if text is None:
            return None
        if not text.isascii() or not text.isdigit() or len(text) > 15:
            raise ValidationFailed(f"{text[:40]!r} is not a whole number.", field=name)
        return int(text)

    def uuid(self, name: str) -> UUID | None:
        """Return a UUID, None for an empty field. Raises ValidationFailed."""
        text = self.given(name)
        try:
            return UUID(text) if text else None
        except ValueError:
            raise ValidationFailed("This names nothing.", field=name) from None

    def moment(self, name: str) -> datetime | None:
        """Return a time in UTC, None for an empty field. Raises ValidationFailed."""
        text = self.given(name)
        try:
            found = datetime.fromisoformat(text) if text else None
        except ValueError:
            raise ValidationFailed(f"{(text or '')[:40]!r} is not a time.", field=name) from None
        return found.replace(tzinfo=UTC) if found is not None and found.tzinfo is None else found

    def json(self, name: str) -> Value:
        """Return the JSON value that was written, numbers with their digits. Raises MalformedJson, ValueNotStorable."""
        return check_storable(parse_json(self.text(name)))


EMPTY: Final = Form({})
