"""The pictures of a site's users: a small program whose tests use a real object store."""

from __future__ import annotations

import objstore


class Avatars:
    """One picture for each user."""

    def __init__(self, store: objstore.ObjectStore) -> None:
        self._store = store

    def save(self, user: str, picture: bytes) -> None:
        """Keep a user's picture, in place of the one before."""
        if not picture.startswith(b"\x89PNG"):
            raise ValueError("a picture is a PNG")
        with self._store.open(f"avatars/{user}", "wb", mime="image/png") as file:
            file.write(picture)

    def load(self, user: str) -> bytes | None:
        """A user's picture, if there is one."""
        try:
            return self._store.read_bytes(f"avatars/{user}")
        except objstore.ObjectNotFoundError:
            return None

    def users(self) -> list[str]:
        """Who has a picture, in order."""
        page = self._store.scan("avatars/")
        return [info.name.removeprefix("avatars/") for info in page.objects]
