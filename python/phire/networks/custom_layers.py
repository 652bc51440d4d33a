"""Layers of this package by the names under which Keras saves them."""

from __future__ import annotations

import functools
import importlib
import pkgutil

import keras

import phire.networks


@functools.cache
def custom_layers() -> dict[str, type]:
    """Returns what Keras must know to load a saved network; imports every module of the package."""
    for module in pkgutil.walk_packages(phire.networks.__path__, "phire.networks."):
        importlib.import_module(module.name)
    registered = keras.saving.get_custom_objects()
    return {name: one for name, one in registered.items() if name.startswith("phire>")}
