"""Networks trained on patches of one size, applied to fields of another."""

from __future__ import annotations

import numpy as np
import pytest

from phire.downscaling import PredictedSource, train_generator
from phire.downscaling.generator_task import Task
from phire.downscaling.trained_generator import TrainedGenerator
from phire.errors import InputError
from phire.fields import ArraySource, CoarsenedSource, open_store
from phire.fields.coarsening import block_mean
from phire.networks import network
from phire.records import open_records, write_downscaling_records

ANY_SIZE = {
    "unet-small": "unet-small,widths=[4,8],blocks=1,groups=2",
    "unet of rms": "unet,widths=[4,8],blocks=1,normalization=rms",
    "swin2sr": "swin2sr,filters=8,depths=[2],heads=2,window_size=4,upsampling_filters=4",
    "fsrcnn": "fsrcnn,filters=6,narrow=4,blocks=1",
    "conv-baseline": "conv-baseline,filters=[6,4]",
}
ONE_SIZE = {
    "deepesd": ("deepesd,filters=[4,2]", True),
    "attention by side": ("unet,widths=[4,8],blocks=1,groups=2,attention_sides=[8]", False),
}
TRAINING = {"objective": "content", "epochs": (1,), "learning_rates": (1e-2,), "batch_size": 8}


@pytest.mark.parametrize("name", ANY_SIZE)
def test_a_network_of_patches_predicts_larger_fields(name, records, store, tmp_path):
    train_generator(records, tmp_path / "run", network=ANY_SIZE[name], **TRAINING)
    coarse = CoarsenedSource(open_store(store), 4)
    whole, tiled = (PredictedSource(tmp_path / "run", coarse, tile=n).read([3]) for n in (99, 5))
    assert whole.shape == (1, 32, 64, 2) and np.isfinite(whole).all() and whole.std() > 0
    np.testing.assert_allclose(tiled, whole, atol=1e-4 * whole.std())


@pytest.mark.parametrize("name", ONE_SIZE)
def test_a_network_of_one_size_says_so(name, records, store, tmp_path):
    network, whole = ONE_SIZE[name]
    if whole:
        records = tmp_path / "whole"
        write_downscaling_records(
            store, records, scale=4, whole_fields=True, shards=1, normalization="z"
        )
    train_generator(records, tmp_path / "run", network=network, **TRAINING)
    coarse = CoarsenedSource(open_store(store), 4)
    rows, columns = (8, 16) if whole else (4, 4)
    for height, fits in ((rows, True), (rows - 1, False)):
        grid = coarse.grid.subgrid(slice(0, height), slice(0, columns))
        fields = coarse.read([3])[:, :height, :columns]
        part = ArraySource(fields, channels=coarse.channels, units=coarse.units, grid=grid)
        if fits:
            made = PredictedSource(tmp_path / "run", part).read([0])
            assert made.shape == (1, 4 * rows, 4 * columns, 2)
            continue
        said = rf"refines to exactly {4 * rows} × {4 * columns} points, but .* any"
        with pytest.raises(InputError, match=said):
            PredictedSource(tmp_path / "run", part)


def _coarse(store, rows, columns):
    coarse = CoarsenedSource(open_store(store), 4)
    grid = coarse.grid.subgrid(slice(0, rows), slice(0, columns))
    fields = coarse.read([3])[:, :rows, :columns]
    return ArraySource(fields, channels=coarse.channels, units=coarse.units, grid=grid)


def test_a_denoiser_of_one_size_takes_fields_of_at_least_a_tile(records, store, tmp_path):
    network = ONE_SIZE["attention by side"][0]
    train_generator(records, tmp_path / "run", **{**TRAINING, "objective": "edm"}, network=network)
    run = TrainedGenerator(tmp_path / "run", sampler="euler,steps=2")
    made = PredictedSource(run, _coarse(store, 6, 8)).read([0])
    assert made.shape == (1, 24, 32, 2) and np.isfinite(made).all()
    with pytest.raises(
        InputError, match=r"tiles of 16 × 16 points, .* the input covers the .*12 ×"
    ):
        PredictedSource(run, _coarse(store, 3, 8))
    with pytest.raises(InputError, match=r"--tile 3 .* tiles of 4 × 4 coarse points"):
        PredictedSource(run, _coarse(store, 6, 8), tile=3)


def test_conserved_means_are_those_of_the_coarse_input(records):
    """Before prediction restores them: in training, too, blocks are weighted by area."""
    task = Task(open_records(records).schema, *network.resolve("srgan-small,filters=4"), True)
    model = task.build_network()
    batch = next(iter(open_records(records).dataset(8, seed=0)))
    fine = model({name: batch[name] for name in model.input})
    fine = task.normalization.invert(np.asarray(fine, "f8"))
    low = task.normalization.invert(np.asarray(batch["low"], "f8"))
    for field, coarse, (row, _) in zip(fine, low, batch["position"].numpy()):
        rows = task.schema.domain.subgrid(slice(row, row + 16), slice(0, 16))
        np.testing.assert_allclose(
            block_mean(field[None], rows, 4)[0], coarse, atol=1e-4 * low.std()
        )
