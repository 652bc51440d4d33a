"""A downstream task: the latitude of the jet, told from learned features.

The names are imported when they are used, so that this package loads at once.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "index": ["jet_latitude", "low_pass"],
        "probe": ["probe_jet"],
    },
)
