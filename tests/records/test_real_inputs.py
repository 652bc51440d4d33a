"""Records of real fields: predictors off the grid, sea and radar masks, models on one corner."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from phire.downscaling.schema_shapes import shapes_of
from phire.records import open_records, write_downscaling_records

pytestmark = pytest.mark.skipif(
    "PHIRE_REALDATA" not in os.environ, reason="PHIRE_REALDATA is not set"
)


def folder() -> Path:
    return Path(os.environ["PHIRE_REALDATA"])


def made(name, output, **options):
    write_downscaling_records(folder() / name, output, shards=1, **options)
    records = open_records(output)
    (batch,) = records.dataset(records.count).as_numpy_iterator()
    for values in batch.values():
        assert np.isfinite(values).all()
    return records, batch


def physical(records, batch, name):
    return records.schema.arrays[name].normalization.invert(batch[name].astype(np.float64))


def test_winter_days_over_iberia(tmp_path, capsys):
    """Land of E-OBS from predictors on two grids of NCEP, maps and the day of the year."""
    fine = "iberia_fine_eobs050_djf1983-2002.nc"
    records, batch = made(
        fine, tmp_path / "out", targets=("tas", "pr"),
        low=f"{folder()}/iberia_coarse_ncep_t62_djf1983-2002.nc:tas,pr",
        predictors=[f"{folder()}/iberia_coarse_ncep25_djf1983-2002.nc:psl,ta850,hus850"],
        static=[f"{folder()}/{fine}:orog,lsm"], covariates=("day",), scale=5, whole_fields=True,
        missing="mask", normalization="z,pr=log:0.1", time=(None, "1984-12-01"),
    )  # fmt: skip
    said = capsys.readouterr().err
    assert "19 × 29 is not a multiple of 5: 1 row at the south and 1 column at the east are" in said
    assert said.count("is regridded to the 5 × 5 blocks by bilinear interpolation") == 2
    schema = records.schema
    assert schema.arrays["low"].channels == ("tas", "pr", "psl", "ta850", "hus850")
    assert schema.channels == ("tas", "pr")
    shapes = shapes_of(schema)
    assert (shapes.low, shapes.high) == ((4, 6, 5), (20, 30, 2))
    assert (schema.padding, schema.unpadded_domain.shape) == ((1, 1), (19, 29))
    assert (shapes.static, shapes.time, shapes.scale) == (2, 2, 5)
    with xr.open_dataset(folder() / fine) as truth:
        days = truth.sel(time=slice(None, "1984-11-30"))
        fields = np.stack([days[name].values[:, ::-1] for name in ("tas", "pr")], axis=-1)
    assert records.count == len(fields)
    there = np.isfinite(fields)
    assert (batch["valid"][:, 19:] == 0).all() and (batch["valid"][:, :, 29:] == 0).all()
    assert batch["valid"].sum() == there.sum()
    found = physical(records, batch, "high")
    # Records are shuffled: moments of the land are those of the file.
    for c in range(2):
        values = found[..., c][batch["valid"][..., c] == 1]
        assert values.mean() == pytest.approx(np.nanmean(fields[..., c], dtype=float), rel=1e-4)
        assert values.max() == pytest.approx(np.nanmax(fields[..., c]), rel=1e-3)
    low = physical(records, batch, "low")
    land = np.where(batch["valid"] == 1, found, np.nan)[..., 0].reshape(-1, 4, 5, 6, 5)
    present = np.isfinite(land).sum((2, 4))
    land = np.nansum(land, (2, 4)) / np.maximum(present, 1)
    both = present > 0
    coarse = low[..., 0]
    assert np.corrcoef(land[both], coarse[both])[0, 1] > 0.7
    # Days of winter lie around the turn of the year.
    assert batch["time"][:, 1].min() > np.cos(2 * np.pi * 61 / 365)


def test_arome_rain_from_arpege(tmp_path):
    """Two models on one corner, with orography."""
    fine, coarse = (
        f"meteonet_NW_2018-05-01_{name}_precip.nc" for name in ("fine_arome0025", "coarse_arpege01")
    )
    records, batch = made(
        fine, tmp_path / "out", low=f"{folder()}/{coarse}:tp", static=[f"{folder()}/{fine}:orog"],
        patch=(32, 32), patches_per_field=4, normalization="log:0.1", covariates=("hour", "day"),
        missing="mask",
    )  # fmt: skip
    assert (records.schema.alignment, records.schema.pooling) == ("corner", "explicit")
    with xr.open_dataset(folder() / coarse) as file:
        times = file.time.values
        values = file.tp.values
    low = physical(records, batch, "low")
    hours = np.arctan2(batch["time"][:, 0], batch["time"][:, 1]) / (2 * np.pi) * 24
    for i, (row, column) in enumerate(batch["position"]):
        longitude = -5.842 + 0.025 * (column + 15.5)
        hour = (hours[i] - longitude / 15) % 24
        clock = (times.astype("datetime64[h]").astype(int) % 24).tolist()
        part = values[clock.index(round(hour) % 24), row // 4 : row // 4 + 8]
        np.testing.assert_allclose(
            low[i, ..., 0], part[:, column // 4 : column // 4 + 8], atol=2e-3
        )


@pytest.mark.parametrize(
    "name, scale, stop, fixed",
    [
        ("radar_knmi_2010-08-26_5min.nc", 4, "2010-08-26T00:30", True),
        ("radar_mch_2016-07-11_5min.nc", 5, "2016-07-11T21:15", False),
    ],
)
def test_radar_with_a_mask(tmp_path, name, scale, stop, fixed):
    """Composites on pixels, whose reach is fixed (KNMI) or moves (MeteoSwiss)."""
    records, batch = made(
        name, tmp_path / "out", scale=scale, whole_fields=True, missing="mask", time=(None, stop),
        normalization="log:0.1",
    )  # fmt: skip
    with xr.open_dataset(folder() / name) as file:
        rows, columns = records.schema.patch
        values = file.precip.values[: records.count, :rows, :columns]
    assert batch["valid"].sum() == np.isfinite(values).sum() < values.size
    assert records.schema.spacing is None
    same = all(np.array_equal(v, batch["valid"][0]) for v in batch["valid"])
    assert same == fixed
    assert (batch["high"][batch["valid"] == 0] == 0).all()


def test_an_hour_of_mrms_from_its_coarsening(tmp_path):
    records, batch = made(
        "radar_mrms_qpe1h_2016-09-20_22_hourly.nc", tmp_path / "out", scale=8, patch=(128, 128),
        time=("2016-09-20", "2016-09-20T01:00"), normalization="log:0.1", missing="mask",
    )  # fmt: skip
    # Fifty-four of 802,816 points are missing, whether or not a patch holds one.
    assert batch["valid"].mean() > 0.99
    high, low = (physical(records, batch, name) for name in ("high", "low"))
    blocks = (-1, 16, 8, 16, 8, 1)
    whole = batch["valid"].reshape(blocks).min((2, 4)) == 1
    means = high.reshape(blocks).mean((2, 4))
    np.testing.assert_allclose(low[whole], means[whole], atol=0.02)
