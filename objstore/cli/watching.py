"""``watch``: changes of a bucket as they happen."""

from __future__ import annotations

import os

import click

from objstore import ObjectInfo
from objstore.cli.completion import words as complete
from objstore.cli.options import Settings, command, pass_settings
from objstore.cli.screen import show
from objstore.cli.typed.places import place

__all__ = ["watch"]


@command()
@click.argument("where", metavar="BUCKET[:PREFIX]", shell_complete=complete.place)
@click.option("--all", "existing", is_flag=True, help="First what is there already.")
@click.option("--exec", "line", metavar="CMD", help="A shell command, run for each change.")
@pass_settings
def watch(settings: Settings, where: str, existing: bool, line: str | None) -> None:
    """Print each change of a bucket as it happens, until Ctrl-C.

    A command of --exec finds the facts in its environment: OBJSTORE_EVENT (put or delete),
    OBJSTORE_BUCKET, OBJSTORE_NAME, OBJSTORE_SIZE, OBJSTORE_DIGEST, OBJSTORE_MIME. One runs at a
    time, in the order of the changes; one that fails is told on stderr, and the watch goes on.

    \b
    Examples:
      objstore watch photos
      objstore watch photos:inbox/ --json
      objstore watch photos --exec 'echo "$OBJSTORE_EVENT $OBJSTORE_NAME"'
    """
    found = place(where)
    with settings.bucket(found.bucket) as store, store.watch(updates_only=not existing) as changes:
        for info in changes:
            # Not by the server: names are encoded in subjects, so that no pattern means a prefix.
            if not info.name.startswith(found.name):
                continue
            _print(info, settings)
            if line is not None:
                _run(line, info)


def _print(info: ObjectInfo, settings: Settings) -> None:
    event = _event(info)
    if settings.json:
        show.line(show.as_json({"event": event, **show.object_fields(info)}))
        return
    size = "-" if info.deleted else show.human_size(info.size)
    when = show.styled(show.local_time(info.mtime), show.DETAIL)
    what = show.styled(f"{event:6}", show.BAD if info.deleted else show.GOOD)
    show.line(f"{when}  {what}  {size:>10}  {show.shown(info.name)}")


def _event(info: ObjectInfo) -> str:
    return "delete" if info.deleted else "put"


def _run(line: str, info: ObjectInfo) -> None:
    facts = {
        "EVENT": _event(info),
        "BUCKET": info.bucket,
        "NAME": info.name,
        "SIZE": str(info.size),
        "DIGEST": info.digest,
        "MIME": info.mime or "",
    }
    # A NUL cannot be in an environment; no file's name has one either.
    env = {f"OBJSTORE_{name}": value.replace("\0", "") for name, value in facts.items()}
    import subprocess  # here: the other commands need none of it

    done = subprocess.run(line, shell=True, env={**os.environ, **env}, check=False)  # noqa: S602 - the user's own
    if done.returncode:
        show.complain(f"{info.name!r}: the command ended with {done.returncode}")
