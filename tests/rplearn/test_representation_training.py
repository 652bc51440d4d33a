"""Training a representation from records to a metric, on a flow that is carried along."""

import functools
import json

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import xarray as xr
import yaml

from phire.errors import InputError
from phire.fields.normalization import Normalization
from phire.fields.store import open_store
from phire.records import open_records
from phire.rplearn import LearnedMetric, compare_runs, evaluate_representation, train_representation
from phire.rplearn.pretext_task import Task
from phire.rplearn.recipes import Recipe, build_optimizer, recipe_of
from phire.rplearn.representation_training import objectives, renormalised
from phire.rplearn.trained_representation import Representation

SMALL = {
    "network": "tiny",
    "network_options": {"filters": (4, 4, 4, 8), "stem_filters": 4},
    "objective": "temporal-distance,head_filters=8",
    "batch_size": 16,
    "epochs": 1,
    "warm_up_epochs": 0,
    "cool_down_epochs": 0,
    "devices": "cpu",
}


@pytest.fixture(scope="module")
def evaluated(flow_run, flow_pairs, tmp_path_factory):
    metric = tmp_path_factory.mktemp("metric") / "metric"
    scores = evaluate_representation(
        flow_run, records=flow_pairs / "held-out", output=metric, batch_size=32
    )
    return scores, metric


def test_a_run_warms_up_on_fixed_batches_and_then_trains_on_all(flow_run):
    history = pd.read_csv(flow_run / "training.csv")
    assert list(history["phase"]) == ["warm-up", "training", "training"]
    steps = history["step"].diff().fillna(history["step"]).astype(int)
    # 36 fields begin pairs of up to 4 steps, or close to it; 10 patches each, 16 a batch.
    assert steps[0] == 5 and steps[1] == steps[2] > 15
    assert {"loss", "accuracy", "top_3_accuracy", "val_loss", "val_accuracy"} <= set(history)
    config = yaml.safe_load((flow_run / "config.yaml").read_text())
    assert config["optimizer"] == "adam" and config["learning_rate"] == 1e-3
    assert config["clip"] == {"norm": None, "variable_norm": 5.0, "value": None}
    assert config["fields"]["channels"] == ["vorticity", "temperature"]


def test_the_same_command_again_is_done_and_another_is_refused(flow_run, flow_pairs):
    before = (flow_run / "training.csv").stat().st_mtime_ns
    arguments = {**SMALL, "epochs": 2, "warm_up_epochs": 1, "warm_up_batches": 5}
    held = {"validation": flow_pairs / "held-out"}
    train_representation(flow_pairs / "training", run=flow_run, **held, **arguments)
    assert (flow_run / "training.csv").stat().st_mtime_ns == before
    with pytest.raises(InputError, match=r"learning_rate was 0\.001, now 0\.2"):
        train_representation(
            flow_pairs / "training", run=flow_run, learning_rate=0.2, **held, **arguments
        )


def test_evaluation_writes_each_epoch_and_the_metric(evaluated, flow_run, flow_store):
    scores, path = evaluated
    written = sorted(p.name for p in (flow_run / "evaluation").iterdir())
    epochs = ["epoch-0001.nc", "epoch-0002.nc", "epoch-0003.nc"]
    assert written == ["distances.csv", *epochs, "pixels.nc", "scores.csv"]
    table = pd.read_csv(flow_run / "evaluation" / "scores.csv")
    assert scores["epoch"] == table.loc[table["cross_entropy"].idxmin(), "epoch"]
    facts = json.loads((path / "metric.json").read_text())
    assert facts["classes"] == 4 and facts["step"] == 3600
    assert facts["scores"]["accuracy"] == scores["accuracy"]
    assert facts["scale"] == facts["scales"]["stage4"] > 0
    assert facts["scale_without_log1p"] != facts["scale"]
    metric = LearnedMetric.load(path)
    with open_store(flow_store) as store:
        fields = store.read([0, 1, 5])
    distance = metric.distance(fields[[0, 0, 0]], fields)
    assert distance[0] == 0 and (distance[1:] > 0).all()


def test_learned_distance_is_scaled_to_the_pixel_error(evaluated):
    _, path = evaluated
    with xr.open_dataset(path / "lag.nc", engine="h5netcdf") as lag:
        learned = lag["learned_mean"].to_numpy()[2:]
        error = lag["mean"].sel(measure="l2").to_numpy()[2:]
        assert (learned * error).sum() / (learned**2).sum() == pytest.approx(1)
        assert lag["learned_mean"].dims == ("lag",)


def test_evaluation_again_keeps_what_is_there(evaluated, flow_run, flow_pairs):
    scores, path = evaluated
    files = [*(flow_run / "evaluation").glob("*.nc"), path / "metric.json"]
    before = [file.stat().st_mtime_ns for file in files]
    arguments = {"records": flow_pairs / "held-out", "batch_size": 32}
    assert evaluate_representation(flow_run, output=path, **arguments) == scores
    assert [file.stat().st_mtime_ns for file in files] == before
    with pytest.raises(InputError, match="layer was 'stage4', now 'stage3'"):
        evaluate_representation(flow_run, output=path, layer="stage3", **arguments)
    other = path.with_name("other")
    evaluate_representation(flow_run, output=other, layer="stage3", epoch=2, **arguments)
    assert LearnedMetric.load(other).layer == "stage3"
    assert json.loads((other / "metric.json").read_text())["scores"]["epoch"] == 2


