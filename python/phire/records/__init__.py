"""Training records: sampling them from a store, and reading them as ``tf.data``.

The names are imported when they are used: writing and describing records needs no TensorFlow.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "damage": ["find_damage", "naming_damage"],
        "describing": ["are_bare_records", "describe_records"],
        "downscaling": ["write_downscaling_records"],
        "manifest": ["Manifest"],
        "pairs": ["write_pair_records"],
        "reading": ["Records", "open_records"],
        "schema": ["SampleArray", "SampleSchema"],
    },
)
