"""Byte ranges, as a video player asks a web server for them, in no framework (RFC 9110).

Flask and Django have it ready made: ``objstore.contrib.flask.send_object`` and
``objstore.contrib.django.object_response``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import objstore
from objstore.contrib import ranges


def answer(
    store: objstore.ObjectStore, name: str, method: str, headers: Mapping[str, str]
) -> tuple[int, dict[str, str], Iterator[bytes]]:
    """Answer a request: status, headers, and the body, piece by piece."""
    result = store.get(name)
    if result is None:
        return 404, {}, iter(())
    info = result.info
    answered = ranges.answer(
        method, headers, size=info.size, etag=f'"{info.sha256}"', last_modified=info.mtime,
        media_type=info.mime or "application/octet-stream",
    )  # fmt: skip

    def body() -> Iterator[bytes]:
        with result:
            for piece in answered.pieces:
                yield piece.head
                result.seek(piece.start)
                yield from map(bytes, result.views(piece.end - piece.start))
            yield answered.tail

    return answered.status, dict(answered.headers), body()


def main() -> None:
    """Play a little of the middle, then the end; then ask whether it has changed."""
    with objstore.local() as client:
        store = client.object_store("videos")
        info = store.put("film.mp4", bytes(range(256)) * 40_000, mime="video/mp4")
        for headers in (
            {"Range": "bytes=5000000-5000999"},
            {"Range": "bytes=-500"},
            {"Range": "bytes=99999999-"},
            {"If-None-Match": f'"{info.sha256}"'},
        ):
            status, said, body = answer(store, "film.mp4", "GET", headers)
            print(status, said.get("Content-Range"), sum(map(len, body)))


if __name__ == "__main__":
    main()