def test_what_cannot_be_evaluated_is_refused(evaluated, flow_run, flow_pairs, tmp_path):
    arguments = {"records": flow_pairs / "held-out", "batch_size": 32}
    with pytest.raises(InputError, match=r"^epoch 9: .* epochs 1 … 3"):
        evaluate_representation(flow_run, epoch=9, **arguments)
    with pytest.raises(InputError, match="a number, or best"):
        evaluate_representation(flow_run, epoch="last", **arguments)
    with pytest.raises(
        InputError, match=r"^layer stage7: .* the layers stage1, stage2, stage3, stage4"
    ):
        evaluate_representation(flow_run, output=tmp_path / "m", layer="stage7", **arguments)
    with pytest.raises(InputError, match="is not a run"):
        evaluate_representation(tmp_path, **arguments)


def test_a_run_of_another_command_is_no_representation(tmp_path):
    (tmp_path / "config.yaml").write_text("content: mse\n")
    (tmp_path / "provenance.json").write_text("{}")
    with pytest.raises(InputError, match="run of another command"):
        Representation(tmp_path)


def test_comparison_of_runs(evaluated, flow_run, tmp_path):
    table = compare_runs({"a": flow_run, "b": flow_run}, tmp_path / "table.csv")
    assert list(table["run"]) == ["a", "b"]
    row = table.iloc[0]
    assert row["network"] == "tiny,stem_filters=4,filters=[4, 4, 4, 8]"
    assert row["skill"] == pytest.approx(1 - row["cross_entropy"] / np.log(4))
    assert row["accuracy_over_chance"] == pytest.approx(4 * row["accuracy"])
    with xr.open_dataset(
        flow_run / "evaluation" / f"epoch-{row['epoch']:04d}.nc", engine="h5netcdf"
    ) as result:
        counts = result["confusion"].to_numpy()
    errors = [abs(i - j) * counts[i, j] for i in range(4) for j in range(4)]
    assert row["mean_lag_error"] == pytest.approx(sum(errors) / counts.sum())
    assert len(pd.read_csv(tmp_path / "table.csv")) == 2


@pytest.mark.parametrize("task", ["autoencoder", "inpainting"])
def test_tasks_without_lags_train_and_become_metrics(task, flow_pairs, tmp_path):
    train_representation(flow_pairs / "training", run=tmp_path / "run",
                         **{**SMALL, "objective": task})  # fmt: skip
    scores = evaluate_representation(
        tmp_path / "run", records=flow_pairs / "held-out", output=tmp_path / "metric", batch_size=32
    )
    assert set(scores) == {"epoch", "spearman"}
    assert LearnedMetric.load(tmp_path / "metric").made_of["task"] == task


def test_training_data_and_options_that_do_not_fit_are_refused(flow_pairs, tmp_path, metric):
    def refused(said, **change):
        with pytest.raises(InputError, match=said):
            train_representation(
                flow_pairs / "training", run=tmp_path / "run", **{**SMALL, **change}
            )
        assert not (tmp_path / "run").exists()

    refused("^classes 5: .* holds the lags 1 … 4", classes=5)
    refused("fewer than a batch of 4096: .* a smaller batch_size", batch_size=4096)
    refused("objective 'colour' is unknown: choose one of autoencoder", objective="colour")
    refused("objective 'srgan' is unknown", objective="srgan")
    refused("encoder 'huge' is unknown", network="huge")
    refused("encoder tiny has no option 'colour'", network_options={"colour": 1})
    refused("^optimizer rmsprop", optimizer="rmsprop")
    refused("objective autoencoder has no option 'metric'", objective="autoencoder,metric=x")
    refused("label_smoothing=2 must lie between 0 and 1", objective_options={"label_smoothing": 2})
    refused("clip_norm and clip_value", clip_norm=1.0, clip_value=1.0)
    refused(
        "objective autoencoder has no option 'label_smoothing'",
        objective="autoencoder,label_smoothing=0.1",
    )
    refused("does not exist", validation=tmp_path / "nothing")
    held_out = flow_pairs / "held-out"
    batch_size = open_records(held_out).count + 1
    assert batch_size < open_records(flow_pairs / "training").count
    few = f"held-out holds {batch_size - 1} pairs .* fewer than a batch of {batch_size}"
    refused(few, validation=held_out, batch_size=batch_size)


def test_fewer_classes_than_the_records_hold(flow_pairs, tmp_path):
    train_representation(flow_pairs / "training", run=tmp_path / "run", classes=3, **SMALL)
    representation = Representation(tmp_path / "run")
    assert representation.classes == 3
    assert representation.network(1).outputs[0].shape[-1] == 3


def test_resnet_small_of_the_paper_has_its_parameters():
    task = Task((160, 160, 2), 23, ("a", "b"), "resnet-small", {},
                functools.partial(build_optimizer, "sgd", 0.1))  # fmt: skip
    objective = objectives.build("temporal-distance", task)
    assert objective.network.count_params() == 2_747_856
    assert objective.optimizers["network"].momentum == 0.9


def test_recipes_are_the_papers_but_for_tiny():
    assert recipe_of("resnet-18") == Recipe()
    assert (Recipe().warm_up_epochs, Recipe().warm_up_batches, Recipe().epochs) == (20, 2000, 60)
    assert recipe_of("tiny").warm_up_epochs == 0


def test_validation_of_another_normalization_is_brought_to_the_training_one():
    own = Normalization("z", ("a",), (1.0,), (2.0,))
    wanted = Normalization("log1p", ("a",), (0.0,), (3.0,), (0.1,), (0.2,))
    x = np.random.default_rng(0).standard_normal((4, 3, 3, 1)).astype(np.float32)
    data = tf.data.Dataset.from_tensors({"first": x, "second": 2 * x, "label": [1, 2, 3, 4]})
    moved = next(renormalised(data, own, wanted).as_numpy_iterator())
    np.testing.assert_allclose(moved["second"], wanted.apply(own.invert(2 * x)), rtol=1e-4)
    assert renormalised(data, own, own) is data
