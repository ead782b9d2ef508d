"""The command line says how it is used, with examples that can be read."""

import shlex
import subprocess
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from app.cli import main

SPECIFIED = (
    "serve demo migrate worker project account token key import export export-schema sweep doctor backup restore"
).split()


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(_commands(main))


def test_all_commands_are_there() -> None:
    assert set(SPECIFIED) <= set(main.commands)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_has_an_example_that_can_be_read(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(main, [*path, "--help"])
    assert shown.exit_code == 0
    name = "strata " + " ".join(path)
    examples = [line for line in shown.output.splitlines() if name in line and not line.startswith("Usage")]
    assert examples, shown.output
    known = {option for parameter in COMMANDS[path].params for option in parameter.opts}
    for example in examples:
        words = shlex.split(example[example.index(name) :].replace("|", " | ").partition(" | ")[0].partition(")")[0])
        assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_what_prints_a_value_prints_it_as_json_too(path: tuple[str, ...]) -> None:
    # A stream of documents, a schema and a script have a form of their own; servers print where they are.
    if path[0] in ("serve", "demo", "worker", "export", "export-schema", "completion"):
        return
    assert "--json" in {option for parameter in COMMANDS[path].params for option in parameter.opts}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    script = CliRunner().invoke(main, ["completion", shell]).output
    assert "_STRATA_COMPLETE" in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
