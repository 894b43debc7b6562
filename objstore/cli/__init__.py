"""The command line: ``objstore``, and ``python -m objstore``.

Each command is a function in one of the rooms beside this one; it is listed here. Commands call
objstore's public face (globs, what is kept of files, and readable texts apart), and raise its
errors: ``options.py`` turns them into a line on stderr and an exit code. Folders: ``typed/``
reads what people type, ``screen/`` has what suits a terminal or a pipe, ``completion/`` what Tab
gives.
"""

from __future__ import annotations

import os

import click

from objstore.cli import (
    bench,
    buckets,
    checking,
    completing,
    copying,
    deleting,
    demo,
    listing,
    objects,
    serving,
    syncing,
    watching,
)
from objstore.cli.options import USAGE, Group
from objstore.version import __version__

__all__ = ["cli", "main"]


@click.group(
    cls=Group,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="objstore")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Files in NATS JetStream Object Store.

    The options here may also stand after the command.

    \b
    Examples:
      objstore demo                                    see it work, without a server
      objstore put photos cat.jpg --create             on $NATS_URL, or the local server
      objstore ls photos -l
      objstore get photos cat.jpg -o - | display
      objstore --embedded ./data put photos cat.jpg    without a server, kept in ./data

    \b
    Exit codes: 0 ok, 1 not found, 2 usage, 3 connection, 4 any other error.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(USAGE)


for _command in (
    listing.ls,
    listing.tree,
    listing.find,
    listing.du,
    objects.put,
    objects.get,
    objects.cat,
    copying.cp,
    copying.mv,
    deleting.rm,
    buckets.link,
    buckets.info,
    buckets.create,
    buckets.edit,
    deleting.rmb,
    buckets.status,
    deleting.seal,
    syncing.sync,
    syncing.check,
    watching.watch,
    checking.fsck,
    deleting.gc,
    serving.server,
    completing.completion,
    bench.bench,
    demo.demo,
):
    cli.add_command(_command)


def main() -> None:
    """Run the command line; ends the process."""
    if "_OBJSTORE_COMPLETE" in os.environ:  # Tab was pressed
        from objstore.cli.completion.shells import register

        register()
    cli.main()
