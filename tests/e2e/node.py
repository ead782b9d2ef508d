"""Programs of node, with the packages that package.json names, or a reason to skip."""

import asyncio
import json
import shutil
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


def why_not() -> str | None:
    """Return what is missing here to run the programs, if anything is."""
    if shutil.which("node") is None:
        return "needs node"
    if not (HERE / "node_modules").is_dir():
        return "needs node's packages: run 'npm ci' in tests/e2e"
    return None


needs_node = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")


class Told:
    """What a program has said, line by line."""

    def __init__(self, process: Process) -> None:
        self.process = process

    async def next(self, *kinds: str, seconds: float = 20) -> tuple[str, Any]:
        """Return the next line of one of ``kinds``, leaving out the others."""
        assert self.process.stdout is not None
        while True:
            line = await asyncio.wait_for(self.process.stdout.readline(), seconds)
            assert line, "the program has ended"
            kind, value = json.loads(line)
            if kind in kinds:
                return kind, value


@asynccontextmanager
async def running(program: str, *arguments: str) -> AsyncIterator[Told]:
    """Run a program; it is ended with the block."""
    process = await asyncio.create_subprocess_exec("node", str(HERE / program), *arguments, stdout=PIPE)
    try:
        yield Told(process)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
