"""The README's tour, run as it stands against a real ``strata demo``."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

import pytest

from tests.processes.served import Served, environment, served

README = Path(__file__).parent.parent / "README.md"
MARK = "--- end of command ---"


@dataclass(frozen=True)
class Example:
    """A command of the tour and what it says; ``…`` stands for anything."""

    command: str
    output: str

    def matches(self, said: str) -> bool:
        pattern = ".*".join(re.escape(part) for part in self.output.split("…"))
        return re.fullmatch(pattern, said.strip(), re.DOTALL) is not None


def _examples() -> Iterator[Example]:
    for block in re.findall(r"```console\n(.*?)```", README.read_text(), re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield Example(command, output.strip())


def _printed(server: Served, label: str) -> str:
    found = re.search(rf"{label} +(.+)", server.greeting)
    assert found is not None
    return found[1]


def _run(server: Served, examples: list[Example]) -> list[str]:
    settings = {"API": server.url, "PASSWORD": _printed(server, "Login").split()[-1]}
    script = "\n".join(f"{example.command}\necho; echo '{MARK}'" for example in examples)
    done = subprocess.run(
        ["bash", "-c", script], env=environment(settings), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    return done.stdout.split(MARK)[: len(examples)]


@pytest.fixture
def demo() -> Iterator[Served]:
    folder = Path(tempfile.mkdtemp(prefix="strata-test-"))
    folder.chmod(0o755)
    with served({"STRATA_DATA_DIR": str(folder / "data")}, "demo") as server:
        yield server
    rmtree(folder, ignore_errors=True)


def test_the_tour_is_what_happens(demo: Served) -> None:
    examples = [example for example in _examples() if not example.command.startswith("export ")]
    said = _run(demo, examples)
    wrong = [
        f"$ {example.command}\n{output.strip()}\nREADME: {example.output}"
        for example, output in zip(examples, said, strict=True)
        if not example.matches(output)
    ]
    assert not wrong, "\n\n".join(wrong)


def test_the_program_that_asks_for_a_flag(demo: Served) -> None:
    blocks: list[str] = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    (asking,) = [block for block in blocks if "openfeature" in block]
    program = asking.replace("http://127.0.0.1:8000", demo.url).replace("strata_…", _printed(demo, "API key"))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    promised = re.search(r"# (.+)", program)
    assert promised is not None
    assert done.stdout.strip() == promised[1]


def test_the_commands_that_the_demo_prints_work_as_printed(demo: Served) -> None:
    commands = re.findall(r"^  (curl .*)$", demo.greeting, re.MULTILINE)
    assert len(commands) == 2
    for command, expected in zip(commands, ('"payment_provider":"tochka"', '"config.new_feature":true'), strict=True):
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30, check=True)
        assert expected in done.stdout
