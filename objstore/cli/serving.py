"""``server``: the embedded nats-server for others."""

from __future__ import annotations

import signal
import threading
from types import FrameType

import click

import objstore
from objstore.cli.options import Settings, command, pass_settings
from objstore.cli.screen import show

__all__ = ["server"]


@command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False))
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="[default: a free one]")
@pass_settings
def server(settings: Settings, folder: str, port: int) -> None:
    """Run a private nats-server that keeps its data in DIR, until Ctrl-C.

    It listens on this machine only. Prints its address, with the token that lets clients in; give
    it to them as --server, or in $NATS_URL.

    \b
    Examples:
      objstore server ./data
      objstore server ./data --port 4222
    """
    settings.refuse("it is a server itself", ("server", "context", "creds", "embedded"))
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    signal.signal(signal.SIGTERM, end)
    with objstore.LocalServer(folder, port=port) as running:
        show.line(show.as_json({"url": running.url}) if settings.json else running.url)
        while running.running and not ended.wait(0.5):
            pass
        if not ended.is_set():
            raise objstore.ServerStartError("nats-server has ended by itself")
