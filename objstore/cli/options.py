"""What all commands share: the global options, connecting, and what becomes of errors.

Exit codes: 0 ok, 1 not found, 2 usage, 3 connection, 4 any other error, 130 Ctrl-C.
"""

from __future__ import annotations

import functools
import itertools
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

import objstore
from objstore.cli.screen import show
from objstore.cli.screen.bars import Bar
from objstore.cli.typed.hints import (
    nearest,
    remember,
    unknown_command,
    unknown_option,
    without_h,
    without_secrets,
)

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

#: So many buckets are looked through for one of nearly the name that is not there.
SEEN = 1000

OK, NOT_FOUND, USAGE, CONNECTION, OTHER, INTERRUPTED = 0, 1, 2, 3, 4, 130

#: The first entry that fits decides; what fits none is :data:`OTHER`.
_CODES: list[tuple[tuple[type[Exception], ...], int]] = [
    ((click.ClickException,), USAGE),
    ((objstore.ObjectNotFoundError, objstore.BucketNotFoundError), NOT_FOUND),
    (
        (
            objstore.InvalidNameError,
            objstore.InvalidOptionError,
            objstore.InvalidPayloadError,
            objstore.PayloadFileError,
        ),
        USAGE,
    ),
    (
        (
            objstore.ConnectionLostError,
            objstore.AuthorizationError,
            objstore.ServerStartError,
            objstore.RequestTimeoutError,
        ),
        CONNECTION,
    ),
]


# --- the global options


@dataclass
class Settings:
    """The global options, wherever they stood on the line.

    Attributes:
        server, context, creds, embedded: where the buckets are.
        json: print JSON.
        debug: print tracebacks.
    """

    server: str | None = None
    context: str | None = None
    creds: str | None = None
    embedded: str | None = None
    json: bool = False
    debug: bool = False

    def take(self, name: str, value: str | bool | None) -> None:
        """Note an option, from before or after the command.

        Raises:
            click.UsageError: it stood in both places, with different values.
        """
        if value is None or value is False:
            return
        if getattr(self, name) not in (None, False, value):
            raise click.UsageError(f"--{name} is given twice, with different values")
        setattr(self, name, value)

    def check(self) -> None:
        """See that the options do not contradict each other.

        Raises:
            click.UsageError: they do.
        """
        if self.embedded is not None:
            self.refuse("--embedded starts a server of its own", _WHERE[:3])
        if self.context is not None:
            self.refuse("--context says where the server is", ("server", "creds"))

    def refuse(self, why: str, options: tuple[str, ...]) -> None:
        """Refuse options.

        Raises:
            click.UsageError: one of them was given.
        """
        for name in options:
            if getattr(self, name) is not None:
                raise click.UsageError(f"{why}: it does not go together with --{name}")

    def creates(self, *, asked: bool) -> bool:
        """Tell whether a missing bucket is made: if --create asks for it, or it is --embedded."""
        return asked or self.embedded is not None

    @property
    def bars(self) -> bool:
        """Whether progress bars are shown: to people only."""
        return not self.json and sys.stderr is not None and sys.stderr.isatty()

    def bar(self, title: str = "") -> Bar:
        """Make the one bar of a command; of one object, with its title."""
        return Bar(self.bars, title)

    def connect(self, **limits: Any) -> objstore.Client:
        """Connect to the server that the options name, or start the embedded one.

        Arguments:
            limits: ``timeout`` and ``reconnect_timeout``, as of ``objstore.connect``.
        """
        if self.embedded is not None:
            return objstore.local(self.embedded)
        login: dict[str, Any] = {"credentials": self.creds, "context": self.context}
        return objstore.connect(self.server, **login, **limits)

    @contextmanager
    def bucket(self, name: str, *, create: bool = False) -> Iterator[objstore.ObjectStore]:
        """Connect, and open a bucket."""
        with self.connect() as client:
            yield client.object_store(name, create=create)

    @contextmanager
    def buckets(self) -> Iterator[Callable[[str], objstore.ObjectStore]]:
        """Connect, and give a function that opens a bucket of that name, each once."""
        with self.connect() as client:
            yield functools.cache(partial(client.object_store, create=False))

    def confirm(self, question: str, *, force: bool) -> None:
        """Ask before something is destroyed, where a person can answer: on a terminal.

        Raises:
            click.exceptions.Exit: the answer is no.
        """
        if force or sys.stdin is None or not sys.stdin.isatty():
            return
        if not click.confirm(show.printable(question), err=True):
            raise click.exceptions.Exit(OTHER)

    @property
    def says_where(self) -> bool:
        """Whether it was said where the server is."""
        return any((self.server, self.context, self.embedded, os.environ.get("NATS_URL")))

    def similar_bucket(self, name: str) -> str | None:
        """Look for a bucket with nearly that name; None: there is none, or nobody says so."""
        with (
            suppress(objstore.ObjStoreError),
            self.connect(timeout=2, reconnect_timeout=0) as client,
        ):
            names = [each.bucket for each in itertools.islice(client.list_stores(), SEEN)]
            return nearest(name, names)
        return None

    def line_to_create(self, bucket: str) -> str:
        """Return the line that creates a bucket where these options lead, without secrets."""
        words = ["objstore"]
        for name in ("server", "context", "creds", "embedded"):
            value = getattr(self, name)
            if value is not None:
                words += [f"--{name}", without_secrets(value) if name == "server" else value]
        return shlex.join([*words, "create", bucket])


