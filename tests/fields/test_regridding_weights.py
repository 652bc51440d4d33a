"""Weights of regridding that are kept in a file."""

from __future__ import annotations

import numpy as np
import pytest

from phire.errors import InputError
from phire.fields import convert, open_store, regrid, write_source
from phire.fields.curvilinear import CurvilinearGrid
from phire.fields.grid import Grid
from phire.fields.regridding import METHODS, Regridder
from phire.fields.regridding_weights import stored_weights
from phire.fields.source import ArraySource

FINE = Grid.regional(np.linspace(58, 42, 17), np.linspace(-8, 8, 17))
COARSE = Grid.regional([55.0, 50, 45], [-5.0, 0, 5])
LAMBERT = CurvilinearGrid.projected(
    np.arange(4e5, -4.1e5, -1e5), np.arange(-4e5, 4.1e5, 1e5),
    "+proj=lcc +lat_1=50 +lat_0=50 +lon_0=0 +R=6371200",
)  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("target", [COARSE, LAMBERT], ids=["axes", "points"])
def test_kept_weights_give_the_same_bits(tmp_path, method, target):
    fields = np.random.default_rng(0).normal(size=(2, *FINE.shape, 2)).astype("f4")
    fields[0, 5, 5] = np.nan
    path = tmp_path / "weights.npz"
    computed = Regridder(FINE, target, method, weights=path)
    plain = Regridder(FINE, target, method)(fields)
    np.testing.assert_array_equal(computed(fields), plain)
    kept = Regridder(FINE, target, method, weights=path)
    np.testing.assert_array_equal(kept(fields), plain)
    np.testing.assert_array_equal(kept.covered, computed.covered)
    stored_weights(path, FINE, target, method, lambda: pytest.fail("computed again"))


def test_the_command_keeps_them_beside_its_output(tmp_path):
    fields = np.random.default_rng(0).normal(size=(3, *FINE.shape, 1)).astype("f4")
    write_source(ArraySource(fields, channels=["t"], grid=FINE), tmp_path / "a.h5")
    for name in "bc":
        regrid(
            tmp_path / "a.h5", tmp_path / f"{name}.h5", grid="degrees:4",
            weights=tmp_path / "w.npz",
        )  # fmt: skip
    with open_store(tmp_path / "b.h5") as one, open_store(tmp_path / "c.h5") as other:
        np.testing.assert_array_equal(one.read(slice(None)), other.read(slice(None)))


def test_weights_of_something_else_are_refused(tmp_path):
    path = tmp_path / "weights.npz"
    Regridder(FINE, COARSE, weights=path)
    with pytest.raises(InputError, match=r"npz: its method is conservative, not bilinear:"):
        Regridder(FINE, COARSE, "bilinear", weights=path)
    with pytest.raises(InputError, match="npz: its grids are a regional grid of 17 × 17"):
        Regridder(COARSE, FINE, weights=path)
    with pytest.raises(InputError, match="npz: the points of its grids differ"):
        Regridder(Grid.regional(FINE.latitudes + 1e-9, FINE.longitudes), COARSE, weights=path)
    path.write_text("nothing")
    with pytest.raises(InputError, match="is not a file of regridding weights"):
        Regridder(FINE, COARSE, weights=path)
    with pytest.raises(InputError, match=r"ends with \.npz"):
        Regridder(FINE, COARSE, weights=tmp_path / "weights")
    assert [p.name for p in tmp_path.iterdir()] == ["weights.npz"]


def test_a_folder_holds_the_weights_of_several_sources_under_names_of_their_own(tmp_path, capsys):
    for name, grid in (("a", FINE), ("b", LAMBERT)):
        fields = np.random.default_rng(0).normal(size=(2, *grid.shape, 1)).astype("f4")
        write_source(
            ArraySource(fields, channels=[name], units=["K"], grid=grid), tmp_path / f"{name}.h5"
        )
    weights = tmp_path / "weights"
    weights.mkdir()
    sources = [tmp_path / "a.h5", tmp_path / "b.h5"]
    words = {"grid": "degrees:2:54,-4,46,4", "method": "bilinear", "weights": weights}
    convert(sources, tmp_path / "one.h5", **words)
    assert capsys.readouterr().err.count(": weights of") == 2
    kept = sorted(weights.iterdir())
    assert len(kept) == 2 and all(path.suffix == ".npz" for path in kept)
    convert(sources, tmp_path / "two.h5", **words)
    assert ": weights of" not in capsys.readouterr().err  # which tells that they are computed
    with open_store(tmp_path / "one.h5") as one, open_store(tmp_path / "two.h5") as two:
        np.testing.assert_array_equal(one.read([0, 1]), two.read([0, 1]))
    convert(sources, tmp_path / "two.h5", **{**words, "weights": None})  # the same output
    with pytest.raises(InputError, match="another file, or a folder for several"):
        convert(sources, tmp_path / "three.h5", **{**words, "weights": kept[0]})
    assert not (tmp_path / "three.h5").exists()
