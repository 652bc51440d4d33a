"""Networks see the same whole coarse field beside a patch in training and beside a tile."""

from __future__ import annotations

import numpy as np
import pytest

from downscaling.trained_runs import make_run
from phire.downscaling import train_generator
from phire.downscaling.network_graphs import NetworkGraphs
from phire.downscaling.predicted_source import PredictedSource
from phire.downscaling.residual_base import check_run
from phire.downscaling.schema_shapes import shapes_of
from phire.downscaling.trained_generator import TrainedGenerator
from phire.errors import InputError
from phire.fields import open_store
from phire.fields.coarsening import CoarsenedSource
from phire.fields.source import ArraySource
from phire.records import open_records, write_downscaling_records

NETWORK = "unet,widths=[4],blocks=1,normalization=none,context=true"
OPTIONS = {"patch": (16, 16), "scale": 4, "patches_per_field": 2, "shards": 1, "margin": 1}


@pytest.fixture(scope="module")
def records(store, tmp_path_factory):
    path = tmp_path_factory.mktemp("context") / "records"
    write_downscaling_records(store, path, **OPTIONS, context=(3, 5), normalization="z")
    return path


@pytest.fixture(scope="module")
def generator(records, tmp_path_factory):
    schema = open_records(records).schema
    path = make_run(
        tmp_path_factory.mktemp("run") / "run", schema, shapes_of(schema).of_any_size(), NETWORK
    )
    return TrainedGenerator(path)


@pytest.fixture
def seen(monkeypatch):
    """The contexts that networks were given."""
    found = []
    applied = NetworkGraphs.__call__

    def watched(graphs, arrays):
        found.append(arrays["context"])
        return applied(graphs, arrays)

    monkeypatch.setattr(NetworkGraphs, "__call__", watched)
    return found


def test_tiles_of_any_size_see_the_context_of_the_records(generator, records, store, seen):
    coarse = CoarsenedSource(open_store(store), 4)
    (batch,) = open_records(records).dataset(48).as_numpy_iterator()
    fields = []
    for tile in (3, 8):
        seen.clear()
        fields.append(PredictedSource(generator, coarse, tile=tile).read([5]))
        contexts = np.concatenate(seen)
        assert np.ptp(contexts, axis=0).max() == 0
        assert np.abs(batch["context"] - contexts[0]).max((1, 2, 3)).min() < 1e-5
    np.testing.assert_allclose(*fields, rtol=1e-4, atol=1e-9)


def test_the_output_depends_on_the_context(generator):
    network = generator.network
    random = np.random.default_rng(0)
    low, context = (
        random.normal(size=(1, *shape, 2)).astype("f4") for shape in ((6, 6), (3, 5))
    )  # fmt: skip
    outputs = [network({"low": low, "context": c}) for c in (context, context[:, ::-1])]
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-3


def test_another_domain_than_in_training_is_noted(generator, store, capsys):
    coarse = CoarsenedSource(open_store(store), 4)
    columns = slice(2, 12)
    part = ArraySource(
        coarse.read([0])[:, :, columns], channels=coarse.channels, units=coarse.units,
        grid=coarse.grid.subgrid(slice(None), columns), time=coarse.time[[0]],
    )  # fmt: skip
    PredictedSource(generator, coarse)
    assert "whole coarse field" not in capsys.readouterr().err
    PredictedSource(generator, part)
    assert "reads the whole coarse field as context" in capsys.readouterr().err


def test_records_without_the_context_are_refused(records, store, tmp_path):
    write_downscaling_records(store, tmp_path / "plain", **OPTIONS, statistics=records)
    write_downscaling_records(store, tmp_path / "other", **OPTIONS, statistics=records,
                              context=(2, 2))  # fmt: skip
    options = {"network": NETWORK, "objective": "content", "epochs": (1,),
               "learning_rates": (1e-3,), "batch_size": 8}  # fmt: skip
    with pytest.raises(InputError, match=r"records lack it: make them with context H,W"):
        train_generator(tmp_path / "plain", tmp_path / "run", **options)
    with pytest.raises(InputError, match=r"validation .* has another context than"):
        train_generator(records, tmp_path / "run", validation=tmp_path / "other", **options)
    write_downscaling_records(store, tmp_path / "of its own", **OPTIONS, context=(3, 5),
                              time=",2000-01-02")  # fmt: skip
    with pytest.raises(InputError, match=r"other normalization .* with statistics \S+records\.$"):
        train_generator(records, tmp_path / "run", validation=tmp_path / "of its own", **options)
    assert not (tmp_path / "run").exists()
    config = {"schema": open_records(records).schema.to_dict(), "objective": {"name": "content"}}
    with pytest.raises(InputError, match="a context of 3 × 5 cells, but the records have 2 × 2"):
        check_run("run", config, open_records(tmp_path / "other").schema)
