"""The array ``context``: area means of the whole normalised coarse field, beside each patch."""

from __future__ import annotations

import numpy as np
import pytest

from phire.errors import InputError
from phire.fields.coarsening import CoarsenedSource
from phire.fields.opening import open_source
from phire.records import open_records
from records.test_inputs_of_samples import FINE, HOURS, high, save, write  # noqa: F401

CELLS = 3, 5


def mean_over_cells(fields, latitudes):
    """(n, h, w, C) → (n, 3, 5, C) means of present values by splitting the points."""
    split = fields.repeat(CELLS[0], 1).repeat(CELLS[1], 2)
    bounds = np.linspace(latitudes[0], latitudes[-1], len(latitudes))
    step = bounds[1] - bounds[0]
    edges = np.sin(np.deg2rad(np.append(bounds - step / 2, bounds[-1] + step / 2)))
    weights = np.abs(np.diff(edges)).repeat(CELLS[0])[:, None, None] * np.isfinite(split)
    shape = len(fields), CELLS[0], split.shape[1] // CELLS[0], CELLS[1], -1, fields.shape[-1]
    total, weight = (
        x.reshape(shape).sum((2, 4)) for x in (weights * np.nan_to_num(split), weights)
    )
    return total / weight


def coarse_fields(path):
    """Block means over 4 × 4 points, and their latitudes."""
    source = CoarsenedSource(open_source(path), 4)
    return source.read(range(len(source.time))), source.grid.latitudes


@pytest.mark.parametrize("normalization", ["z", "log1p"])
def test_every_patch_has_the_means_of_its_whole_field(tmp_path, high, normalization):  # noqa: F811
    options = {"context": CELLS, "normalization": normalization, "margin": 1}
    records, batch, index = write(high[0], tmp_path / "records", **options)
    fields, latitudes = coarse_fields(high[0])
    low = records.schema.arrays["low"].normalization
    expected = mean_over_cells(low.apply(fields), latitudes)[index]
    np.testing.assert_allclose(batch["context"], expected, atol=2e-5)
    assert records.schema.context == CELLS
    assert records.schema.arrays["context"].channels == ("t", "rain")
    assert records.schema.arrays["context"].normalization == low


def test_other_arrays_are_those_without_context(tmp_path, high):  # noqa: F811
    _, plain, _ = write(high[0], tmp_path / "plain")
    _, batch, _ = write(high[0], tmp_path / "records", context=CELLS)
    assert {*batch} - {*plain} == {"context"}
    for name, array in plain.items():
        np.testing.assert_array_equal(batch[name], array)
    assert "context" not in open_records(tmp_path / "plain").manifest.options


def test_missing_values_are_left_out_of_the_means(tmp_path, high):  # noqa: F811
    values = high[1].copy()
    values[:, 4:12, 8:20, 1] = np.nan
    path = save(tmp_path / "holes.nc", FINE, values, ("t", "rain"))
    records, batch, index = write(path, tmp_path / "records", context=CELLS, missing="mask")
    fields, latitudes = coarse_fields(path)
    assert np.isnan(fields).any()
    normalised = records.schema.arrays["low"].normalization.apply(fields)
    expected = mean_over_cells(normalised, latitudes)[index]
    np.testing.assert_allclose(batch["context"], expected, atol=2e-5)


def test_anomalies_are_averaged(tmp_path, high):  # noqa: F811
    records, batch, index = write(
        high[0], tmp_path / "records", context=(2, 2), statistics_of="point", whole_fields=True
    )
    assert records.schema.arrays["low"].climatologies
    # The standardised anomalies of each point have the mean 0 over time, and so has their mean.
    assert sorted(index) == list(range(len(HOURS)))
    np.testing.assert_allclose(batch["context"].mean(0), 0, atol=1e-5)
    assert batch["context"].std(0).min() > 0.1


def test_a_window_has_the_context_of_each_step(tmp_path, high):  # noqa: F811
    records, batch, index = write(high[0], tmp_path / "records", context=CELLS, window=3)
    fields, latitudes = coarse_fields(high[0])
    low = records.schema.arrays["low"].normalization
    expected = mean_over_cells(low.apply(fields), latitudes)
    steps = np.array(index)[:, None] + [-2, -1, 0]
    np.testing.assert_allclose(batch["context"], expected[steps], atol=2e-5)


@pytest.mark.parametrize("cells", [(0, 4), (11, 4), (4, 13)])
def test_cells_without_a_point_are_refused(tmp_path, high, cells):  # noqa: F811
    with pytest.raises(InputError, match=r"context .* at most the 10 × 12 coarse points"):
        write(high[0], tmp_path / "records", context=cells)
    assert not (tmp_path / "records").exists()
