"""Every call of both doors stands in the README with a test that there is."""

import re
from pathlib import Path

from graphql import build_schema
from litestar.routes import HTTPRoute

from app.main import create_app
from app.settings import Settings
from schema.root import schema_text

ROOT = Path(__file__).parent.parent
ROW = re.compile(r"^\| `([^`]+)` \| `(tests/[^`]+)::(test_\w+)` \|$", re.MULTILINE)


def _calls() -> set[str]:
    app = create_app(Settings(database_url="postgresql://nowhere/none"))
    rest = {
        f"{method} {route.path_format}"
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if handler.resolve_include_in_schema()
        for method in handler.http_methods
        if method not in ("HEAD", "OPTIONS")
    }
    schema = build_schema(schema_text())
    roots = {"query": schema.query_type, "mutation": schema.mutation_type, "subscription": schema.subscription_type}
    return rest | {f"{kind} {name}" for kind, root in roots.items() for name in (root.fields if root else ())}


def test_every_call_stands_in_the_readme_with_a_test_of_it() -> None:
    rows = ROW.findall((ROOT / "README.md").read_text())
    assert {call for call, _, _ in rows} == _calls()
    assert len({call for call, _, _ in rows}) == len(rows)
    gone = [f"{file}::{name}" for _, file, name in rows if not _has(file, name)]
    assert gone == []


def _has(file: str, name: str) -> bool:
    path = ROOT / file
    return path.exists() and re.search(rf"^(async )?def {name}\(", path.read_text(), re.MULTILINE) is not None
