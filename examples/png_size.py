"""The size of a picture: Pillow reads its head and no more. Needs Pillow."""

from __future__ import annotations

import io
import os

from PIL import Image

import objstore


def picture_size(store: objstore.ObjectStore, name: str) -> tuple[int, int]:
    """Width and height in pixels."""
    with store.open(name) as file, Image.open(file) as picture:
        width, height = picture.size
    return width, height


def main() -> None:
    """Store a picture of some megabytes, and ask for its size."""
    data = io.BytesIO()
    Image.frombytes("RGB", (1600, 900), os.urandom(1600 * 900 * 3)).save(data, "PNG")
    with objstore.local() as client:
        store = client.object_store("pictures")
        store.put("noise.png", data.getvalue())
        print("{} x {}".format(*picture_size(store, "noise.png")))


if __name__ == "__main__":
    main()
