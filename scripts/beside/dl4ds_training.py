"""DL4DS's side of benchmark_beside.py: the compiled step of Keras, and ``fit`` on its generator.

Runs in a separate environment with TensorFlow 2.15 and dl4ds 1.8, whose Python is the option
``--python`` of benchmark_beside.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from dl4ds import SupervisedTrainer
from worker import serve


def prepared(options: argparse.Namespace) -> tuple[Mapping[str, Callable[[int], Any]], dict]:
    """Returns the functions ``step`` and ``loop``, and a description of the network."""
    data = np.load(options.data)[..., None]
    trainer = SupervisedTrainer(
        options.backbone, options.upsampling, data, data[: options.batch_size],
        data[: options.batch_size], scale=options.scale, interpolation="inter_area",
        patch_size=options.side * options.scale, time_window=options.window,
        batch_size=options.batch_size, loss="mae", device="CPU", learning_rate=1e-3,
        verbose=False, show_plot=False, save=False,
        n_filters=options.filters, n_blocks=options.blocks, dropout_rate=0, attention=False,
        normalization=None, localcon_layer=False, activation="relu",
    )  # fmt: skip
    trainer.setup_datagen()
    trainer.setup_model()
    model = trainer.model
    model.compile(optimizer=tf.keras.optimizers.Adam(1e-3), loss=trainer.lossf)
    inputs, outputs = trainer.ds_train[0]
    held = tf.data.Dataset.from_tensors((tuple(inputs), tuple(outputs))).cache().repeat()
    update = model.make_train_function()
    batches = iter(held)

    def step(count: int) -> None:
        for _ in range(count):
            scalars = update(batches)
        float(scalars["loss"])

    def loop(count: int) -> None:
        model.fit(trainer.ds_train, steps_per_epoch=count, epochs=1, verbose=0)

    parameters = sum(int(tf.size(v)) for v in model.trainable_variables)
    return {"step": step, "loop": loop}, {
        "parameters": parameters, "version": f"DL4DS under TensorFlow {tf.__version__}"
    }  # fmt: skip


def main() -> None:
    """Serves requests with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="fields (n, H, W) as .npy")
    parser.add_argument("--backbone", default="resnet")
    parser.add_argument("--upsampling", default="spc")
    parser.add_argument("--window", type=int)
    for name in ("filters", "blocks", "scale", "side", "batch-size"):
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()
    serve(lambda: prepared(options))


if __name__ == "__main__":
    main()
