"""The promise to mirror, made by the very statement that writes to production.

The project's counter, which that statement locks anyway, says whether an environment mirrors production, and from
which version on a job is promised that has not begun yet. So a write costs no statement more, and many of them
promise one job.
"""

from app.domain.jobs import JobKind
from app.storage import queue
from app.storage.codec import encode_document


def payload(project_id: int, *, is_production: bool) -> bytes | None:
    """Return the argument that the parts below need: what the job is told, None for writes to other environments."""
    return encode_document({"project_id": project_id}) if is_production else None


def noting(parameter: str) -> str:
    """Return what ``UPDATE project_counter SET version = …`` is to set besides."""
    return (
        f"shadow_from = CASE WHEN shadowed AND {parameter}::bytea IS NOT NULL THEN coalesce(shadow_from, version + 1)"
        " ELSE shadow_from END"
    )


def promising(parameter: str, count: str) -> str:
    """Return the statement that adds the job if these ``count`` changes are the first of those it is promised for.

    It is a part of one that has the counter's new ``version`` and ``shadow_from`` as ``counted``.
    """
    return queue.insertion(
        JobKind.MIRROR_PRODUCTION,
        f"{parameter}::bytea",
        f"FROM counted WHERE {parameter}::bytea IS NOT NULL AND shadow_from = version - {count} + 1 RETURNING id",
    )
