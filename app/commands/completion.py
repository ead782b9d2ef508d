"""``strata completion``: what makes a shell complete commands and options."""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script that has SHELL complete strata's commands and options.

    \b
    strata completion bash > ~/.local/share/bash-completion/completions/strata
    strata completion zsh > "${fpath[1]}/_strata"
    strata completion fish > ~/.config/fish/completions/strata.fish
    """
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(context.find_root().command, {}, "strata", "_STRATA_COMPLETE").source())
