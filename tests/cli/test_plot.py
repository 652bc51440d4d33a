"""``phire plot KIND``: each kind draws what its file holds."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner
from matplotlib.image import imread

from phire.cli.plot import main
from phire.evaluation.figures.training_curve_plots import training_figure
from phire.fields.result_files import write_result
from phire.rplearn.calibration import lag_scores
from phire.rplearn.figures.confusion_matrix import confusion_figure
from phire.rplearn.figures.lag_distance import lag_figure

LAGS = np.arange(1, 9)


def run(name, *arguments, status=0):
    result = CliRunner().invoke(main, [name, *map(str, arguments)])
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture
def lag_file(tmp_path):
    measures = ["l1", "l2", "psnr", "ssim"]
    rising = np.sqrt(LAGS)[None] * np.arange(1, 5)[:, None]
    results = xr.Dataset(
        {
            "mean": (("measure", "lag"), rising),
            "std": (("measure", "lag"), 0.1 * rising),
            "scale": ("measure", [1.0, 1.0, 0.1, 2.0]),
            "spearman": ("measure", [0.5, 0.6, 0.7, 0.8]),
            "learned_mean": ("lag", LAGS * 1.0),
            "learned_std": ("lag", LAGS * 0.2),
            "learned_spearman": 0.9,
        },
        coords={"lag": LAGS, "measure": measures},
    )
    write_result(results, tmp_path / "lag.nc", {})
    return tmp_path / "lag.nc"


@pytest.fixture
def score_file(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(1, 9, 400)
    logits = rng.standard_normal((400, 8)) + 2 * np.eye(8)[labels - 1]
    write_result(lag_scores(logits, labels), tmp_path / "epoch-0001.nc", {})
    return tmp_path / "epoch-0001.nc"


def is_a_picture(path):
    """Tells whether a picture is not blank: ink on white, in more than one colour."""
    pixels = imread(path)[..., :3]
    colours = np.unique((pixels * 8).astype(int).reshape(-1, 3), axis=0)
    return pixels.max() == 1 and pixels.min() < 0.3 and len(colours) > 10


def test_confusion_matrix(score_file, tmp_path):
    run("confusion-matrix", score_file, tmp_path / "a.png", "--step-hours", 3)
    assert is_a_picture(tmp_path / "a.png")


def test_confusion_matrix_shows_the_share_of_each_true_lag(score_file):
    with xr.open_dataset(score_file, engine="h5netcdf") as results:
        figure = confusion_figure(results.load(), 3)
    share = figure.axes[0].images[0].get_array()
    np.testing.assert_allclose(share.sum(axis=1), 1)
    assert figure.axes[0].get_xlabel() == "predicted lag (h)"


def test_distance_against_lag(lag_file, tmp_path):
    run("lag-distance", lag_file, tmp_path / "a.pdf")
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    run("lag-distance", lag_file, tmp_path / "a.png")
    assert is_a_picture(tmp_path / "a.png")


def test_distance_against_lag_is_drawn_to_scale(lag_file):
    with xr.open_dataset(lag_file, engine="h5netcdf") as results:
        figure = lag_figure(results.load(), None)
    assert len(figure.axes) == 5
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), LAGS)
    np.testing.assert_allclose(figure.axes[4].lines[0].get_ydata(), 2.0 * 4 * np.sqrt(LAGS))


def test_comparison_of_encoders(lag_file, tmp_path):
    run("encoder-comparison", f"one={lag_file}", f"two={lag_file}", "--out", tmp_path / "a.png")
    assert is_a_picture(tmp_path / "a.png")
    said = run(
        "encoder-comparison",
        f"a={lag_file}",
        f"a={lag_file}",
        "--out",
        tmp_path / "b.png",
        status=2,
    )
    assert "same" in said or "named 'a'" in said


def test_histogram_of_the_data(tmp_path):
    value = np.linspace(-8, 8, 200)
    normal = np.exp(-(value**2) / 2)
    results = xr.Dataset(
        {"density": (("space", "channel", "value"), np.tile(normal, (2, 2, 1)))},
        coords={
            "space": ["z-scored", "normalised"],
            "channel": ["divergence", "vorticity"],
            "value": value,
        },
    )
    write_result(results, tmp_path / "pixels.nc", {})
    run("data-histogram", tmp_path / "pixels.nc", tmp_path / "a.png")
    assert is_a_picture(tmp_path / "a.png")


def test_certainty_map(tmp_path):
    rng = np.random.default_rng(0)
    names = ("probability", "accuracy", "top_3_accuracy", "entropy")
    results = xr.Dataset(
        {
            **{
                name: (("group", "latitude", "longitude"), rng.uniform(size=(2, 5, 9)))
                for name in names
            },
            "count": ("group", [10, 4]),
        },
        coords={
            "group": ["all", "DJF"],
            "latitude": np.linspace(60, -60, 5),
            "longitude": np.arange(9) * 40.0,
        },
        attrs={"lag": 3},
    )
    write_result(results, tmp_path / "certainty.nc", {})
    run("certainty-map", tmp_path / "certainty.nc", tmp_path / "a.png", "--group", "DJF")
    assert is_a_picture(tmp_path / "a.png")
    said = run(
        "certainty-map", tmp_path / "certainty.nc", tmp_path / "b.png", "--group", "JJA", status=2
    )
    assert "the results hold all, DJF" in said


@pytest.fixture
def history():
    epochs = np.arange(1, 11)
    return pd.DataFrame(
        {
            "epoch": epochs,
            "phase": ["warm-up"] * 3 + ["training"] * 7,
            "loss": 2 / epochs,
            "val_loss": np.where(epochs % 2, np.nan, 3 / epochs),
            "accuracy": 1 - 1 / epochs,
        }
    )


def test_training_curves(history, tmp_path):
    history.to_csv(tmp_path / "training.csv", index=False)
    run("training-curves", tmp_path, tmp_path / "a.png")
    assert is_a_picture(tmp_path / "a.png")
    said = run("training-curves", tmp_path / "none", tmp_path / "b.png", status=2)
    assert "has no training.csv" in said


def test_training_curves_shade_the_warm_up(history):
    figure = training_figure(history)
    loss, accuracy = figure.axes
    (shade,) = loss.patches
    assert (shade.get_x(), shade.get_x() + shade.get_width()) == (0.5, 3.5)
    assert loss.texts[0].get_text() == "warm-up"
    training, validation = loss.lines
    np.testing.assert_allclose(training.get_ydata(), history["loss"])
    np.testing.assert_array_equal(validation.get_xdata(), [2, 4, 6, 8, 10])
    assert len(accuracy.lines) == 1


def test_a_missing_file_is_named(tmp_path):
    said = run("confusion-matrix", tmp_path / "none.nc", tmp_path / "a.png", status=2)
    assert "none.nc does not exist" in said


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("confusion-matrix", "holds no variable confusion: name RUN/evaluation/epoch-NNNN.nc"),
        ("lag-distance", "holds no variable learned_mean: name METRIC/lag.nc of rplearn-eval."),
        ("encoder-comparison", "holds no variable learned_mean: name METRIC/lag.nc"),
        ("certainty-map", "holds no variable group: name a file of rplearn-certainty."),
        ("data-histogram", "holds no variable channel: name RUN/evaluation/pixels.nc"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path, name, expected):
    rain = xr.Dataset({"pr": (("lag", "x"), np.ones((2, 3)))}, coords={"lag": [1, 2]})
    rain.to_netcdf(tmp_path / "rain.nc")
    given, output = tmp_path / "rain.nc", tmp_path / "a.png"
    arguments = (f"a={given}", "--out", output) if name == "encoder-comparison" else (given, output)
    said = run(name, *arguments, status=2)
    assert f"rain.nc {expected}" in said
    assert not output.exists()


def test_an_ending_that_names_no_format_is_refused(lag_file, tmp_path):
    said = run("lag-distance", lag_file, tmp_path / "a.jpeg", status=2)
    assert "must end in .png, .pdf or .svg" in said
    assert not (tmp_path / "a.jpeg").exists()
