"""Figures drawn from results on disk."""

import json
import subprocess
import sys
import time

import matplotlib
import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner
from PIL import Image

from evaluation.synthetic import CANDIDATES, many, write_results
from phire import progress
from phire.cli import plot
from phire.errors import InputError, WorkError
from phire.evaluation import write_report
from phire.evaluation.figures import draw_all, figure_names
from phire.evaluation.figures.all_figures import plans
from phire.evaluation.figures.figure_saving import lay_out
from phire.evaluation.figures.parallel_drawing import outcomes
from phire.evaluation.figures.results_reading import ResultsFolder
from phire.evaluation.figures.style import new_figure


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    return write_results(folder, rows=32, times=6, channels=("vorticity",))


@pytest.fixture(scope="module")
def figures(results):
    """All figures by name, drawn once."""
    found = {plan.name: plan.draw() for plan in plans(ResultsFolder(results))}
    for figure in found.values():
        figure.canvas.draw()
    return found


def test_figures_are_written_whole_as_png_and_pdf(results, tmp_path):
    names = ["spectrum-vorticity", "panels-vorticity", "boxes"]
    paths = draw_all(results, names=names, dpi=150, output=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{name}.{ending}" for name in names for ending in ("png", "pdf")
    }
    assert set(paths) == set(tmp_path.iterdir())
    for path in paths:
        if path.suffix == ".pdf":
            content = path.read_bytes()
            assert content.startswith(b"%PDF") and b"%%EOF" in content[-32:]
        else:
            with Image.open(path) as image:
                assert image.info["dpi"] == pytest.approx((150, 150), abs=0.1)
                assert min(image.size) >= 400
                values = np.asarray(image.convert("L"))
            assert values.std() > 5  # something is drawn
            assert values[0].min() == values[-1].min() == 255  # and does not run off the page


def test_all_groups_are_there_and_listed_with_captions(tmp_path):
    results = write_results(tmp_path / "results", rows=16, times=5, channels=("vorticity",))
    draw_all(results, formats=["png"], dpi=30)
    entries = json.loads((results / "figures" / "figures.json").read_text("utf-8"))
    written = {path.stem for path in (results / "figures").glob("*.png")}
    assert written == {entry["name"] for entry in entries}
    assert {entry["group"] for entry in entries} == {
        "spectra", "semivariograms", "panels", "scores", "distributions", "maps", "cities",
        "skill", "ensembles",
    }  # fmt: skip
    assert all(len(entry["caption"]) > 20 and entry["title"] for entry in entries)
    names = {entry["name"] for entry in entries}
    assert {
        "spectrum-vorticity", "semivariogram-vorticity",
        "panels-vorticity", "panels-vorticity-North-Atlantic", "scores-time-vorticity",
        "learned-time", "distribution-vorticity", "quantiles-vorticity", "errors-vorticity",
        "boxes", "map-mean-vorticity", "map-rmse-vorticity", "cities-map-vorticity-1x1",
    } <= names  # fmt: skip


def test_legends_cover_no_data_and_nothing_is_cut_off(figures):
    for name, figure in figures.items():
        renderer = figure.canvas.get_renderer()
        for legend in figure.legends:
            box = legend.get_window_extent(renderer)
            for axes in figure.axes:
                assert not box.overlaps(axes.get_window_extent(renderer)), name
        assert not any(axes.get_legend() for axes in figure.axes)
        bounds = figure.get_tightbbox(renderer)
        width, height = figure.get_size_inches()
        assert bounds.x0 > -0.02 and bounds.y0 > -0.02, name
        assert bounds.x1 < width + 0.02 and bounds.y1 < height + 0.02, name


@pytest.mark.slow
def test_eight_candidates_with_long_names_still_fit(tmp_path):
    candidates = {f"{name} with a rather long name": e for name, e in many(8).items()}
    channels = ("vorticity",)
    results = write_results(tmp_path / "results", candidates, 32, times=6, channels=channels)
    crowded = {
        "spectrum-vorticity", "panels-vorticity-East-Asia", "scores-time-vorticity", "boxes",
        "semivariogram-vorticity", "map-mean-vorticity", "cities-map-vorticity-1x1", "projections",
    }  # fmt: skip
    for plan in plans(ResultsFolder(results)):
        if plan.name not in crowded:
            continue
        figure = plan.draw()
        figure.canvas.draw()
        renderer = figure.canvas.get_renderer()
        for axes in figure.axes:
            assert axes.get_window_extent(renderer).width > 0.04 * figure.bbox.width or (
                axes.get_label() == "<colorbar>"
            ), plan.name
        for legend in figure.legends:
            box = legend.get_window_extent(renderer)
            assert box.x0 >= 0 and box.x1 <= figure.bbox.width, plan.name
            assert not any(box.overlaps(a.get_window_extent(renderer)) for a in figure.axes)


