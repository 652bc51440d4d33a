"""Downstream task: prediction of the jet latitude from learned features.

Names are imported on first use, so that the package loads fast.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "jet_latitude_index": ["jet_latitude", "low_pass"],
        "probe": ["probe_jet"],
    },
)
