"""Joins by key that the planner cannot turn into anything else.

Where it expects few rows, PostgreSQL may read all of a project again for each row of the other side. OFFSET 0
keeps the lookup a subquery of its own, where the whole key is used.
"""


def keyed(table: str, condition: str, join: str = "JOIN") -> str:
    """Return a join with the rows of ``table`` that ``condition`` finds by key, for each row to its left."""
    return f"{join} LATERAL (SELECT {table}.* FROM {table} WHERE {condition} OFFSET 0) {table} ON true"


def entity_of(table: str) -> str:
    """Return a join with the entity of each row of ``table``; ``$1`` is the project."""
    return keyed("entity", f"entity.project_id = $1 AND entity.uuid = {table}.entity_uuid")
