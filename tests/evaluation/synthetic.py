"""Results of a small evaluation of random fields, for tests of figures and report."""

import functools
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import xarray as xr

from phire.evaluation import evaluate
from phire.fields.ensemble import EnsembleSource
from phire.fields.grid import Grid
from phire.fields.harmonics import SphericalHarmonics
from phire.fields.source import ArraySource
from phire.fields.time_axis import TimeAxis

CANDIDATES = {
    "bicubic": 2.0,
    "mse + adversarial": 0.7,
    "learned + adversarial": -0.08,
}
"""By how much each candidate smooths: the exponent of its filter at the coarse grid's cutoff.

Those below 0 add detail of their own instead, and are ensembles of three members.
"""

SCALE = 4
MEMBERS = 3


def many(count):
    """So many candidates, from smooth to sharp."""
    return {f"candidate {i + 1}": 2.0 - 0.3 * i for i in range(count)}


def write_results(
    folder, candidates=CANDIDATES, rows=48, times=16, channels=("divergence", "vorticity")
):
    """Writes the results of an evaluation on a global grid, without figures; returns the folder."""
    evaluated = _evaluated(tuple(candidates.items()), rows, times, tuple(channels))
    shutil.copytree(evaluated.name, folder, dirs_exist_ok=True)
    return Path(folder)


@functools.cache
def _evaluated(candidates, rows, times, channels):
    """A temporary folder of results; several tests read the same."""
    grid = Grid.driscoll_healy(rows)
    moments = TimeAxis.from_cf(3.0 * np.arange(times), "hours since 2000-05-25")
    shared = {"channels": channels, "units": ["s**-1"] * len(channels), "grid": grid,
              "time": moments}  # fmt: skip

    def source(exponent, member=0):
        fields = _fields(grid, times, len(channels), exponent, member)
        return ArraySource(np.moveaxis(fields, 1, -1).astype("f4"), **shared)

    sources = {
        name: source(exponent)
        if exponent >= 0
        else EnsembleSource([source(exponent, member) for member in range(MEMBERS)])
        for name, exponent in candidates
    }
    folder = tempfile.TemporaryDirectory()
    evaluate(
        source(0.0), sources, folder.name, scale=SCALE, pairs=40, report=False,
        learned_distance=lambda x, y: np.abs(_quarters(x) - _quarters(y)).mean(1),
        learned_features=_quarters, lags=(300.0, 500.0, 1000.0, 2000.0),
        origins={"truth": {"path": "/data/truth.h5"},
                 **{name: {"path": f"/runs/{name}"} for name in sources}},
    )  # fmt: skip
    path = Path(folder.name) / "provenance.json"
    made = json.loads(path.read_text("utf-8"))
    made["command"] = ["phire-eval", "truth.h5", "--candidate", "bicubic=bicubic", "--scale", "4"]
    path.write_text(json.dumps(made), encoding="utf-8")
    return folder


def like_results(statistic, kind="sphere", candidate="bicubic", **values):
    """A data set with given values, whose variables and dimensions are those of a results file.

    Args:
        statistic: Name of the file.
        kind: ``sphere``, ``region`` or ``pixels``: the grid of the evaluation.
        candidate: Folder of the file.
        **values: Values of variables and coordinates by name; the other ones are left out.
    """
    written = _results_file(statistic, kind, candidate)
    given = {
        name: (written[name].dims, np.asarray(value), written[name].attrs)
        for name, value in values.items()
    }
    coordinates = {name: given.pop(name) for name in list(given) if name in written.coords}
    return xr.Dataset(given, coordinates)


@functools.cache
def _results_file(statistic, kind, candidate):
    """The file of a statistic, as ``evaluate`` writes it."""
    if kind == "sphere":
        folder = _evaluated(tuple(CANDIDATES.items()), 16, 5, ("divergence", "vorticity"))
    else:
        folder = _evaluated_square(kind)
    with xr.open_dataset(Path(folder.name) / candidate / f"{statistic}.nc") as dataset:
        return dataset.load()


@functools.cache
def _evaluated_square(kind):
    """A temporary folder of results of random fields on a small area, or on pixels."""
    latitude, longitude = np.arange(50, 42, -0.5), np.arange(0, 8, 0.5)
    grid = Grid.regional(latitude, longitude) if kind == "region" else Grid.pixels(16, 16)
    fields = np.random.default_rng(0).normal(size=(3, 3, 16, 16, 1)).astype("f4")
    truth, *others = (ArraySource(one, grid=grid, units=["K"]) for one in fields)
    candidates = {"bicubic": others[0], "ensemble": EnsembleSource(others)}
    folder = tempfile.TemporaryDirectory()
    metrics = ["spectrum", "samples", "maps", "member_maps"]
    evaluate(truth, candidates, folder.name, metrics=metrics, report=False)
    return folder


def _fields(grid, times, channels, exponent, member):
    """(times, channels, H, W) fields of the truth, smoothed, or with detail of their own."""
    harmonics = SphericalHarmonics(grid, threads=1)
    degrees = harmonics.degrees
    cutoff = grid.shape[0] / (2 * SCALE)
    level = np.arange(degrees.max() + 1.0)
    spectrum = level**2 / (1 + (level / 4) ** 5)
    draw = np.random.default_rng(1)
    shape = (times, channels, len(degrees))
    amplitudes = np.sqrt(spectrum / (2 * level + 1))[degrees]
    white = draw.normal(size=shape) + 1j * draw.normal(size=shape)
    white[..., harmonics.orders == 0] = white[..., harmonics.orders == 0].real
    coefficients = white * amplitudes * np.exp(-exponent * (degrees / cutoff) ** 1.5 / 2)
    if exponent < 0:
        own = np.random.default_rng(7 + member).normal(size=shape) * amplitudes
        coefficients = np.where(degrees > cutoff, 0.6 * coefficients + 0.9 * own, coefficients)
    sizes = np.array([1e-6, 3e-5])[:channels, None, None]
    return harmonics.synthesise(coefficients) / np.sqrt(spectrum.sum()) * sizes


def _quarters(fields):
    """Means over quarters of the fields: something to stand for a network's features."""
    n, rows, columns, channels = fields.shape
    cut = fields[:, : rows // 2 * 2, : columns // 2 * 2]
    return cut.reshape(n, 2, rows // 2, 2, columns // 2, channels).mean((2, 4)).reshape(n, -1)
