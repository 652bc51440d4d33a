"""The Blosc filter of the field stores, also where netCDF4 is loaded.

netCDF4's wheel brings an HDF5 of its own with filters built for it, and points HDF5_PLUGIN_PATH at
them, for this process and those it starts. h5py, with another HDF5, would take its Blosc from there
and fail in it ("error during user callback"), so that the path is dropped before hdf5plugin looks
which filters there are.
"""

from __future__ import annotations

import h5py

for _place in reversed(range(h5py.h5pl.size())):
    if b"netCDF4" in h5py.h5pl.get(_place):
        h5py.h5pl.remove(_place)

import hdf5plugin  # noqa: E402

# Also in place of a Blosc that something else has loaded meanwhile.
hdf5plugin.register("blosc", force=True)

BLOSC = dict(hdf5plugin.Blosc(cname="lz4", clevel=5, shuffle=hdf5plugin.Blosc.SHUFFLE))
"""Options of ``h5py.Group.create_dataset``: LZ4 after shuffling bytes."""
