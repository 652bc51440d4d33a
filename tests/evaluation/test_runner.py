"""Evaluating into a folder: what it holds, going on, refusing, workers, alignment."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from evaluation.made_fields import random_fields
from phire.errors import InputError
from phire.evaluation import chunks as chunks_module
from phire.evaluation import describe_results, evaluate
from phire.evaluation.figures.results_reading import units_of
from phire.evaluation.results import result_path
from phire.fields import EnsembleSource, open_fields
from phire.fields.grid import Grid
from phire.fields.harmonics import SphericalHarmonics
from phire.fields.result_files import options_of_result
from phire.fields.source import ArraySource
from phire.fields.time_axis import TimeAxis
from spheres import random_coefficients

COUNT = 9
GRID = Grid.gaussian(32)
CHANNELS, UNITS = ("vorticity", "divergence"), ("s**-1", "s**-1")
TIME = TimeAxis(np.arange(COUNT) * 10800 + 946684800, "standard")
TRUTH = random_fields(GRID, COUNT, 2, seed=1).astype("f4")
FEW = ("spectrum", "scores", "distribution")


def source(fields, **changes):
    facts = {"channels": CHANNELS, "units": UNITS, "grid": GRID, "time": TIME} | changes
    return ArraySource(fields, **facts)


def candidates():
    return {
        "smooth": source((0.7 * TRUTH).astype("f4")),
        "noisy": source((TRUTH + 0.3 * random_fields(GRID, COUNT, 2, seed=2)).astype("f4")),
    }


def run(output, *, metrics=FEW, own=None, **options):
    options = {"scale": 4, "report": False} | options
    return evaluate(source(TRUTH), own or candidates(), output, metrics=metrics, **options)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder as :func:`run` leaves it; not to be changed."""
    return run(tmp_path_factory.mktemp("made") / "out")


@pytest.fixture
def out(made, tmp_path):
    """A copy of that folder."""
    return shutil.copytree(made, tmp_path / "out")


def numbers(output):
    """All numbers of a folder by file and variable."""
    found = {}
    for path in sorted(output.glob("*/*.nc")):
        with xr.open_dataset(path) as dataset:
            for name, values in dataset.load().data_vars.items():
                if values.dtype.kind == "f":
                    found[f"{path.parent.name}/{path.name}:{name}"] = values.values
    return found


def assert_same(first, second, rtol=1e-10):
    one, two = numbers(first), numbers(second)
    assert one.keys() == two.keys()
    for key, value in one.items():
        np.testing.assert_allclose(value, two[key], rtol=rtol, atol=1e-12, err_msg=key)


def test_a_folder_holds_what_its_layout_says(tmp_path):
    out = run(tmp_path / "out", metrics=None, regions={"europe": (70, -20, 20, 50)})
    for name in ("truth", "smooth", "noisy"):
        for metric in ("spectrum", "semivariogram", "maps", "distribution", "samples", "cities"):
            for region in ("", "europe"):
                assert result_path(out, name, metric, region).is_file(), (name, metric, region)
    assert not result_path(out, "truth", "scores").exists()
    with xr.open_dataset(out / "smooth" / "spectrum.nc") as spectrum:
        assert spectrum["kinetic_energy"].dims == ("degree",)
        assert spectrum["variance"].dims == ("channel", "degree")
        assert spectrum.attrs["candidate"] == "smooth"
        assert spectrum.attrs["scale"] == 4
        np.testing.assert_allclose(spectrum["kinetic_energy_ratio"][1:], 0.49, rtol=1e-4)
    with xr.open_dataset(out / "smooth" / "spectrum.europe.nc") as spectrum:
        assert spectrum["variance"].dims == ("channel", "wavelength")
        assert spectrum.attrs["region"] == "europe"
    with xr.open_dataset(out / "noisy" / "scores.nc") as scores:
        assert scores["rmse"].dims == ("channel", "time")
        np.testing.assert_array_equal(scores["time"].values, TIME.to_coordinate())
    summary = pd.read_csv(out / "summary.csv", keep_default_na=False)
    assert list(summary["candidate"]) == ["smooth", "smooth", "noisy", "noisy"]
    assert list(summary["region"]) == ["", "europe"] * 2
    error = float(summary["log_spectral_error:kinetic_energy"][0])
    assert error == pytest.approx(abs(np.log(0.49)), rel=1e-4)
    assert float(summary["psnr:vorticity"][0]) < float(summary["psnr:vorticity"][2])
    counts = pd.read_csv(out / "city_counts.csv")
    assert (counts[["better", "equal", "worse"]].sum(axis=1) > 50).all()
    assert not (out / ".progress").exists()
    described = describe_results(out)
    assert described["regions"] == "europe" and described["scale"] == 4
    assert describe_results(out / "noisy" / "scores.nc")["metric"] == "scores"
    assert describe_results(tmp_path) is None


