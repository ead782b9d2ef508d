"""What a person chooses when promoting: how, which documents, and how conflicts are settled."""

import json
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation

from app.dashboard.forms import Form
from app.domain.errors import ValidationFailed
from app.domain.json_text import check_storable, parse_json
from app.domain.model import Strategy
from app.domain.promotion import DocumentConflict, DocumentPaths, DocumentResolution
from app.domain.three_way import Side
from app.domain.values import MISSING, State, Value
from app.services.promoting import PromoteOptions

DELETE = "delete"
VALUE = "value"


def options(form: Form) -> PromoteOptions:
    """Return how to promote. Raises ValidationFailed, MalformedJson, ValueNotStorable."""
    strategy = form.text("strategy", Strategy.IMMEDIATE.value)
    if strategy not in tuple(Strategy):
        raise ValidationFailed("There is no such strategy.", field="strategy")
    steps = form.given("steps") if strategy == Strategy.CANARY else None
    return PromoteOptions(
        strategy=Strategy(strategy),
        rollout_steps=_steps(form, steps) if steps else None,
        paths=_chosen(form),
        resolutions=resolutions(form),
        message=form.given("message"),
        override_freeze=form.text("override_freeze") == "on",
    )


def _steps(form: Form, text: str) -> list[Value]:
    """Return rollout steps written as ``5:10, 25:60, 100``: percent, and minutes until the next."""
    return [_step(form, part.strip()) for part in text.replace(";", ",").split(",") if part.strip()]


def _step(form: Form, text: str) -> Value:
    weight, _, minutes = text.replace("%", "").partition(":")
    try:
        step: dict[str, Value] = {"weight": int(weight), "pause_minutes": _number(minutes or "0")}
    except (ValueError, InvalidOperation):
        raise ValidationFailed(
            f"{text[:40]!r} is no step; write a percentage, a colon and minutes, as in 25:60.", field="steps"
        ) from None
    if form.text("auto_advance") == "on":
        step["auto_advance"] = True
    return step


def _number(text: str) -> Value:
    number = Decimal(text.strip())
    if not number.is_finite():
        raise ValueError(text)
    return int(number) if number == number.to_integral_value() else number


def steps_text(steps: list[Value]) -> str:
    """Return rollout steps as the form has them."""
    written = []
    for step in steps:
        if isinstance(step, dict):
            pause = step.get("pause_minutes", 0)
            written.append(f"{step.get('weight')}:{pause}" if pause else f"{step.get('weight')}")
    return ", ".join(written)


def document_field(kind: str, key: str, path: str = "") -> str:
    """Return what a field holds that stands for a document, or for a place in it."""
    return json.dumps([kind, key, path])


def _document(field: str) -> tuple[str, str, str]:
    try:
        named = json.loads(field)
    except ValueError:
        named = None
    if not isinstance(named, list) or len(named) != 3 or not all(isinstance(part, str) for part in named):
        raise ValidationFailed("The form names a document that cannot be read.")
    kind, key, path = named
    return kind, key, path


def _chosen(form: Form) -> list[DocumentPaths] | None:
    """Return the documents that were ticked; None for all that there were."""
    ticked, offered = form.all("carry"), form.all("offered")
    if "offered" not in form or len(ticked) == len(offered):
        return None
    if not ticked:
        raise ValidationFailed("Choose at least one document.", field="carry")
    return [DocumentPaths(kind, key, [path]) for kind, key, path in map(_document, ticked)]


def resolutions(form: Form) -> list[DocumentResolution]:
    """Return how the conflicts were settled that somebody has settled. Raises ValidationFailed, MalformedJson."""
    return list(_resolutions(form))


def _resolutions(form: Form) -> Iterator[DocumentResolution]:
    for number, field in enumerate(form.all("conflict")):
        take = form.text(f"take-{number}")
        if not take:
            continue
        kind, key, path = _document(field)
        state: State = MISSING
        if take == VALUE:
            state = check_storable(parse_json(form.text(f"value-{number}")))
        elif take not in (DELETE, *Side):
            raise ValidationFailed("A conflict is settled by a side, by deleting, or by a value.", field="take")
        side = Side(take) if take in tuple(Side) else None
        yield DocumentResolution(kind, key, path, side, state, form.given(f"triple-{number}"))


def as_fields(conflicts: list[DocumentConflict]) -> list[tuple[str, DocumentConflict]]:
    """Return each conflict with the field that stands for it."""
    return [(document_field(item.kind, item.key, item.path), item) for item in conflicts]
