"""Libraries that take an open file: Pillow, h5py, joblib, numpy."""

from __future__ import annotations

import io

import h5py
import joblib
import numpy
import pytest
from PIL import Image

from objstore import ObjectStore
from objstore.contrib.fsspec import ObjectFileSystem


@pytest.fixture
def path(bucket: ObjectStore) -> str:
    return f"{bucket.name}/file"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF"])
def test_pillow(fs: ObjectFileSystem, path: str, kind: str) -> None:
    with fs.open(path, "wb") as file:
        Image.new("RGB", (300, 200), "red").save(file, kind)
    with fs.open(path) as file, Image.open(file) as image:
        assert (image.format, image.size) == (kind, (300, 200))
        image.load()


def test_h5py(fs: ObjectFileSystem, path: str) -> None:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as made:
        made["numbers"] = numpy.arange(100_000)
    fs.pipe_file(path, buffer.getvalue())
    with fs.open(path) as file, h5py.File(file, "r") as read:
        assert read["numbers"][10:20].tolist() == list(range(10, 20))


@pytest.mark.parametrize("compress", [0, ("gzip", 3), ("xz", 3)])
def test_joblib(fs: ObjectFileSystem, path: str, compress: object) -> None:
    model = {"weights": numpy.arange(1000), "name": "a model"}
    with fs.open(path, "wb") as file:
        joblib.dump(model, file, compress=compress)
    with fs.open(path) as file:
        read = joblib.load(file)
    assert (read["name"], read["weights"].tolist()) == ("a model", list(range(1000)))


def test_numpy(fs: ObjectFileSystem, path: str) -> None:
    with fs.open(path, "wb") as file:
        numpy.savez_compressed(file, a=numpy.arange(10), b=numpy.arange(20))
    with fs.open(path) as file, numpy.load(file) as read:
        assert read["b"].tolist() == list(range(20))


def test_numpy_maps_no_object_into_memory(fs: ObjectFileSystem, path: str) -> None:
    """It says so, rather than read all of it; the file is as good as before."""
    with fs.open(path, "wb") as file:
        numpy.save(file, numpy.arange(10))
    with fs.open(path) as file:
        with pytest.raises(TypeError, match="PathLike"):
            numpy.load(file, mmap_mode="r")
        file.seek(0)
        assert numpy.load(file).tolist() == list(range(10))
