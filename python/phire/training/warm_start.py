"""Warm start and fine-tuning: copies weights of another network, freezes layers."""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Sequence

import keras

from phire.errors import InputError

LISTED = 20
"""Largest number of layers that an error message lists."""


def named_layers(network: keras.Model) -> dict[str, keras.layers.Layer]:
    """Returns a network's layers that have weights, by names that are the same in every process.

    Keras numbers unnamed layers across all networks of a process (``conv2d_7``). This function
    numbers them within the network: ``conv2d``, ``conv2d_1`` ….
    """
    named: dict[str, keras.layers.Layer] = {}
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
        named[name] = layer
    return named


def _snake_case(name: str) -> str:
    """Returns Keras's default layer name of a class, such as ``conv2d`` for ``Conv2D``."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def copy_weights(source: keras.Model, target: keras.Model) -> list[str]:
    """Copies the weights of corresponding layers from one network to another.

    Layers correspond if they have the same type and weight shapes and come in the same order in
    both networks (longest matching runs, as in ``difflib``). The networks may therefore differ in
    their numbers of input and output channels, or by inserted layers.

    Args:
        source: Network to copy from.
        target: Network to copy to.

    Returns:
        Names of the target's layers without a counterpart; their weights are unchanged.

    Raises:
        InputError: No layer has a counterpart.
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
            f"no layer of the network {source.name} has a counterpart of the same type and shape "
            f"in {target.name}: warm-start from a network of the same width, or train from random "
            "weights."
        )
    return remaining


def freeze_all_but(network: keras.Model, patterns: Sequence[str]) -> list[str]:
    """Freezes the layers of a network whose names match none of the patterns.

    Args:
        network: Network to change, before its optimizer is built.
        patterns: Shell patterns of the names that :func:`named_layers` gives, such as
            ``conv2d_1*``.

    Returns:
        Names of the layers that stay trainable.

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