#: The options that say where the server is.
_WHERE = ("server", "context", "creds", "embedded")


def _take(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    ctx.ensure_object(Settings).take(str(param.name), value)


def _global_options() -> list[click.Option]:
    """Make the global options, for the group and for each command."""
    option = partial(click.Option, expose_value=False, callback=_take)
    file = click.Path(exists=True, dir_okay=False)
    return [
        option(["--server"], metavar="URL", help="The server. [default: $NATS_URL, or local]"),
        option(
            ["--context"],
            metavar="NAME",
            help="A context of the nats command line. [$NATS_CONTEXT]",
        ),
        option(
            ["--creds"],
            metavar="FILE",
            type=file,
            help="A .creds file to log in with. [$NATS_CREDS]",
        ),
        option(
            ["--embedded"],
            metavar="DIR",
            type=click.Path(file_okay=False),
            help="No server: keep the data in DIR, by a nats-server run for this command.",
        ),
        option(["--json"], is_flag=True, help="Print JSON."),
        option(["--debug"], is_flag=True, help="Print the traceback of an error."),
    ]


class Command(click.Command):
    """A command that takes the global options too.

    Arguments:
        own_server: why it makes no sense to say where the server is; the options that do are
            refused with that, and not in the help. ``""``: it makes sense.
    """

    def __init__(self, *args: Any, own_server: str = "", **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.own_server = own_server
        options = _global_options()
        for option in options if own_server else ():
            option.hidden = option.name in _WHERE
        self.params.extend(options)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the line; other tools' options for the same get a hint.

        Raises:
            click.UsageError: it cannot be read.
        """
        try:
            return super().parse_args(ctx, without_h(self.name, args))
        except click.NoSuchOption as error:
            # click reads find's -name as -n -a -m -e, and complains of the first.
            name = "-name" if "-name" in args else error.option_name
            hint = unknown_option(name)
            if hint is None:
                raise
            raise click.UsageError(hint, ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run it, if the options make sense."""
        settings = ctx.ensure_object(Settings)
        settings.check()
        if self.own_server:
            settings.refuse(self.own_server, _WHERE)
        return super().invoke(ctx)


def command(own_server: str = "") -> Callable[[Callable[..., Any]], Command]:
    """Make a function a command, named after it; see :class:`Command`."""
    return click.command(
        cls=Command,
        own_server=own_server,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


pass_settings = click.make_pass_decorator(Settings)

create_option = click.option("--create", is_flag=True, help="Create the bucket if there is none.")


def words_argument(metavar: str, complete: Callable[..., list[str]]) -> Callable[..., Any]:
    """Give a command the words behind it, one at least, as ``words``.

    Arguments:
        metavar: how they stand in the help.
        complete: what Tab offers for one of them.
    """
    # Not an argument for each: an object is one word or two, which click could not tell.
    return click.argument(
        "words", metavar=metavar, nargs=-1, required=True, shell_complete=complete
    )


class Group(click.Group):
    """The commands: the global options before them, and the one place where errors end.

    Arguments:
        rooms: the modules beside this one, each with the names of its commands and what each of
            them does. They are imported when a command of theirs is called: all of them together
            take 40 ms.
    """

    def __init__(
        self, *args: Any, rooms: Mapping[str, Mapping[str, str]], **attributes: Any
    ) -> None:
        super().__init__(*args, **attributes)
        self.params.extend(_global_options())
        self.rooms = {name: room for room, commands in rooms.items() for name in commands}
        self.summaries = {name: text for each in rooms.values() for name, text in each.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the names of all commands."""
        return sorted(self.rooms)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None: there is none of that name."""
        if cmd_name not in self.rooms:
            return None
        room = import_module(f"objstore.cli.{self.rooms[cmd_name]}")
        found: click.Command = getattr(room, cmd_name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a line for each command, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(self.summaries.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer commands, without importing any, and options."""
        from click.shell_completion import CompletionItem  # where click imports it, too

        found = [
            CompletionItem(name, help=text)
            for name, text in sorted(self.summaries.items())
            if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the words for hints, and take the options before the command."""
        remember(ctx, args)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; other tools' words for it get a hint.

        Raises:
            click.UsageError: there is no such command.
        """
        name = args[0]
        if name not in self.rooms and not name.startswith("-"):
            raise click.UsageError(unknown_command(name, args[1:], self.rooms), ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. A reader that has seen enough (``| head``) is not an error."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            show.silence_stdout()
            return OK

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command line, and end the process with its exit code."""
        settings = Settings()
        # Not standalone: click would print errors its own way, and end with its own codes.
        extra.update(prog_name="objstore", obj=settings, standalone_mode=False)
        sys.exit(_exit_code(partial(super().main, *args, **extra), settings))


# --- errors


def _exit_code(run: Callable[[], Any], settings: Settings) -> int:
    try:
        code = run()
        if sys.stdout is not None:
            # Here, where a full disk is told of: at the interpreter's exit it is a traceback.
            sys.stdout.flush()
        return code if isinstance(code, int) else OK
    except click.exceptions.Abort:  # Ctrl-C; click has ended the line
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last one who can tell the user
        show_error(error, settings)
        if isinstance(error, OSError):  # perhaps stdout's own: a full disk
            show.silence_unless_writable()
        return next((code for kinds, code in _CODES if isinstance(error, kinds)), OTHER)


def show_error(error: Exception, settings: Settings) -> None:
    """Tell of an error on one line; with --debug, and if it is a bug, with its traceback."""
    expected = isinstance(error, (click.ClickException, objstore.ObjStoreError, OSError))
    if settings.debug or not expected:
        text = "".join(traceback.format_exception(error))
        # As bytes: a traceback may hold names that the terminal's encoding has no letters for.
        click.echo(text.encode("utf-8", "backslashreplace"), err=True, nl=False)
    show.complain(_message(error, settings))


def _message(error: Exception, settings: Settings) -> str:
    if isinstance(error, click.ClickException):
        ctx = getattr(error, "ctx", None)
        path = "objstore" if ctx is None else ctx.command_path
        return f"{error.format_message()} (`{path} --help` says more)"
    if isinstance(error, objstore.BucketNotFoundError) and error.bucket:
        similar = settings.similar_bucket(error.bucket)
        found = f"; there is {similar}; else" if similar else ";"
        return f"{error}{found} create it with: {settings.line_to_create(error.bucket)}"
    if isinstance(error, objstore.ConnectionLostError) and not settings.says_where:
        # What connect() adds to its cause is for programs.
        cause = str(error.__cause__ or error)
        said = cause if str(error).startswith(f"{cause};") else error
        return f"{said}; --server URL says where one is, and --embedded DIR needs none"
    if isinstance(error, objstore.PermissionDeniedError) and error.subject:
        return f"{error}; the server's configuration has to permit that to this user"
    if isinstance(error, objstore.ObjStoreError):
        return str(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
