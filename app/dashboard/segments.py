"""The segment builder: who belongs to a segment, put together rule by rule, and how many that are."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler

from app.dashboard.forms import Form
from app.dashboard.parameters import Here, ProjectId, UuidInQuery
from app.dashboard.rendering import query
from app.dashboard.visit import Problem, Visit
from app.domain.errors import DomainError, MalformedJson, ValidationFailed
from app.domain.json_text import check_storable, parse_json
from app.domain.rules import Operator
from app.domain.values import Value
from app.services import environments, segments
from app.services.documents import Expected
from app.services.segments import Preview, SegmentEntry
from app.storage import codec

ROWS: Final = 3
"""Rows of an empty builder."""
MAX_ROWS: Final = 50
_WORDS: Final = {
    Operator.EQ: "is",
    Operator.NEQ: "is not",
    Operator.IN: "is one of",
    Operator.NOT_IN: "is none of",
    Operator.GT: "is greater than",
    Operator.LT: "is less than",
    Operator.CONTAINS: "contains",
}
_LISTS: Final = frozenset({Operator.IN, Operator.NOT_IN})


@dataclass(frozen=True, slots=True)
class Row:
    """A condition as it is written in the form."""

    field: str = ""
    op: str = Operator.EQ.value
    value: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """A segment in the builder; a new one has no id. ``groups`` are rules that rows cannot say, as JSON."""

    segment_id: str
    name: str
    rows: list[Row]
    groups: str

    def rules(self) -> list[Value]:
        """Return the rules that are written. Raises ValidationFailed, MalformedJson, ValueNotStorable."""
        groups: Value = check_storable(parse_json(self.groups)) if self.groups.strip() else []
        if not isinstance(groups, list):
            raise ValidationFailed("Groups are a JSON array of rules.", field="groups")
        return [*(_rule(row) for row in self.rows if row.field.strip()), *groups]


def _rule(row: Row) -> Value:
    listed = row.op in _LISTS and not row.value.lstrip().startswith("[")
    value: Value = [_value(part) for part in row.value.split(",")] if listed else _value(row.value)
    return {"field": row.field.strip(), "op": row.op, "value": value}


def _value(text: str) -> Value:
    """Return the JSON value that a text is, or the text itself where it is none."""
    try:
        return check_storable(parse_json(text))
    except MalformedJson:
        return text.strip()


def _written(value: Value) -> str:
    plain = isinstance(value, str) and value == value.strip() and "," not in value and _value(value) == value
    return str(value) if plain else codec.dumps(value)


def draft_of(form: Form) -> Draft:
    """Return what is written in the builder."""
    count = min(form.integer("rows") or ROWS, MAX_ROWS)
    rows = [
        Row(form.text(f"field-{number}"), form.text(f"op-{number}", Operator.EQ.value), form.text(f"value-{number}"))
        for number in range(count)
    ]
    return Draft(form.text("segment_id"), form.text("name"), rows, form.text("groups"))


def draft_of_segment(segment: SegmentEntry) -> Draft:
    """Return a segment as the builder shows it."""
    rows: list[Row] = []
    groups: list[Value] = []
    for rule in segment.rules:
        if isinstance(rule, dict) and rule.keys() == {"field", "op", "value"}:
            rows.append(Row(str(rule["field"]), str(rule["op"]), _written(rule["value"])))
        else:
            groups.append(rule)
    return Draft(str(segment.segment_id), segment.name, [*rows, Row()], codec.dumps(groups) if groups else "")


@get("/projects/{project_id:int}/segments")
async def segments_page(
    visit: Here, project_id: ProjectId, env: UuidInQuery = None, edit: UuidInQuery = None
) -> Response[bytes]:
    """Show the segments of an environment, production's without one, and the builder."""
    return await _show(visit, project_id, env, edit)


async def _show(
    visit: Visit,
    project_id: int,
    env: UUID | None,
    edit: UUID | None = None,
    *,
    draft: Draft | None = None,
    matching: Preview | None = None,
    problem: Problem | None = None,
) -> Response[bytes]:
    shell = await visit.shell(project_id)
    chosen = await environments.get(visit.actor, env or shell.project.production_uuid, project_id)
    found = await segments.list_segments(visit.actor, project_id, str(chosen.uuid))
    if draft is None:
        draft = next((draft_of_segment(item) for item in found.segments if item.segment_id == edit), None)
    return visit.page(
        "segments.html",
        shell=shell,
        section="segments",
        chosen=chosen,
        version=found.version,
        segments=found.segments,
        draft=draft or Draft("", "", [Row()] * ROWS, ""),
        operators=_WORDS,
        matching=matching,
        problem=problem,
    )


@post("/projects/{project_id:int}/segments")
async def build(visit: Here, project_id: ProjectId) -> Response[bytes]:
    """Count who matches what is written, add a row, or save the segment."""
    form = visit.form
    draft, env = draft_of(form), None
    try:
        env = form.uuid("env")
        if form.text("do") == "row":
            longer = Draft(draft.segment_id, draft.name, [*draft.rows, Row()], draft.groups)
            return await _show(visit, project_id, env, draft=longer)
        rules = draft.rules()
        if form.text("do") == "preview":
            matching = await segments.preview(visit.actor, project_id, form.given("env"), rules=rules)
            return await _show(visit, project_id, env, draft=draft, matching=matching)
        await _save(visit, project_id, draft, rules)
    except DomainError as error:
        return await _show(visit, project_id, env, draft=draft, problem=Problem("segment", error, form))
    return visit.to(f"/projects/{project_id}/segments{query(env=env)}", f"The segment {draft.name} is saved.")


async def _save(visit: Visit, project_id: int, draft: Draft, rules: list[Value]) -> None:
    env, expected = visit.form.given("env"), Expected(version=visit.form.given("version"))
    segment_id = visit.form.uuid("segment_id")
    if segment_id is None:
        await segments.create(visit.actor, project_id, env, draft.name, rules, expected=expected)
        return
    await segments.update(visit.actor, project_id, env, segment_id, name=draft.name, rules=rules, expected=expected)


@post("/projects/{project_id:int}/segments/delete")
async def delete(visit: Here, project_id: ProjectId) -> Response[bytes]:
    """Take a segment out of the project document."""
    form, env = visit.form, None
    try:
        env = form.uuid("env")
        unwanted, expected = form.uuid("segment_id"), Expected(version=form.given("version"))
        if unwanted is None:
            raise ValidationFailed("Name a segment.", field="segment_id")
        await segments.delete(visit.actor, project_id, form.given("env"), unwanted, expected=expected)
    except DomainError as error:
        return await _show(visit, project_id, env, problem=Problem("delete", error, form))
    return visit.to(f"/projects/{project_id}/segments{query(env=env)}", "The segment is deleted.")


def segment_pages() -> list[HTTPRouteHandler]:
    """Return the pages of segments."""
    return [segments_page, build, delete]
