"""Storage of regridding weights in files, so that they are computed once for a pair of grids."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import scipy  # loads its submodules when they are used

from phire import files, progress
from phire.errors import InputError
from phire.fields.grid import Grid
from phire.fields.linear_maps import AxisProduct, MatrixMap, SeparableMap

Weights = tuple[SeparableMap | MatrixMap, np.ndarray]
"""Map between two grids, and (H', W') covered share of each target cell."""

VERSION = 1
"""Version of the weights; to be increased if the same grids and method give other weights."""


def stored_weights(
    path: str | os.PathLike, grid: Grid, target: Grid, method: str, compute: Callable[[], Weights]
) -> Weights:
    """Reads weights from a file, or computes and writes them if the file does not exist.

    Args:
        path: The file (``.npz``); or a folder for several pairs of grids, with one file for each
            pair and method, named by a hash of them.
        grid: Grid of the fields.
        target: Grid of the result.
        method: Method of regridding.
        compute: Function that computes the weights.

    Raises:
        InputError: The file has other content, or weights of other grids or another method.
    """
    path = Path(path)
    wanted = _description(grid, target, method)
    if path.is_dir():
        path = path / f"{wanted['digest'][:16]}.npz"
    if path.exists():
        return _read(path, wanted)
    if path.suffix != ".npz":
        raise InputError(f"--weights {path}: name a file that ends with .npz, or a folder.")
    weights = compute()
    with files.replacing(path) as partial:
        with open(partial, "wb") as file:
            np.savez_compressed(file, description=json.dumps(wanted), **_arrays(*weights))
    progress.say(f"{path}: weights of {wanted['grids']}, {method}.")
    return weights


def _description(grid: Grid, target: Grid, method: str) -> dict[str, object]:
    content = json.dumps([grid.to_dict(), target.to_dict(), method, VERSION], sort_keys=True)
    return {
        "grids": f"{grid.in_words()} to {target.in_words()}",
        "method": method,
        "digest": hashlib.sha256(content.encode()).hexdigest(),
    }


def _difference(found: Mapping[str, object], wanted: Mapping[str, object]) -> str:
    """Returns a clause on the first difference between the stored and the wanted weights."""
    if found["method"] != wanted["method"]:
        return f"its method is {found['method']}, not {wanted['method']}"
    if found["grids"] != wanted["grids"]:
        return f"its grids are {found['grids']}, not {wanted['grids']}"
    return f"the points of its grids differ, although both are {found['grids']}"


def _arrays(weights: SeparableMap | MatrixMap, covered: np.ndarray) -> dict[str, np.ndarray]:
    """Returns weights as named arrays; the inverse of the last part of :func:`_read`."""
    arrays = {"covered": covered, "shape": np.array(weights.shape)}
    matrices = {}
    if isinstance(weights, MatrixMap):
        matrices["matrix"] = weights.matrix
    else:
        arrays["single"] = np.array(np.dtype(weights.dtype) == np.float32)
        for i, product in enumerate(weights.products):
            matrices |= {f"rows{i}": product.rows, f"columns{i}": product.columns}
    for name, matrix in matrices.items():
        matrix = scipy.sparse.csr_array(matrix)
        arrays |= {
            f"{name}_data": matrix.data, f"{name}_indices": matrix.indices,
            f"{name}_indptr": matrix.indptr, f"{name}_shape": np.array(matrix.shape),
        }  # fmt: skip
    return arrays


def _read(path: Path, wanted: dict[str, object]) -> Weights:
    """Reads weights from a file.

    Raises:
        InputError: The file has other content, or its description is not ``wanted``.
    """
    try:
        with np.load(path) as archive:
            arrays = dict(archive)
        description = json.loads(str(arrays["description"]))
    except (OSError, ValueError, KeyError):
        raise InputError(
            f"--weights {path} is not a file of regridding weights: name another file."
        ) from None
    if description["digest"] != wanted["digest"]:
        raise InputError(
            f"--weights {path}: {_difference(description, wanted)}: name another file, or a folder "
            "for several."
        )

    def matrix(name: str) -> scipy.sparse.csr_array:
        parts = tuple(arrays[f"{name}_{part}"] for part in ("data", "indices", "indptr"))
        return scipy.sparse.csr_array(parts, shape=tuple(arrays[f"{name}_shape"]))

    if "matrix_data" in arrays:
        return MatrixMap(matrix("matrix"), tuple(arrays["shape"])), arrays["covered"]
    count = sum(name.startswith("rows") and name.endswith("_data") for name in arrays)
    products = [AxisProduct(matrix(f"rows{i}"), matrix(f"columns{i}")) for i in range(count)]
    dtype = np.float32 if arrays["single"] else np.float64
    return SeparableMap(products, dtype), arrays["covered"]
