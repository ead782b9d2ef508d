"""The tree of generations, drawn: a row for each environment, from left to right its generations."""

from dataclasses import dataclass
from uuid import UUID

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from app.dashboard.parameters import Flag, Here, ProjectId
from app.domain.model import Environment, EnvStatus, Generation
from app.services import tree
from app.services.tree import TreeNode

ROW = 34
STEP = 46
MARGIN = 23


@dataclass(frozen=True, slots=True)
class Dot:
    """A generation at its place, in pixels; ``is_head``: its environment stands on it."""

    generation: Generation
    x: int
    y: int
    is_head: bool


@dataclass(frozen=True, slots=True)
class Lane:
    """An environment's row. ``depth`` is how many environments it was forked through."""

    environment: Environment
    depth: int
    dots: list[Dot]


@dataclass(frozen=True, slots=True)
class Picture:
    """The drawing: rows, the lines between generations as SVG paths, and its size in pixels."""

    lanes: list[Lane]
    lines: list[str]
    width: int
    height: int


def draw(nodes: list[TreeNode]) -> Picture:
    """Return the drawing of a tree whose nodes come parents first.

    A generation's column is its number, so that all that was forked equally often stands in one; environments follow
    the one that they were forked from.
    """
    by_environment: dict[UUID, list[TreeNode]] = {}
    for node in nodes:
        by_environment.setdefault(node.environment.uuid, []).append(node)
    lanes = [
        _lane(by_environment[uuid], depth, row * ROW + ROW // 2)
        for row, (uuid, depth) in enumerate(_ordered(by_environment))
    ]
    places = {dot.generation.uuid: dot for lane in lanes for dot in lane.dots}
    lines = [
        _line(places[dot.generation.parent_uuid], dot)
        for dot in places.values()
        if dot.generation.parent_uuid in places
    ]
    width = max((dot.x for dot in places.values()), default=0) + MARGIN
    return Picture(lanes, lines, width, len(lanes) * ROW)


def _ordered(by_environment: dict[UUID, list[TreeNode]]) -> list[tuple[UUID, int]]:
    """Return the environments with their depths, each followed by those that were forked from it."""
    children: dict[UUID | None, list[UUID]] = {}
    for uuid, nodes in by_environment.items():
        parent = nodes[0].environment.parent_uuid
        children.setdefault(parent if parent in by_environment else None, []).append(uuid)
    ordered = []
    waiting = [(uuid, 0) for uuid in reversed(children.get(None, []))]
    while waiting:
        uuid, depth = waiting.pop()
        ordered.append((uuid, depth))
        waiting += [(child, depth + 1) for child in reversed(children.get(uuid, []))]
    return ordered


def _lane(nodes: list[TreeNode], depth: int, y: int) -> Lane:
    environment = nodes[0].environment
    dots = [
        Dot(node.generation, node.generation.number * STEP + MARGIN, y, node.generation.uuid == environment.head_uuid)
        for node in nodes
    ]
    return Lane(environment, depth, dots)


def _line(start: Dot, end: Dot) -> str:
    if start.y == end.y:
        return f"M{start.x} {start.y}H{end.x}"
    return f"M{start.x} {start.y}V{end.y - 10}Q{start.x} {end.y} {start.x + 10} {end.y}H{end.x}"


@get("/projects/{project_id:int}/tree")
async def tree_page(visit: Here, project_id: ProjectId, archived: Flag = False) -> Response[bytes]:
    """Show the tree of generations; archived environments where something stands on them, or all of them."""
    shell = await visit.shell(project_id)
    nodes = await tree.tree(visit.actor, project_id)
    shown = nodes if archived else _without_archived(nodes)
    return visit.page(
        "tree.html",
        shell=shell,
        section="tree",
        picture=draw(shown),
        archived=archived,
        hidden=len(nodes) - len(shown),
        total=len(nodes),
    )


def _without_archived(nodes: list[TreeNode]) -> list[TreeNode]:
    """Return the nodes without the archived environments that no living one comes from."""
    kept: set[UUID] = set()
    for node in nodes:
        if node.environment.status is not EnvStatus.ARCHIVED:
            kept.update(node.generation.ancestors)
    return [node for node in nodes if node.generation.uuid in kept]


def tree_pages() -> list[HTTPRouteHandler]:
    """Return the page of the tree."""
    return [tree_page]
