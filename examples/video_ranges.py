"""Byte ranges, as a video player asks a web server for them (RFC 9110, section 14)."""

from __future__ import annotations

import re
from collections.abc import Iterator

import objstore


def answer(
    store: objstore.ObjectStore, name: str, header: str
) -> tuple[int, dict[str, str], Iterator[bytes]]:
    """Answer a request with a Range header: status, headers, and the body chunk by chunk."""
    info = store.resolve(name)
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", header)
    if info is None or found is None or found[0] == "bytes=-":
        return (404 if info is None else 400), {}, iter(())
    first, last = found.groups()
    start = int(first) if first else max(0, info.size - int(last))
    end = min(int(last) + 1, info.size) if first and last else info.size
    result = store.get(name, start=start, end=end)
    if result is None or start >= end:
        return 416, {"Content-Range": f"bytes */{info.size}"}, iter(())
    headers = {
        "Content-Range": f"bytes {start}-{end - 1}/{info.size}",
        "Content-Length": str(result.len),
        "Content-Type": info.mime or "application/octet-stream",
    }
    return 206, headers, result.data


def main() -> None:
    """Play a little of the middle, then the end."""
    with objstore.local() as client:
        store = client.object_store("videos")
        store.put("film.mp4", bytes(range(256)) * 40_000, mime="video/mp4")
        for header in ("bytes=5000000-5000999", "bytes=-500", "bytes=99999999-"):
            status, headers, body = answer(store, "film.mp4", header)
            print(status, headers.get("Content-Range"), sum(map(len, body)))


if __name__ == "__main__":
    main()
