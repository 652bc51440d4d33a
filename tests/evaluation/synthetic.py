"""A folder of results as an evaluation leaves it, made of random fields of known spectra."""

import json
from pathlib import Path

import numpy as np
import xarray as xr

from phire.evaluation.cities import read_cities
from phire.fields.grid import Grid
from phire.fields.harmonics import SphericalHarmonics

CANDIDATES = {
    "bicubic": 2.0,
    "mse + adversarial": 0.7,
    "learned + adversarial": -0.08,
}
"""By how much each candidate smooths: the exponent of its filter at the coarse grid's cutoff."""

SCALE = 4


def many(count):
    """So many candidates, from smooth to sharp."""
    return {f"candidate {i + 1}": 2.0 - 0.3 * i for i in range(count)}


def write_results(
    folder,
    candidates=CANDIDATES,
    rows=48,
    times=16,
    region="",
    channels=("divergence", "vorticity"),
):
    """Writes the results of an imagined evaluation on a global grid; returns the folder."""
    random = np.random.default_rng(3)
    grid = Grid.driscoll_healy(rows)
    harmonics = SphericalHarmonics(grid, threads=1)
    degrees = harmonics.degrees
    cutoff = rows / (2 * SCALE)
    sizes = np.array([1e-6, 3e-5])[: len(channels)]
    level = np.arange(degrees.max() + 1.0)
    spectrum = level**2 / (1 + (level / 4) ** 5)

    def fields(seed, exponent):
        draw = np.random.default_rng(seed)
        shape = (times, len(channels), len(degrees))
        amplitudes = np.sqrt(spectrum / (2 * level + 1))[degrees]
        white = draw.normal(size=shape) + 1j * draw.normal(size=shape)
        white[..., harmonics.orders == 0] = white[..., harmonics.orders == 0].real
        coefficients = white * amplitudes * np.exp(-exponent * (degrees / cutoff) ** 1.5 / 2)
        own = draw.normal(size=shape) * amplitudes * (degrees > cutoff)
        if exponent < 0:  # adds detail of its own instead of the truth's
            coefficients = np.where(degrees > cutoff, 0.6 * coefficients + 0.9 * own, coefficients)
        out = harmonics.synthesise(coefficients)
        return out / np.sqrt(spectrum.sum()) * sizes[:, None, None]

    space = {"latitude": grid.latitudes, "longitude": grid.longitudes, "channel": list(channels)}
    time = np.datetime64("2000-05-25", "ns") + np.arange(times) * np.timedelta64(3, "h")
    truth = fields(1, 0.0)
    everything = {"truth": truth, **{name: fields(1, e) for name, e in candidates.items()}}
    edges = [np.linspace(-5, 5, 121) * size for size in sizes]
    levels = np.array([0.001, 0.02, 0.09, 0.25, 0.5, 0.75, 0.91, 0.98, 0.999])
    lags = np.array([25, 50, 100, 200, 300, 500, 1000.0])
    cities = read_cities()
    attributes = {"times": times, "scale": SCALE, "region": region, "grid": grid.describe()}
    each = {"units": "s-1"}
    squares = {"units": "s-2"}

    for name, values in everything.items():
        place = Path(folder) / name
        place.mkdir(parents=True)

        def save(metric, variables, coordinates, place=place, name=name, **more):
            dataset = xr.Dataset(
                variables, coordinates, {**attributes, "metric": metric, "candidate": name, **more}
            )
            suffix = f".{region}" if region else ""
            dataset.to_netcdf(place / f"{metric}{suffix}.nc")

        truthful = name == "truth"
        # Spectra
        power = harmonics.degree_spectrum(values).mean(0)
        reference = harmonics.degree_spectrum(truth).mean(0)
        energy = power.sum(0) * 6.3712e6**2 / np.maximum(2 * level * (level + 1), 1)
        compared = {} if truthful else {
            "coherence": (("channel", "degree"), np.exp(-np.ones((len(channels), 1)) * level / 20)),
            "variance_ratio": (("channel", "degree"), power / reference),
        }  # fmt: skip
        save(
            "spectrum",
            {
                "kinetic_energy": ("degree", energy, {"units": "m2 s-2"}),
                "variance": (("channel", "degree"), power, squares),
                **compared,
            },
            {
                "channel": list(channels),
                "degree": level.astype(int),
                "wavelength": ("degree", 40031.0 / np.maximum(level, 0.5), {"units": "km"}),
            },
            cutoff_degree=cutoff,
        )
        bands = np.array([-45.0, 45.0])
        save(
            "zonal_spectrum",
            {
                "variance": (
                    ("channel", "band", "wavenumber"),
                    np.stack([power[:, 1:], 1.2 * power[:, 1:]], axis=1),
                    squares,
                )
            },
            {"channel": list(channels), "band": bands, "wavenumber": level[1:].astype(int)},
        )
        # Semivariogram: the closed form of an exponential model is enough for a picture.
        smooth = max(0.0, candidates.get(name, 0.0))
        gamma = 1 - np.exp(-((lags / 400) ** (1 + 0.3 * smooth)))
        gamma[0] = np.nan
        gamma = sizes[:, None] ** 2 * gamma
        save(
            "semivariogram",
            {
                "semivariogram": (("channel", "lag"), gamma, squares),
                "semivariogram_low": (("channel", "lag"), gamma * 0.93, squares),
                "semivariogram_high": (("channel", "lag"), gamma * 1.07, squares),
                "semivariogram_zonal": (("channel", "lag"), gamma * 1.1, squares),
                "semivariogram_meridional": (("channel", "lag"), gamma * 0.9, squares),
                "semivariogram_normalised": (("channel", "lag"), gamma / sizes[:, None] ** 2),
            },
            {"channel": list(channels), "lag": ("lag", lags, {"units": "km"})},
        )
        # Samples
        save(
            "samples",
            {"field": (("channel", "time", "latitude", "longitude"),
                       values[:2].transpose(1, 0, 2, 3).astype("f4"), each)},
            {**space, "time": time[:2]},
        )  # fmt: skip
        # Distributions
        flat = values.transpose(1, 0, 2, 3).reshape(len(channels), -1)
        error = (values - truth).transpose(1, 0, 2, 3).reshape(len(channels), -1)
        density = np.stack([np.histogram(v, e, density=True)[0] for v, e in zip(flat, edges)])
        centres = np.stack([(e[1:] + e[:-1]) / 2 for e in edges])
        compared = {} if truthful else {
            "error_density": (("channel", "error_bin"), np.stack(
                [np.histogram(v, e, density=True)[0] for v, e in zip(error, edges)])),
            "error_bin_centre": (("channel", "error_bin"), centres, each),
            "wasserstein": ("channel", np.abs(np.sort(flat) - np.sort(
                truth.transpose(1, 0, 2, 3).reshape(len(channels), -1))).mean(-1), each),
        }  # fmt: skip
        save(
            "distribution",
            {
                "density": (("channel", "bin"), density),
                "bin_centre": (("channel", "bin"), centres, each),
                "quantile_value": (
                    ("channel", "quantile"), np.quantile(flat, levels, axis=1).T, each
                ),
                **compared,
            },
            {"channel": list(channels), "quantile": levels},
        )  # fmt: skip
        # Maps
        mean, std = values.mean(0), values.std(0)
        dims = ("channel", "latitude", "longitude")
        compared = {} if truthful else {
            "rmse": (dims, np.sqrt(((values - truth) ** 2).mean(0)), each),
            "bias": (dims, (values - truth).mean(0), each),
        }  # fmt: skip
        save("maps", {"mean": (dims, mean, each), "std": (dims, std, each), **compared}, space)
        # Cities
        distance = np.abs(random.normal(size=(len(channels), 3, len(cities))))
        distance = distance * sizes[:, None, None] * (1 + abs(candidates.get(name, 0)))
        save(
            "cities",
            {} if truthful else
            {"wasserstein": (("channel", "size", "city"), distance, each)},
            {
                "channel": list(channels),
                "size": [1, 2, 3],
                "city": [city.name for city in cities],
                "city_latitude": ("city", [city.latitude for city in cities]),
                "city_longitude": ("city", [city.longitude for city in cities]),
            },
        )  # fmt: skip
        if truthful:
            continue
        # Scores of candidates
        rmse = np.sqrt(((values - truth) ** 2).mean((2, 3))).T
        scores = {
            "rmse": rmse,
            "mae": np.abs(values - truth).mean((2, 3)).T,
            "bias": (values - truth).mean((2, 3)).T,
            "correlation": (values * truth).mean((2, 3)).T
            / (values.std((2, 3)) * truth.std((2, 3))).T,
            "psnr": 20 * np.log10(np.ptp(truth, (0, 2, 3))[:, None] / rmse),
            "ssim": 1 - rmse / sizes[:, None],
            "total_variation_difference": np.abs(np.diff(values)).mean((2, 3)).T
            - np.abs(np.diff(truth)).mean((2, 3)).T,
        }
        of = {"rmse": "s-1", "mae": "s-1", "bias": "s-1", "psnr": "dB"}
        save(
            "scores",
            {
                key: (("channel", "time"), value, {"units": of.get(key, "1")})
                for key, value in scores.items()
            },
            {"channel": list(channels), "time": time},
        )
        save(
            "learned",
            {"learned_distance": ("time", rmse.sum(0) / sizes.sum()), "frechet_distance": 3.0},
            {"time": time},
        )
        windows = np.array([1, 3, 9, 27])
        skill = 1 - np.exp(-windows / 3.0 / (1 + smooth)) * np.ones((len(channels), 2, 1))
        save(
            "fractions_skill_score",
            {
                "fractions_skill_score": (("channel", "event", "window"), skill),
                "threshold": (
                    ("channel", "event"), np.outer(sizes, [1.3, 2.3]), each
                ),
                "window_km": ("window", windows * 417.0, {"units": "km"}),
            },
            {"channel": list(channels), "event": ["90 %", "> 2"], "window": windows},
        )  # fmt: skip
        multiples = np.arange(1, 8)
        beyond = np.exp(-multiples / (0.4 + 0.3 * smooth)) * np.ones((len(channels), 2, 1))
        save(
            "high_pass",
            {"exceedance": (("channel", "degree", "multiple"), beyond)},
            {"channel": list(channels), "degree": [6, 12], "multiple": multiples},
        )
        save(
            "projections",
            {
                "wasserstein_mean": ("projection", [1 + smooth, 2 + smooth]),
                "frechet": ("projection", [3 + smooth, 1 + smooth]),
                "rv_coefficient": ("projection", [0.9 / (1 + smooth), 0.8 / (1 + smooth)]),
            },
            {"projection": ["random", "principal"]},
        )
        spread = np.linspace(0.2, 1, 8) * sizes[:, None]
        probability = np.linspace(0.05, 0.95, 10) * np.ones((len(channels), 2, 1))
        save(
            "ensemble",
            {
                "crps": (("channel", "time"), rmse * 0.6, each),
                "binned_spread": (("channel", "spread_bin"), spread, each),
                "binned_error": (("channel", "spread_bin"), spread * (1 + 0.2 * smooth), each),
                "rank_histogram": (
                    ("channel", "rank"),
                    1 + smooth * np.linspace(-1, 1, 11) ** 2 * np.ones((len(channels), 1)),
                ),
            },
            {"channel": list(channels), "time": time},
        )  # fmt: skip
        save(
            "probability",
            {
                "threshold": (("channel", "event"), np.outer(sizes, [1.3, 2.3]), each),
                "forecast_probability": (("channel", "event", "probability_bin"), probability),
                "observed_frequency": (
                    ("channel", "event", "probability_bin"), probability ** (1 + 0.3 * smooth)
                ),
            },
            {"channel": list(channels), "event": ["90 %", "> 2"]},
        )  # fmt: skip

    rows_of_table = []
    for name in candidates:
        with xr.open_dataset(Path(folder) / name / "scores.nc") as scores:
            means = scores.mean("time")
            row = {"candidate": name, "region": region}
            for variable in means.data_vars:
                for channel in channels:
                    row[f"{variable}:{channel}"] = float(means[variable].sel(channel=channel))
            row["learned_distance"] = 0.1 + abs(candidates[name])
            row["log_spectral_error:kinetic_energy"] = abs(candidates[name])
            row["rv_coefficient:random"] = 1 / (1 + abs(candidates[name]))
            rows_of_table.append(row)
    names = list(rows_of_table[0])
    lines = [",".join(names)]
    lines += [",".join(str(row[key]) for key in names) for row in rows_of_table]
    (Path(folder) / "summary.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    provenance = {
        "command": ["phire-eval", "truth.h5", "--candidate", "bicubic=bicubic", "--scale", "4"],
        "created": "2024-05-01T12:00:00+00:00",
        "versions": {"python": "3.12.1", "phire": "0.1.0"},
        "options": {
            "truth": "/data/truth.h5",
            "candidates": {name: f"/runs/{name}" for name in candidates},
            "scale": SCALE,
            "seed": 0,
        },
    }
    (Path(folder) / "provenance.json").write_text(json.dumps(provenance), encoding="utf-8")
    return Path(folder)
