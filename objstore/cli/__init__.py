"""The command line: ``objstore``, and ``python -m objstore``.

Each command is a function in one of the rooms beside this one; it is listed here, and imported
when it is called: ``--help``, and Tab, need none of them. Commands call objstore's public face
(globs, what is kept of files, and readable texts apart), and raise its errors: ``options.py``
turns them into a line on stderr and an exit code. Folders: ``typed/`` reads what people type,
``screen/`` has what suits a terminal or a pipe, ``completion/`` what Tab gives.
"""

from __future__ import annotations

import os

import click

from objstore.cli.options import USAGE, Group
from objstore.version import __version__

__all__ = ["cli", "main"]

#: Every room's commands, and the first sentence of the docstring that each has there.
COMMANDS = {
    "listing": {
        "ls": "List buckets, or what is in one: folders first, then objects, of one level.",
        "tree": "Draw the folders of a bucket, and what is in them.",
        "find": "Find objects; those are printed for which all is true that is asked.",
        "du": "Tell how much the objects of each folder have: bytes, number, name.",
    },
    "objects": {
        "put": 'Store files as objects; FILE "-" is stdin, and needs a name.',
        "get": "Write an object into a file.",
        "cat": "Write objects to stdout, one after the other.",
    },
    "copying": {
        "cp": "Copy files into a bucket, objects into files, or objects to others.",
        "mv": "Move or rename files and objects: as cp, and then the source is deleted.",
    },
    "buckets": {
        "link": "Make a name lead to another object, or to a whole bucket.",
        "info": "Show all about an object, or about a bucket.",
        "create": "Create a bucket.",
        "edit": "Change a bucket's settings; what is not given stays as it is.",
        "status": "Show how a bucket is, and how its stream is on the server.",
    },
    "deleting": {
        "rm": "Delete objects.",
        "rmb": "Delete buckets, with all that is in them.",
        "seal": "Make a bucket unchangeable, for good; nobody can take that back.",
        "gc": "Remove chunks that no object owns, and old traces of deleted objects.",
    },
    "syncing": {
        "sync": "Make DST as SRC is: the contents of a folder or of a bucket.",
        "check": "Tell what differs between folders or buckets, and change nothing.",
    },
    "watching": {"watch": "Print each change of a bucket as it happens, until Ctrl-C."},
    "checking": {
        "fsck": "Read a whole bucket, or one object, and compare it with what was stored.",
    },
    "serving": {
        "server": "Run a private nats-server that keeps its data in DIR, until Ctrl-C.",
    },
    "completing": {
        "completion": "Print what lets a shell complete commands, buckets and objects with Tab.",
    },
    "bench": {"bench": "Measure puts, gets and listings on your own server."},
    "demo": {
        "demo": "Store real files in a server of its own, read them back, and check every byte.",
    },
}


@click.group(
    cls=Group,
    rooms=COMMANDS,
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
        # On stderr and no success: a script that forgot the command has done nothing.
        click.echo(ctx.get_help(), err=True)
        ctx.exit(USAGE)


def main() -> None:
    """Run the command line; ends the process."""
    if "_OBJSTORE_COMPLETE" in os.environ:  # Tab was pressed
        from objstore.cli.completion.shells import register

        register()
    cli.main()
