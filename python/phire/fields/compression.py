"""Blosc compression of field stores, registered so that it works beside netCDF4.

netCDF4's wheel contains another HDF5 library with filters built for it, and sets HDF5_PLUGIN_PATH
to them for this process and its children. h5py would load its Blosc filter from that path and fail
in it ("error during user callback"). Therefore the path is removed before hdf5plugin registers its
own filters.
"""

from __future__ import annotations

import contextlib

import h5py

for _place in reversed(range(h5py.h5pl.size())):
    if b"netCDF4" in h5py.h5pl.get(_place):
        h5py.h5pl.remove(_place)

import hdf5plugin  # noqa: E402  after the path is removed

with contextlib.suppress(RuntimeError):
    # ``force`` replaces a Blosc filter that another library has registered. HDF5 refuses this while
    # a dataset compressed by that filter is open; then the filter works, and is kept.
    hdf5plugin.register("blosc", force=True)

BLOSC = dict(hdf5plugin.Blosc(cname="lz4", clevel=5, shuffle=hdf5plugin.Blosc.SHUFFLE))
"""Options of ``h5py.Group.create_dataset``: LZ4 compression of byte-shuffled values."""
