"""One member of a zip that is stored as an object: only the chunks that hold it are fetched."""

from __future__ import annotations

import io
import zipfile

import objstore


def read_member(store: objstore.ObjectStore, name: str, member: str) -> bytes:
    """A member of a zip; zipfile looks at the end first, then jumps to what it needs."""
    with store.open(name) as file, zipfile.ZipFile(file) as archive:
        return archive.read(member)


def main() -> None:
    """Store a zip of 100 files, and read one of them."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        for number in range(100):
            writer.writestr(f"{number}.txt", f"this is file {number}\n" * 1000)
    with objstore.local() as client:
        store = client.object_store("archives")
        store.put("all.zip", archive.getvalue())
        print(read_member(store, "all.zip", "42.txt").splitlines()[0].decode())


if __name__ == "__main__":
    main()
