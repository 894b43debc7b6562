"""The last lines of a log, without the rest of it."""

from __future__ import annotations

import io

import objstore

BLOCK = 64 << 10


def tail(store: objstore.ObjectStore, name: str, lines: int) -> list[bytes]:
    """The last lines of an object, read backward block by block until there are enough."""
    with store.open(name) as file:
        end = file.seek(0, io.SEEK_END)
        found = b""
        while end and found.count(b"\n") <= lines:
            start = max(0, end - BLOCK)
            file.seek(start)
            found = file.read(end - start) + found
            end = start
    return found.splitlines()[-lines:]


def main() -> None:
    """Write a log as text, and read its end."""
    with objstore.local() as client:
        store = client.object_store("logs")
        with store.open("app.log", "w") as log:
            log.writelines(f"{number}: all is well\n" for number in range(200_000))
        for line in tail(store, "app.log", 3):
            print(line.decode())


if __name__ == "__main__":
    main()
