"""Weights by a formula, as the numeric forward passes of deepr_truth.json have them.

Element k (flat, C order, PyTorch's layout) of the j-th parameter is 0.1·sin(0.37·k + j + 1), plus 1
where it is a one-dimensional weight of a normalisation; inputs are x_k = sin(0.1·k) in N×C×H×W.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PARAMETERS = (("weight", ("kernel", "gamma", "embeddings")), ("bias", ("bias", "beta")))
"""Names of parameters in PyTorch, and of the variables of Keras layers that hold the same."""


def truth(name: str) -> dict:
    """Reads ``NAME_truth.json``, which lies beside the real data; skips the test without it."""
    folder = os.environ.get("PHIRE_REALDATA")
    path = Path(folder or ".").parent / "truth" / f"{name}_truth.json"
    if folder is None or not path.exists():
        pytest.skip(f"{path.name} is not at hand")
    return json.loads(path.read_text(encoding="utf-8"))


def formula_value(j: int, name: str, shape: Sequence[int]) -> np.ndarray:
    """Returns the j-th parameter in PyTorch's layout."""
    value = 0.1 * np.sin(0.37 * np.arange(np.prod(shape)) + j + 1)
    if "norm" in name and name.endswith(".weight") and len(shape) == 1:
        value += 1
    return value.reshape(shape).astype("float32")


def in_keras_layout(value: np.ndarray) -> np.ndarray:
    """Takes convolutions (out, in, h, w) to (h, w, in, out), linear layers (out, in) to (in, out).

    The same permutation takes transposed convolutions (in, out, h, w) to (h, w, out, in).
    """
    return value.transpose({4: (2, 3, 1, 0), 2: (1, 0)}.get(value.ndim, range(value.ndim)))


def variable(target: Any, parameter: str) -> Any:
    """Returns the variable of a Keras layer that holds PyTorch's ``weight`` or ``bias``."""
    for torch_name, names in PARAMETERS:
        if parameter == torch_name:
            for name in names:
                found = getattr(target, name, None)
                if found is not None:
                    return found
    raise KeyError(f"{target} has no {parameter}")


def assign_formula_weights(
    names: Sequence[tuple[str, Sequence[int]]],
    find: Callable[[str], Any],
    variables: Sequence[Any],
    shuffled: Mapping[str, int] | None = None,
) -> None:
    """Sets all variables of a network or layer by the formula.

    Args:
        names: Parameters and their shapes in PyTorch, in the order of the JSON's ``names``.
        find: Returns the Keras layer for a module's name (``conv`` of ``conv.weight``), or the
            variable for the name of a parameter that is neither weight nor bias.
        variables: All variables; each has to be set exactly once.
        shuffled: Factors of pixel shuffles by the names of the convolutions before them: PyTorch
            orders their channels (c, i, j), phire (i, j, c).
    """
    unset = {id(one): one.path for one in variables}
    for j, (name, shape) in enumerate(names):
        module, _, parameter = name.rpartition(".")
        plain = parameter in dict(PARAMETERS)
        found = find(module if plain else name)
        target = variable(found, parameter) if plain else found
        value = formula_value(j, name, shape)
        if not hasattr(found, "embeddings"):  # tables are (rows, width) in both
            value = in_keras_layout(value)
        if module in (shuffled or {}):
            square = shuffled[module] ** 2
            split = value.reshape(*value.shape[:-1], -1, square)
            value = np.swapaxes(split, -1, -2).reshape(value.shape)
        if value.shape != target.shape:  # axes of length one more or less
            assert value.squeeze().shape == tuple(n for n in target.shape if n != 1), name
            value = value.reshape(target.shape)
        target.assign(value)
        assert unset.pop(id(target), None), f"{name} sets a variable that is set or unknown"
    assert not unset, f"not set: {list(unset.values())}"


def formula_input(*shape: int) -> np.ndarray:
    """Returns x_k = sin(0.1·k) of a shape (N, C, H, W), as (N, H, W, C); other shapes as given."""
    values = np.sin(0.1 * np.arange(np.prod(shape))).reshape(shape).astype("float32")
    return values.transpose(0, 2, 3, 1) if len(shape) == 4 else values


def assert_output(output: Any, stated: dict, tolerance: float = 1e-4) -> None:
    """Compares an output, (N, H, W, C) or of tokens, with the numbers of the JSON's ``out``."""
    values = np.asarray(output, "float64")
    if values.ndim == 4:
        values = values.transpose(0, 3, 1, 2)
    values = values.ravel()
    np.testing.assert_allclose(values[:6], stated["first6"], atol=tolerance, rtol=tolerance)
    np.testing.assert_allclose(values[-3:], stated["last3"], atol=tolerance, rtol=tolerance)
    np.testing.assert_allclose(
        np.abs(values).mean(), stated["abs_mean"], atol=tolerance, rtol=tolerance
    )
    # A sum of n values, each within the tolerance of what it should be on average.
    np.testing.assert_allclose(values.mean(), stated["sum"] / values.size, atol=tolerance)
