"""``completion``: the script that lets a shell complete words."""

from __future__ import annotations

import click

from objstore.cli.options import command
from objstore.cli.screen import show

__all__ = ["completion"]


@command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what lets a shell complete commands, buckets and objects with Tab.

    \b
    In ~/.bashrc, ~/.zshrc (after compinit) and ~/.config/fish/config.fish:
      eval "$(objstore completion bash)"
      eval "$(objstore completion zsh)"
      objstore completion fish | source

    \b
    Examples:
      objstore completion bash
    """
    # Here: a shell asks for its script once, and all other commands need none.
    from objstore.cli.completion.shells import SHELLS

    root = click.get_current_context().find_root()
    script = SHELLS[shell](root.command, {}, "objstore", "_OBJSTORE_COMPLETE").source()
    show.lines(script.splitlines())
