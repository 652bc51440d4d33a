"""Warm start and fine-tuning: weights of another network, and which layers learn."""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Sequence

import keras

from phire.errors import InputError

LISTED = 20
"""Layers that a message lists at most."""


def named_layers(network: keras.Model) -> dict[str, keras.layers.Layer]:
    """Returns a network's layers that have weights, by names that are the same in every process.

    Keras numbers unnamed layers on through a process (``conv2d_7``); here they are numbered within
    the network: ``conv2d``, ``conv2d_1`` ….
    """
    found: dict[str, keras.layers.Layer] = {}
    counts: dict[str, int] = {}
    for layer in network.layers:
        if not layer.weights:
            continue
        automatic = _snake_case(type(layer).__name__)
        name = layer.name
        if re.fullmatch(rf"{automatic}(_\d+)?", name):
            number = counts.get(automatic, 0)
            counts[automatic] = number + 1
            name = f"{automatic}_{number}" if number else automatic
        found[name] = layer
    return found


def _snake_case(name: str) -> str:
    """Returns the name that Keras gives layers of a class, as conv2d of ``Conv2D``."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def copy_weights(source: keras.Model, target: keras.Model) -> list[str]:
    """Copies the weights of those layers of a network that another has, too.

    Layers correspond where they follow one another in both networks with the same types and shapes
    of weights, so that a first or last convolution may have other channels, and layers may have
    come in between.

    Args:
        source: Network to copy from.
        target: Network to copy to.

    Returns:
        Names of the target's layers that have no counterpart; their weights are as they were.

    Raises:
        InputError: No layer has one.
    """
    layers = [named_layers(network) for network in (source, target)]
    keys = [
        [(type(layer).__name__, *(tuple(w.shape) for w in layer.weights)) for layer in one.values()]
        for one in layers
    ]
    from_layers, to_layers = (list(one.values()) for one in layers)
    remaining = list(layers[1])
    matcher = difflib.SequenceMatcher(None, *keys, autojunk=False)
    for block in matcher.get_matching_blocks():
        for i in range(block.size):
            to_layers[block.b + i].set_weights(from_layers[block.a + i].get_weights())
            remaining.remove(list(layers[1])[block.b + i])
    if len(remaining) == len(to_layers):
        raise InputError(
            f"no layer of the network {source.name} has a counterpart in {target.name} of the same "
            "type and shape: begin without it, or with a network of the same width."
        )
    return remaining


def freeze_all_but(network: keras.Model, patterns: Sequence[str]) -> list[str]:
    """Freezes the layers of a network whose names match none of some patterns.

    Args:
        network: Network; call this before its optimizer is built.
        patterns: Patterns of :func:`named_layers`'s names, such as ``conv2d_1*``.

    Returns:
        Names of the layers that still learn.

    Raises:
        InputError: A pattern matches no layer.
    """
    layers = named_layers(network)
    for pattern in patterns:
        if not fnmatch.filter(layers, pattern):
            listed = ", ".join(list(layers)[:LISTED]) + (" …" if len(layers) > LISTED else "")
            raise InputError(
                f"--trainable {pattern} matches no layer of {network.name}: its layers are "
                f"{listed}."
            )
    learning = [n for n in layers if any(fnmatch.fnmatchcase(n, p) for p in patterns)]
    for name, layer in layers.items():
        layer.trainable = name in learning
    return learning
