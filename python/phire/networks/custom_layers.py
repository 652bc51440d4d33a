"""Registry of this package's layers, which Keras needs to load saved networks."""

from __future__ import annotations

import functools
import importlib
import pkgutil

import keras

import phire.networks


@functools.cache
def custom_layers() -> dict[str, type]:
    """Returns this package's layers by the names under which Keras saves them.

    Imports every module of the package, because layers are registered on import.
    """
    for module in pkgutil.walk_packages(phire.networks.__path__, "phire.networks."):
        importlib.import_module(module.name)
    registered = keras.saving.get_custom_objects()
    return {name: one for name, one in registered.items() if name.startswith("phire>")}
