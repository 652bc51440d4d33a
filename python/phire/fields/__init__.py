"""Gridded fields: grids, times, stores and files, transforms, normalisation.

Nothing in this package uses TensorFlow. The public names are imported at their first use, so that
importing the package takes no time.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "climatologies": ["Climatology"],
        "climatology_fit": ["climatology", "fit_climatology"],
        "coarsening": ["CoarsenedSource", "block_mean", "coarsen_grid", "refine_grid"],
        "conversion": ["convert"],
        "dataset": ["DatasetSource"],
        "description": ["describe_climatology", "describe_source", "describe_store"],
        "ensemble": ["EnsembleSource", "as_source", "open_fields"],
        "grid": ["Grid"],
        "harmonics": ["SphericalHarmonics"],
        "interpolation": ["Interpolator", "upsample"],
        "joining": ["join"],
        "normalization": ["Normalization"],
        "normalization_fit": ["fit_normalization"],
        "opening": ["open_source"],
        "source_writing": ["write_source"],
        "regridded_files": ["regrid"],
        "regridding": ["RegriddedSource", "Regridder"],
        "selection": ["ChannelSelection", "RegionSource", "WindSource"],
        "shallow_water": ["simulate"],
        "source": ["ArraySource", "Source", "TimeSelection", "member_count", "to_dataset"],
        "standardized_source": ["StandardizedSource", "standardize"],
        "store": ["FieldStore", "open_store"],
        "store_writing": ["StoreWriter"],
        "time_axis": ["TimeAxis"],
    },
)