def test_chunks_change_nothing(made, tmp_path):
    assert_same(made, run(tmp_path / "two", chunk=2))


@pytest.mark.slow
def test_a_cluster_gives_the_same(made, tmp_path, capsys):
    assert_same(made, run(tmp_path / "two", chunk=2, workers=2))
    assert "workers=2: without workers, one process" in capsys.readouterr().err


def test_the_same_again_is_done_already(made, capsys):
    before = {path: path.stat().st_mtime_ns for path in made.rglob("*")}
    run(made)
    assert "already made" in capsys.readouterr().err
    assert before == {path: path.stat().st_mtime_ns for path in made.rglob("*")}


def test_more_metrics_candidates_and_regions_are_added(tmp_path, capsys):
    run(tmp_path / "out", own={"smooth": candidates()["smooth"]})
    kept = (tmp_path / "out" / "smooth" / "scores.nc").stat().st_mtime_ns
    run(tmp_path / "out", metrics=(*FEW, "maps"), regions={"north": (90, 0, 30, 359)})
    assert "results exist already" in capsys.readouterr().err
    assert (tmp_path / "out" / "smooth" / "scores.nc").stat().st_mtime_ns == kept
    run(tmp_path / "all", metrics=(*FEW, "maps"), regions={"north": (90, 0, 30, 359)})
    assert_same(tmp_path / "out", tmp_path / "all")
    assert set(pd.read_csv(tmp_path / "out" / "summary.csv")["candidate"]) == {"smooth", "noisy"}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"scale": 8}, "scale was 4, now 8"),
        ({"seed": 1}, "seed was 0, now 1"),
        ({"pairs": 10}, "pairs was 300, now 10"),
        ({"times": ("2000-01-01", "2000-01-02")}, "times"),
        ({"own": {"smooth": source(TRUTH)}}, "candidate smooth"),
    ],
)
def test_other_options_are_refused_and_named(made, changes, named):
    with pytest.raises(InputError, match=named):
        run(made, **changes)


def test_overwriting_makes_everything_anew(out):
    (out / "note.txt").write_text("mine")
    run(out, overwrite=True, scale=8)
    assert options_of_result(out / "noisy" / "scores.nc")["scale"] == 8
    assert not (out / "note.txt").exists()


def test_a_region_of_other_bounds_is_refused(tmp_path):
    run(tmp_path / "out", regions={"here": (60, 0, 0, 90)})
    with pytest.raises(InputError, match="region here"):
        run(tmp_path / "out", regions={"here": (60, 0, 10, 90)})


def test_a_foreign_folder_is_refused_and_left(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="not made by this command"):
        run(tmp_path / "out")
    assert (tmp_path / "out" / "thesis.tex").read_text() == "precious"


def test_a_foreign_file_of_a_result_is_refused(out):
    xr.Dataset({"a": 1}).to_netcdf(out / "smooth" / "maps.nc")
    with pytest.raises(InputError, match=r"maps\.nc"):
        run(out, metrics=(*FEW, "maps"))