def test_a_candidate_has_one_colour_in_all_figures(results, figures):
    folder = ResultsFolder(results)
    styles = folder.styles
    assert list(folder.candidates) == list(CANDIDATES)
    for name, figure in figures.items():
        for legend in figure.legends:
            for handle, text in zip(legend.legend_handles, legend.get_texts()):
                if text.get_text() in styles:
                    assert handle.get_color() == styles[text.get_text()].colour, name


def test_colours_do_not_shift_where_a_candidate_lacks_a_metric(tmp_path):
    results = write_results(tmp_path / "results", rows=16, times=5)
    (results / "bicubic" / "spectrum.nc").unlink()
    folder = ResultsFolder(results)
    (plan,) = [p for p in plans(folder) if p.name == "spectrum-vorticity"]
    labels = {
        text.get_text(): handle.get_color()
        for legend in plan.draw().legends
        for handle, text in zip(legend.legend_handles, legend.get_texts())
    }
    assert "bicubic" not in labels
    assert labels["mse + adversarial"] == folder.styles["mse + adversarial"].colour
    assert folder.styles["mse + adversarial"].colour != folder.styles["bicubic"].colour


def test_missing_metrics_give_no_figure(tmp_path):
    results = write_results(tmp_path / "results", rows=16, times=5)
    for path in results.glob("*/*.nc"):
        if path.name != "scores.nc":
            path.unlink()
    names = {name for name, _ in figure_names(results)}
    assert names == {"scores-time-divergence", "scores-time-vorticity"}


def test_a_regions_results_have_figures_of_their_own(tmp_path):
    results = write_results(tmp_path / "results", rows=16, times=5)
    for metric in ("semivariogram", "distribution", "scores"):
        for path in results.glob(f"*/{metric}.nc"):
            path.with_name(f"{metric}.North Sea.nc").write_bytes(path.read_bytes())
    titles = dict(figure_names(results))
    assert titles["semivariogram-vorticity-North-Sea"].endswith("vorticity, North Sea")
    assert {"scores-time-vorticity-North-Sea", "distribution-vorticity-North-Sea"} <= set(titles)
    assert "semivariogram-vorticity" in titles


def test_named_regions_replace_the_default_zooms(tmp_path):
    results = write_results(tmp_path / "results", rows=16, times=5)
    made = json.loads((results / "provenance.json").read_text("utf-8"))
    made["options"]["regions"] = {"Alps": [50, 0, 40, 20], "Land": "/data/mask.nc"}
    (results / "provenance.json").write_text(json.dumps(made), encoding="utf-8")
    names = {name for name, _ in figure_names(results) if name.startswith("panels-vorticity")}
    assert names == {f"panels-vorticity{end}" for end in ("", "-2", "-3", "-Alps")}


def test_some_figures_are_redrawn_elsewhere_by_phire_plot(results, tmp_path):
    command = plot.figures
    arguments = [str(results), "boxes", "map-r*", "--format", "svg", "--out", tmp_path]
    said = CliRunner().invoke(command, [*map(str, arguments), "--quiet"])
    assert said.exit_code == 0, said.output
    assert {path.name for path in tmp_path.iterdir()} == {"boxes.svg", "map-rmse-vorticity.svg"}
    assert not (results / "figures").exists()
    said = CliRunner().invoke(command, [str(results), "--list"])
    assert "spectrum-vorticity" in said.output and "Spectrum of vorticity" in said.output
    said = CliRunner().invoke(command, [str(tmp_path / "nowhere")])
    assert said.exit_code == 2 and "no results folder" in said.output


def test_a_figure_that_fails_is_named_and_the_others_are_drawn(tmp_path, monkeypatch, capsys):
    results = write_results(tmp_path / "results", rows=16, times=5, channels=("vorticity",))

    def broken(*arguments, **options):
        raise ValueError("no such palette")

    monkeypatch.setattr("phire.evaluation.figures.distribution_plots.box_figure", broken)
    paths = draw_all(results, formats=["png"], dpi=30, processes=1)
    told = " ".join(capsys.readouterr().err.split())
    assert "The figure boxes could not be drawn (ValueError: no such palette)." in told
    assert len(paths) == len(figure_names(results)) - 1
    report = write_report(results).read_text()
    assert (
        "<li>The figure Quantiles could not be drawn (ValueError: no such palette).</li>" in report
    )
    assert 'id="boxes"' not in report and 'id="quantiles-vorticity"' in report


def test_processes_draw_the_same_figures(tmp_path):
    results = write_results(tmp_path / "results", rows=16, times=5, channels=("vorticity",))
    one, two = (
        draw_all(results, formats=["png"], dpi=30, output=tmp_path / str(n), processes=n)
        for n in (1, 2)
    )
    assert [path.name for path in one] == [path.name for path in two]
    for path in one:
        assert path.read_bytes() == (tmp_path / "2" / path.name).read_bytes(), path.name


