"""xarray: with zarr, and with HDF5 by parts."""

from __future__ import annotations

import numpy
import pytest
import xarray

from objstore import ObjectStore
from objstore.contrib.fsspec import ObjectFileSystem

DATA = xarray.Dataset(
    {"heat": (("x", "y"), numpy.arange(20_000.0).reshape(100, 200))},
    coords={"x": numpy.arange(100), "y": numpy.arange(200)},
)


def test_zarr(url: str) -> None:
    DATA.to_zarr(f"{url}/data.zarr", consolidated=False)
    with xarray.open_zarr(f"{url}/data.zarr", consolidated=False, chunks=None) as read:
        xarray.testing.assert_identical(read.load(), DATA)


def test_a_part_of_netcdf(fs: ObjectFileSystem, bucket: ObjectStore) -> None:
    bucket.put("data.nc", bytes(DATA.to_netcdf(engine="h5netcdf")))
    with (
        fs.open(f"{bucket.name}/data.nc") as file,
        xarray.open_dataset(file, engine="h5netcdf") as read,
    ):
        assert float(read.heat.sel(x=7, y=8)) == 7 * 200 + 8


def test_zarr_by_dask(url: str) -> None:
    """Chunks in parallel, by threads on one connection."""
    pytest.importorskip("dask")
    DATA.chunk(x=10, y=50).to_zarr(f"{url}/data.zarr", consolidated=False)
    with xarray.open_zarr(f"{url}/data.zarr", consolidated=False) as read:
        assert float(read.heat.sum().compute(scheduler="threads")) == float(DATA.heat.sum())