def test_a_crash_loses_one_chunk_at_most(made, tmp_path, monkeypatch):
    seen = []
    measure = chunks_module.measure_chunk

    def failing(work, times):
        if len(work.candidates):
            seen.append(int(times[0]))
            if len(seen) == 3:
                raise KeyboardInterrupt
        return measure(work, times)

    monkeypatch.setattr(chunks_module, "measure_chunk", failing)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "out", chunk=2)
    assert seen == [0, 2, 4]
    assert not list(tmp_path.glob("out/*/*.nc"))
    run(tmp_path / "out", chunk=2)
    assert seen == [0, 2, 4, 4, 6, 8]
    assert_same(tmp_path / "out", made)


def test_a_candidate_on_a_turned_grid_in_other_order_is_brought_in_line(tmp_path):
    fields = candidates()["noisy"].fields
    turned = Grid.from_coordinates(GRID.latitudes[::-1], GRID.longitudes - 180)
    other = np.roll(fields, 32, axis=2)[:, ::-1, :, ::-1]
    longer = np.concatenate([other, other[:2]])
    time = TimeAxis(np.append(TIME.values, TIME.values[-1] + [1, 2]), "standard")
    moved = source(longer, grid=turned, channels=CHANNELS[::-1], time=time)
    one = run(tmp_path / "one", own={"a": candidates()["noisy"]}, metrics=("scores",))
    two = run(tmp_path / "two", own={"a": moved}, metrics=("scores",))
    assert_same(one, two, rtol=1e-6)