def test_processes_say_a_note_once_and_nothing_where_all_is_quiet(tmp_path, monkeypatch, capfd):
    results = write_results(tmp_path / "results", rows=16, times=5, channels=("vorticity",))
    for variable in ("CARTOPY_DATA_DIR", "XDG_DATA_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    options = {"names": ["panels-*", "map*"], "formats": ["png"], "dpi": 30, "processes": 2}
    for silent, times in ((False, 1), (True, 0)):
        progress.say_once.cache_clear()
        with progress.quiet(silent):
            draw_all(results, **options)
        said = capfd.readouterr().err
        assert said.count("without coastlines") == said.count("\n") == times, said


def test_a_further_process_that_cannot_write_or_ends_is_told(tmp_path):
    results = write_results(tmp_path / "results", rows=16, times=5, channels=("vorticity",))
    request = {"results": str(results), "formats": ["png"], "dpi": 30}

    def waits(name):  # leaves the rest of the figures to the other process
        time.sleep(1)

    names = [name for name, _ in figure_names(results)][:4]
    long = {"target": str(tmp_path / ("x" * 300))}
    with pytest.raises(OSError, match="File name too long"):
        list(outcomes(names, waits, request | long, 2))
    with pytest.raises(WorkError, match="a process ended while drawing the figure"):
        list(outcomes(names, waits, request | {"target": "", "results": "nowhere"}, 2))


def test_tick_labels_need_no_mathtext():
    figure = new_figure(6, 3)
    logarithmic, linear = figure.subplots(1, 2)
    logarithmic.plot([1, 2], [1e-9, 3e-4])
    logarithmic.set_yscale("log")
    linear.plot([1, 2], [1e-9, 3e-9])
    lay_out(figure)
    labels = [text.get_text() for text in logarithmic.get_yticklabels(which="both")]
    assert "10⁻⁷" in labels and not any("$" in label for label in labels)
    assert not any("$" in text.get_text() for text in linear.get_yticklabels())
    assert linear.yaxis.get_offset_text().get_text() == "×10⁻⁹"


def test_mistakes_are_named(results, tmp_path):
    with pytest.raises(InputError, match="no figure spectrum-humidity"):
        draw_all(results, names=["spectrum-humidity"], output=tmp_path)
    with pytest.raises(InputError, match="'jpg'"):
        draw_all(results, formats=["jpg"], output=tmp_path)
    with pytest.raises(InputError, match="no results folder"):
        draw_all(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no results"):
        draw_all(tmp_path / "empty")


def test_the_callers_matplotlib_is_left_alone(results, tmp_path):
    with matplotlib.rc_context({"font.size": 21, "axes.grid": False}):
        before = dict(matplotlib.rcParams)
        draw_all(results, names=["boxes"], formats=["png"], output=tmp_path)
        assert dict(matplotlib.rcParams) == before
    small = (tmp_path / "boxes.png").read_bytes()
    draw_all(results, names=["boxes"], formats=["png"], output=tmp_path)
    assert (tmp_path / "boxes.png").read_bytes() == small


def test_drawing_needs_no_pyplot_nor_tensorflow():
    code = (
        "import sys, phire.evaluation.figures, phire.evaluation.report; "
        "print([name for name in ('matplotlib.pyplot', 'tensorflow') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_fields_without_coordinates_and_without_a_calendar(tmp_path):
    """A bare store: rows, columns and steps are numbered."""
    random = np.random.default_rng(0)
    truth = random.normal(size=(1, 2, 12, 20))
    for name, error in (("truth", 0), ("candidate", 0.3)):
        folder = tmp_path / "results" / name
        folder.mkdir(parents=True)
        field = truth + error * random.normal(size=truth.shape)
        xr.Dataset(
            {"field": (("channel", "time", "row", "column"), field)},
            {"channel": ["channel_0"], "time": [3, 9]},
            {"scale": 4},
        ).to_netcdf(folder / "samples.nc")
        if error:
            scores = {"rmse": (("channel", "time"), [[0.3, 0.2, 0.1]])}
            xr.Dataset(scores, {"channel": ["channel_0"], "time": [0, 1, 2]}).to_netcdf(
                folder / "scores.nc"
            )
    found = {plan.name: plan for plan in plans(ResultsFolder(tmp_path / "results"))}
    assert set(found) == {"panels-channel-0", "panels-channel-0-2", "scores-time-channel-0"}
    figure = found["panels-channel-0"].draw()
    assert "step 3" in figure.get_suptitle()
    shown = {axes.get_title(loc="left"): axes for axes in figure.axes}
    mean = truth[0, 0].reshape(3, 4, 5, 4).mean((1, 3))
    np.testing.assert_allclose(shown["Truth, 4 × 4 means"].images[0].get_array(), mean, atol=1e-6)
    assert "step" in found["scores-time-channel-0"].draw().axes[0].get_xlabel().lower()
