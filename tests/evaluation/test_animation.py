"""Animations show each field at its time, the right way up, in both formats."""

import subprocess

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from evaluation.made_fields import white_ensemble
from phire.cli.plot import main
from phire.errors import InputError
from phire.evaluation.figures import animation
from phire.evaluation.figures.animation import evaluation_frames, write_animation
from phire.fields import ArraySource, EnsembleSource, Grid, write_source
from phire.fields.time_axis import TimeAxis

GRID = Grid.regional(np.linspace(50, 44, 6), np.linspace(0, 7, 8))
TIME = TimeAxis.from_cf(np.arange(4), "days since 2000-01-01")


def source(fields, grid=GRID, time=TIME):
    return ArraySource(fields.astype("f4"), grid=grid, channels=("t", "q"), units=("K", "1"),
                       time=time)  # fmt: skip


@pytest.fixture(scope="module")
def fields():
    """Truth (4, 6, 8, 2) and members (4, 3, 6, 8, 2)."""
    return white_ensemble(GRID, times=4, members=3, channels=2)


def test_frames_are_of_common_times_and_of_the_channel(fields):
    truth, members = fields
    ensemble = EnsembleSource([source(members[1:, m], time=TIME[np.arange(1, 4)])
                               for m in range(3)])  # fmt: skip
    frames = evaluation_frames(source(truth), {"e": ensemble}, channel="q", members=2)
    assert list(frames.panels) == ["Truth", "e, mean", "e, member 1", "e, member 2"]
    np.testing.assert_allclose(frames.panels["Truth"], truth[1:, ..., 1].astype("f4"))
    np.testing.assert_allclose(frames.panels["e, mean"], members[1:, ..., 1].mean(1), atol=1e-6)
    assert len(frames.titles) == 3 and "2000-01-02" in frames.titles[0]
    with pytest.raises(InputError, match="channel nothing"):
        evaluation_frames(source(truth), {}, channel="nothing")


@pytest.mark.parametrize("north_first", [True, False])
def test_a_warm_south_is_drawn_below(tmp_path, north_first):
    latitudes = GRID.latitudes if north_first else GRID.latitudes[::-1]
    grid = Grid.regional(latitudes, GRID.longitudes)
    warm = np.broadcast_to((latitudes < 47)[:, None, None], (6, 8, 2))
    truth = source(np.stack([warm, warm, ~warm, warm]) * 1.0, grid)
    path = write_animation(evaluation_frames(truth, {}), tmp_path / "a.gif", dpi=60, rate=2)
    with Image.open(path) as image:
        assert image.n_frames == 4 and image.info["duration"] == 500
        for frame, south_is_warm in enumerate((True, True, False, True)):
            image.seek(frame)
            pixels = np.asarray(image.convert("RGB"), int)
            height, width = pixels.shape[:2]
            above, below = (pixels[int(height * y), int(width * 0.4)] for y in (0.35, 0.7))
            yellow = below if south_is_warm else above  # viridis is yellow at its end
            assert yellow[0] > 200 and yellow[1] > 200
            assert abs(above - below).sum() > 200


def test_mp4_is_a_film_of_all_frames(fields, tmp_path):
    ffmpeg = animation.require_writer("a.mp4")
    path = write_animation(evaluation_frames(source(fields[0]), {}), tmp_path / "a.mp4", dpi=50)
    said = subprocess.run([ffmpeg, "-i", str(path), "-f", "null", "-"], capture_output=True,
                          text=True, check=True).stderr  # fmt: skip
    assert "frame=    4" in said and "h264" in said


def test_without_ffmpeg_a_gif_is_offered(monkeypatch):
    monkeypatch.setattr(animation.shutil, "which", lambda name: None)
    monkeypatch.setattr(animation, "_packaged_ffmpeg", lambda: None)
    with pytest.raises(InputError, match=r"needs ffmpeg.*\.gif"):
        animation.require_writer("a.mp4")
    assert animation.require_writer("a.gif")


def test_the_command_writes_whole_files_and_refuses_others(fields, tmp_path):
    write_source(source(fields[0]), tmp_path / "truth.nc")
    words = ["animation", str(tmp_path / "truth.nc"), str(tmp_path / "a.gif")]
    ran = CliRunner().invoke(main, [*words, "--time", "2000-01-01,2000-01-03", "--quiet"])
    assert ran.exit_code == 0, ran.output
    assert {path.name for path in tmp_path.iterdir()} == {"truth.nc", "a.gif"}
    again = CliRunner().invoke(main, words)
    assert again.exit_code == 2 and "--overwrite" in again.output
    words[2] = str(tmp_path / "a.avi")
    refused = CliRunner().invoke(main, words)
    assert refused.exit_code == 2 and "must end in .gif or .mp4" in refused.output
