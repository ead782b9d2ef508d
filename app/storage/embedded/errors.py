class EmbeddedError(Exception):
    """The embedded PostgreSQL cannot be used; the message says why, and what to do about it."""


def last_lines(text: str, count: int = 15) -> str:
    """Return the last ``count`` lines of a program's output, indented so that they stand out in a message."""
    return "\n".join(f"    {line}" for line in text.strip().splitlines()[-count:])
