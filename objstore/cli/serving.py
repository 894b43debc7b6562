"""``server``: the embedded nats-server for others."""

from __future__ import annotations

import re
import secrets
import signal
import tempfile
import threading
from pathlib import Path
from types import FrameType

import click

import objstore
from objstore.cli.options import Settings, command, pass_settings
from objstore.cli.screen import show

__all__ = ["server"]


@command(own_server="it is a server itself")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False))
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="[default: a free one]")
@pass_settings
def server(settings: Settings, folder: str, port: int) -> None:
    """Run a private nats-server that keeps its data in DIR, until Ctrl-C.

    It listens on this machine only. Prints its address, with the token that lets clients in; give
    it to them as --server, or in $NATS_URL. With a --port it is the same each time: DIR/token keeps
    the token, for you alone.

    \b
    Examples:
      objstore server ./data
      objstore server ./data --port 4222
    """
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    # As a service manager ends it: in order, as after Ctrl-C.
    signal.signal(signal.SIGTERM, end)
    token = kept_token(Path(folder))
    config = f'authorization {{ token: "{token}" }}\n'
    with objstore.LocalServer(folder, port=port, config=config) as running:
        url = running.url.replace("//", f"//{token}@")
        show.line(show.as_json({"url": url}) if settings.json else url)
        # Looked at from time to time, since the server may end by itself.
        while running.running and not ended.wait(0.5):
            pass
        if not ended.is_set():
            raise objstore.ServerStartError("nats-server has ended by itself")


def kept_token(folder: Path) -> str:
    """Return the token of the servers in a folder, which the first one makes.

    Raises:
        ServerStartError: the file does not hold one.
    """
    path = folder / "token"
    folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        # A file of its own first, which only its owner can read: nobody sees half a token.
        with tempfile.NamedTemporaryFile("w", dir=folder, delete=False) as file:
            file.write(secrets.token_urlsafe(24))
        Path(file.name).replace(path)
    token = path.read_text("utf-8").strip()
    if not re.fullmatch(r"[\w-]{16,}", token, re.ASCII):
        raise objstore.ServerStartError(f"{path} holds no token: remove it, and a new one is made")
    return token