def test_only_the_times_that_all_have_are_evaluated(tmp_path, capsys):
    short = source(TRUTH[2:6], time=TIME[2:6])
    out = run(tmp_path / "out", own={"short": short, **candidates()})
    assert "4 of 9 times" in capsys.readouterr().err
    assert json.loads((out / "provenance.json").read_text())["options"]["times"][0] == 4
    with xr.open_dataset(out / "noisy" / "scores.nc") as scores:
        assert scores.sizes["time"] == 4


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"channels": ("u", "v")}, "no channel vorticity"),
        ({"units": ("K", "K")}, "'K'"),
        ({"grid": Grid.cell_centred(32)}, "regrid"),
        ({"time": TimeAxis(TIME.values + 60, "standard")}, "no time in common"),
        ({"time": TimeAxis(TIME.values + 60, "noleap")}, r"in the calendar standard.*in noleap"),
        ({"time": TimeAxis.steps(COUNT)}, None),
    ],
)
def test_candidates_that_do_not_fit_are_refused(tmp_path, changes, named):
    own = {"odd": source(TRUTH, **changes)}
    if named is None:
        run(tmp_path / "out", own=own)
        return
    with pytest.raises(InputError, match=named) as raised:
        run(tmp_path / "out", own=own)
    assert "odd" in str(raised.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"metrics": ("rmse",)}, "rmse is unknown"),
        ({"metrics": ("learned",)}, "learned"),
        ({"metrics": ("ensemble",)}, "members"),
        ({"metrics": ("localized_spectrum",)}, "region"),
        ({"regions": {"a/b": (60, 0, 0, 90)}}, "a/b"),
        ({"regions": {"a": (0, 0, 60, 90)}}, "NORTH"),
        ({"regions": {"a": "missing.nc"}}, "missing.nc"),
        ({"regions": {"a": "0,0,60,90"}}, "region a=0,0,60,90: give NAME=NORTH"),
        (
            {"regions": {"a": "89.9,0,89,9"}},
            "region a=89.9,0,89,9 lies outside the data: no row",
        ),
        ({"own": {"truth": source(TRUTH)}}, "candidate truth: this name is reserved"),
    ],
)
def test_mistakes_are_named_before_anything_is_made(tmp_path, options, named):
    with pytest.raises(InputError, match=named):
        run(tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_scale_that_leaves_a_remainder_crops_the_truth(tmp_path):
    grid = Grid.regional(np.linspace(58, 50, 33), np.linspace(-10, 2, 49))
    fields = np.random.default_rng(0).normal(size=(3, 33, 49, 2)).astype("f4")
    facts = {"grid": grid, "time": TIME[:3]}
    part = {"grid": grid.subgrid(slice(0, 32), slice(0, 48)), "time": TIME[:3]}
    evaluate(source(fields, **facts), {"same": source(fields[:, :32, :48], **part)},
             tmp_path / "out", metrics=("scores", "samples"), scale=4, report=False)  # fmt: skip
    with xr.open_dataset(tmp_path / "out" / "same" / "scores.nc") as scores:
        np.testing.assert_array_equal(scores["rmse"], 0)
    with xr.open_dataset(tmp_path / "out" / "truth" / "samples.nc") as samples:
        assert samples["field"].shape == (2, 3, 32, 48)


@pytest.fixture(scope="module")
def winds():
    """Truth and a smoother candidate, u and v on 73 rows from pole to pole."""
    grid = Grid.pole_to_pole(73)
    harmonics = SphericalHarmonics(grid, threads=1)
    coefficients = random_coefficients(harmonics, 4).reshape(2, 2, -1) / (1 + harmonics.degrees)
    factors = (1.0, 1 / (1 + (harmonics.degrees / 20) ** 2))
    return grid, *(
        np.stack(harmonics.synthesise_wind(*np.moveaxis(coefficients * factor, 1, 0)), -1)
        for factor in factors
    )


@pytest.mark.parametrize("means", ["scale", "candidate", "both", "ascending"])
def test_the_globe_without_its_last_row_is_the_globe(winds, tmp_path, means):
    grid, truth, candidate = winds
    facts = {"channels": ("u", "v"), "units": ("m s**-1",) * 2, "time": TIME[:2]}
    part = Grid.from_coordinates(grid.latitudes[:-1], grid.longitudes)
    assert part.kind == "driscoll-healy"  # by its rows alone

    def evaluated(name, first, second, first_grid, second_grid, **options):
        out = evaluate(
            source(first, grid=first_grid, **facts),
            {"smooth": source(second, grid=second_grid, **facts)},
            tmp_path / name, metrics=("spectrum", "high_pass"), report=False, **options,
        )  # fmt: skip
        return pd.read_csv(out / "summary.csv").iloc[0]

    scale = {} if means in ("candidate", "both") else {"scale": 4}
    whole = evaluated("whole", truth, candidate, grid, grid, **scale)
    if means == "scale":
        found = evaluated("other", truth, candidate, grid, grid)  # no scale
    elif means == "candidate":
        found = evaluated("other", truth, candidate[:, :-1], grid, part)
    elif means == "both":
        found = evaluated("other", truth[:, :-1], candidate[:, :-1], part, part)
    else:
        turned = Grid.from_coordinates(part.latitudes[::-1], part.longitudes)
        found = evaluated("other", truth, candidate[:, -2::-1], grid, turned, **scale)
    for name in ("log_spectral_error_all", "effective_resolution", "coherent_resolution"):
        key = f"{name}:kinetic_energy"
        assert found[key] == pytest.approx(whole[key], rel=2e-3), key
    if means != "scale":
        same = ("log_spectral_error:kinetic_energy", "high_pass_rmse:u", "log_spectral_error:v")
        for key in same:
            assert found[key] == pytest.approx(whole[key], rel=5e-3), key


def test_ensembles_and_a_learned_distance(tmp_path):
    members = [candidates()["noisy"], candidates()["smooth"]]
    out = run(
        tmp_path / "out",
        own={"both": EnsembleSource(members)},
        metrics=("ensemble", "learned", "spectrum"),
        learned_distance=lambda x, y: ((x - y) ** 2).mean((1, 2, 3)),
        learned_features=lambda x: x[:, ::8, 0, 0],
    )
    with xr.open_dataset(out / "both" / "learned.nc") as learned:
        expected = [((m.fields - TRUTH) ** 2).mean((1, 2, 3)) for m in members]
        np.testing.assert_allclose(learned["learned_distance"], np.mean(expected, 0), rtol=1e-5)
        assert learned["frechet_distance"] > 0
    with xr.open_dataset(out / "both" / "ensemble.nc") as ensemble:
        assert ensemble["crps"].shape == (2, COUNT)


def test_a_monthly_climatology(tmp_path):
    monthly = np.zeros((12, *GRID.shape, 2), "f4")
    monthly[0] = TRUTH.mean(0)
    climatology = source(monthly, time=TimeAxis.steps(12))
    run(tmp_path / "own", metrics=("scores",))
    run(tmp_path / "given", metrics=("scores",), climatology=climatology)
    assert_same(tmp_path / "own", tmp_path / "given", rtol=1e-5)
    with pytest.raises(InputError, match="5 fields"):
        run(tmp_path / "five", climatology=source(TRUTH[:5], time=TIME[:5]))


@pytest.mark.parametrize("dimension", [None, "month", "dayofyear"])
def test_climatologies_as_xarray_leaves_them(tmp_path, dimension):
    """``mean("time")`` and ``groupby("time.month").mean()`` keep no time axis."""
    fields = {c: (("latitude", "longitude"), TRUTH.mean(0)[..., k], {"units": UNITS[k]})
              for k, c in enumerate(CHANNELS)}  # fmt: skip
    places = {"latitude": GRID.latitudes, "longitude": GRID.longitudes}
    climatology = xr.Dataset(fields, coords=places)
    if dimension:
        count = {"month": 12, "dayofyear": 366}[dimension]
        factor = xr.DataArray(np.arange(count) == 0, coords={dimension: 1 + np.arange(count)})
        with xr.set_options(keep_attrs=True):
            climatology = (
                (climatology * factor).astype("f4").isel({dimension: slice(None, None, -1)})
            )
    climatology.to_netcdf(tmp_path / "climatology.nc")
    run(tmp_path / "own", metrics=("scores",))
    given = open_fields(tmp_path / "climatology.nc")
    run(tmp_path / "given", metrics=("scores",), climatology=given)
    if dimension != "dayofyear":  # of which there are two in these times
        assert_same(tmp_path / "own", tmp_path / "given", rtol=1e-5)
    with xr.open_dataset(tmp_path / "given" / "noisy" / "scores.nc") as scores:
        assert np.isfinite(scores["anomaly_correlation"]).all()


def test_files_remember_what_they_were_made_by(made, tmp_path):
    options = options_of_result(made / "noisy" / "scores.nc")
    assert options["metric"] == "scores" and options["scale"] == 4
    assert options["candidate"]["type"] == "ArraySource"
    (tmp_path / "no.nc").write_text("nothing")
    assert options_of_result(tmp_path / "no.nc") is None


def test_every_second_point_is_no_window(tmp_path):
    coarse = Grid.from_coordinates(GRID.latitudes[::2], GRID.longitudes[::2])
    own = {"coarse": source(TRUTH[:, ::2, ::2], grid=coarse)}
    with pytest.raises(InputError, match="regrid"):
        run(tmp_path / "out", own=own)


def test_the_user_is_told_of_kinetic_energy_that_a_region_cannot_have(tmp_path, capsys):
    run(tmp_path / "out", metrics=["spectrum"], regions={"west": (60, 0, -60, 170)})
    told = capsys.readouterr().err
    assert (
        told.count("no kinetic energy") == 1
        and "n west: no kinetic energy, which on regional fields needs u and v" in told
    )
    with xr.open_dataset(result_path(tmp_path / "out", "noisy", "spectrum", "west")) as regional:
        assert "kinetic_energy" not in regional and "variance" in regional


def test_the_truth_alone(tmp_path):
    out = evaluate(source(TRUTH), {}, tmp_path / "out", metrics=("spectrum",))
    assert (out / "truth" / "spectrum.nc").is_file()
    assert (out / "report.html").is_file()


def notes_of(out):
    return json.loads((out / "provenance.json").read_text())["notes"]


def test_what_is_left_out_is_told_once_and_kept_in_the_report(tmp_path, capsys):
    fields = np.random.default_rng(0).normal(size=(3, 33, 49, 2)).astype("f4")
    fields[1, 20, 20, 0] = np.nan
    fields[2, 3, 3, 1] = np.inf
    grid = Grid.regional(np.linspace(58, 50, 33), np.linspace(-10, 2, 49))
    names = {"channels": ("pr", "fg"), "units": ("mm", "m s-1")}
    part = {"grid": grid.subgrid(slice(0, 32), slice(0, 48)), "time": TIME[:2], **names}
    arguments = (
        source(fields, grid=grid, time=TIME[:3], **names),
        {"small": source(fields[:2, :32, :48], **part)},
        tmp_path / "out",
    )
    options = {
        "metrics": ("scores", "spectrum", "learned"),
        "regions": {"town": (56, -9, 55, -8)},
        "learned_distance": lambda x, y: ((x - y) ** 2).mean((1, 2, 3)),
    }
    evaluate(*arguments, **options)
    told = " ".join(capsys.readouterr().err.split())
    report = (tmp_path / "out" / "report.html").read_text()
    expected = (
        "2 of 3 times are in all candidates",
        "32 of 33 rows and 48 of 49 columns of the truth are evaluated (58…50.25 N, -10…1.75 E)",
        "candidate small does not cover the rest",
        "not in regions: learned",
        "o kinetic energy: no two of the channels (pr, fg) are known as wind; name them by",
        "n town: no spectrum, a spectrum needs at least 8 × 8 points",
        "n town: no structural similarity, whose windows are of 7 × 7 points",
        "he truth lacks 0.033 % of the values of pr: spectra use the 1 of 2 fields",
    )
    for text in expected:
        assert told.count(text) == 1, text
        assert report.count(text) == 1, text
    evaluate(*arguments, **options)  # again: all is there
    assert "lacks" not in capsys.readouterr().err
    # A candidate more: the notes that are there stay, and are not told again.
    arguments[1]["other"] = arguments[1]["small"]
    evaluate(*arguments, **options, report=False)
    assert "pr, fg" not in capsys.readouterr().err
    assert sum("of the channels (pr, fg)" in note for note in notes_of(tmp_path / "out")) == 1


def test_infinite_values_are_told_and_score_as_missing(tmp_path, capsys):
    fields, other = TRUTH.copy(), candidates()
    fields[3, 4, 5, 0] = np.inf
    out = evaluate(source(fields), other, tmp_path / "out", metrics=("scores",), report=False)
    assert "The truth has 1 infinite value of vorticity" in capsys.readouterr().err
    summary = pd.read_csv(out / "summary.csv")
    assert (summary["rmse:vorticity"] > 0).all() and np.isfinite(summary["psnr:vorticity"]).all()


def test_a_missing_row_of_the_globe_is_named(winds, tmp_path, capsys):
    grid, truth, candidate = winds
    facts = {"channels": ("u", "v"), "units": ("m s**-1",) * 2, "time": TIME[:2]}
    part = grid.subgrid(slice(0, 72), slice(None))
    evaluate(
        source(truth, grid=grid, **facts),
        {"smooth": source(candidate[:, :-1], grid=part, **facts)},
        tmp_path / "out", metrics=("scores",), scale=4, report=False,
    )  # fmt: skip
    told = capsys.readouterr().err
    assert "72 of 73 rows of the truth are evaluated" in told
    assert "1 of the globe's 73 rows, 0.012 % of its area, is not in the files" in told


def test_wind_channels_can_be_named(tmp_path):
    names = {"channels": ("west", "south"), "units": ("m s**-1",) * 2}
    arguments = source(TRUTH, **names), {"same": source(0.5 * TRUTH, **names)}, tmp_path / "out"
    out = evaluate(*arguments, metrics=("spectrum",), wind=("west", "south"), report=False)
    with xr.open_dataset(out / "same" / "spectrum.nc") as spectrum:
        np.testing.assert_allclose(spectrum["kinetic_energy_ratio"][1:], 0.25, rtol=1e-4)
    with pytest.raises(InputError, match="wind"):
        evaluate(*arguments, metrics=("spectrum",), report=False)


def test_a_field_missing_at_a_sample_time_spoils_nothing(tmp_path):
    """Three of nine times are drawn as images: 1, 4 and 7."""
    fields = TRUTH.copy()
    fields[4] = np.nan
    out = evaluate(source(fields), candidates(), tmp_path / "out", metrics=("scores", "samples"))
    assert (out / "report.html").is_file()
    assert "could not be drawn" not in (out / "report.html").read_text()
    assert (out / "figures" / "panels-vorticity-2.png").is_file()


def test_fields_of_which_none_is_whole_give_no_blank_figures_and_no_warnings(tmp_path, recwarn):
    fields = TRUTH.copy()
    fields[:, 3, 4, 0] = np.nan
    fields[:, :, :, 1] = np.nan
    out = evaluate(source(fields), candidates(), tmp_path / "out", regions={"a": (40, 10, -40, 90)})
    leaks = [str(w.message) for w in recwarn if "slice" in str(w.message)]
    assert not leaks
    drawn = {path.stem for path in (out / "figures").glob("*.png")}
    assert not {name for name in drawn if name.startswith(("spectrum", "coherence"))} - {
        "spectrum-vorticity-a", "coherence-vorticity-a",
    }  # fmt: skip
    assert "spectrum-vorticity-a" in drawn and "panels-vorticity" in drawn
    report = (out / "report.html").read_text()
    assert "values of vorticity: there are no spectra" in report
    assert "could not be drawn" not in report


def test_one_instant_gives_no_figures_of_variation_in_time(tmp_path):
    facts = {"time": TIME[:1]}
    out = evaluate(
        source(TRUTH[:1], **facts),
        {"near": source(0.9 * TRUTH[:1], **facts)},
        tmp_path / "out", metrics=("maps", "projections", "scores"),
    )  # fmt: skip
    drawn = {path.stem for path in (out / "figures").glob("*.png")}
    assert "map-mean-vorticity" in drawn and "scores-time-vorticity" in drawn
    assert not {"map-std-vorticity", "map-correlation-vorticity", "projections"} & drawn


def test_results_hold_the_units_of_each_channel(tmp_path):
    names = {"channels": ("pr", "tas"), "units": ("mm", "K")}
    out = evaluate(
        source(TRUTH, **names), {"a": source(0.9 * TRUTH, **names)}, tmp_path / "out",
        metrics=("semivariogram", "samples", "cities"), report=False,
    )  # fmt: skip
    for metric, variable, expected in (
        ("semivariogram", "semivariogram", "mm2"),
        ("samples", "field", "mm"),
        ("cities", "wasserstein", "mm"),
    ):
        with xr.open_dataset(out / "a" / f"{metric}.nc") as dataset:
            assert units_of(dataset, variable, "pr") == expected


def test_a_folder_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    from phire.evaluation.results_folder import Folder

    def refuse(path):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(InputError, match=r"results cannot be created \(read-only file system\)"):
        Folder(tmp_path / "results", {}, {}, {}).prepare(False)
    assert not list(tmp_path.iterdir())
