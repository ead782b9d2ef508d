"""Pages from templates: everything that comes from outside is escaped, and dates, values and states look alike."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from app.domain.model import Environment as StrataEnvironment
from app.domain.model import EnvStatus
from app.domain.pointer import format_dotted, format_pointer, parse_pointer
from app.domain.protected import shown
from app.domain.values import MISSING, State
from app.storage import codec

SHORT: Final = 400
"""Characters of a value that are shown in a row."""
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))


def render(template: str, context: Mapping[str, Any]) -> bytes:
    """Return the page that the template makes of ``context``."""
    return _templates.get_template(template).render(context).encode("utf-8", "replace")


def when(moment: datetime | None, otherwise: str = "never") -> Markup | str:
    """Return a moment as people say it, with the exact time on asking."""
    if moment is None:
        return otherwise
    exact = moment.astimezone(UTC)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        exact.isoformat(), exact.strftime("%d %b %Y, %H:%M:%S UTC"), _distance(exact, datetime.now(UTC))
    )


def _distance(moment: datetime, now: datetime) -> str:
    seconds = (moment - now).total_seconds()
    if abs(seconds) >= 30 * 86_400:
        return moment.strftime("%d %b %Y")
    for length, unit in _UNITS:
        if abs(seconds) >= length:
            amount = f"{round(abs(seconds) / length)} {unit}"
            return f"in {amount}" if seconds > 0 else f"{amount} ago"
    return "in a moment" if seconds > 0 else "just now"


def pretty(state: State) -> str:
    """Return JSON over several lines, numbers with their digits."""
    return "" if state is MISSING else "".join(_written(state, ""))


def _written(value: Any, indent: str) -> list[str]:
    deeper = indent + "  "
    if isinstance(value, dict) and value:
        members = [[deeper, codec.dumps(key), ": ", *_written(item, deeper)] for key, item in value.items()]
        return ["{\n", *_joined(members), "\n", indent, "}"]
    if isinstance(value, list) and value:
        return ["[\n", *_joined([[deeper, *_written(item, deeper)] for item in value]), "\n", indent, "]"]
    return [codec.dumps(value)]


def _joined(parts: Sequence[list[str]]) -> list[str]:
    joined: list[str] = []
    for number, part in enumerate(parts):
        joined += [",\n", *part] if number else part
    return joined


def compact(state: State, length: int = SHORT) -> str:
    """Return JSON on one line, cut where it is long; a dash for what is not there."""
    if state is MISSING:
        return "—"
    text = codec.encode_echo(state).decode()
    return text if len(text) <= length else f"{text[:length]}…"


def type_of(state: State) -> str:
    """Return what sort of value it is, in JSON's words."""
    if state is MISSING:
        return "nothing"
    if state is None:
        return "null"
    names = {bool: "boolean", int: "number", Decimal: "number", str: "string", list: "array", dict: "object"}
    return names[type(state)]


def words(name: object) -> str:
    """Return a name as people write it: ``rolling_out`` is "rolling out"."""
    return str(name).replace("_", " ")


def dotted(path: object) -> str:
    """Return a path as people read it: keys with dots between them, ``(all of it)`` for the whole document."""
    keys = tuple(path) if isinstance(path, list | tuple) else parse_pointer(str(path))
    return format_dotted(keys) or "(all of it)"


def query(**parameters: object) -> str:
    """Return a query string of what is given."""
    given = {name: value for name, value in parameters.items() if value is not None and value != ""}
    return f"?{urlencode(given)}" if given else ""


def percent(share: float | None) -> str:
    """Return a share as a percentage, a dash for None."""
    return "—" if share is None else f"{share * 100:.2f} %"


def is_living(environment: StrataEnvironment) -> bool:
    """Return whether an environment is not archived."""
    return environment.status is not EnvStatus.ARCHIVED


def _made() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).resolve().parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "when": when,
        "pretty": pretty,
        "compact": compact,
        "type_of": type_of,
        "words": words,
        "dotted": dotted,
        "percent": percent,
        "shown": shown,
    }
    made.tests |= {"living": is_living, "missing": lambda state: state is MISSING}
    made.globals |= {"query": query, "pointer": format_pointer}
    return made


_templates: Final = _made()
