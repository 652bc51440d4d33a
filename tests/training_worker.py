"""One worker of a cluster, named by TF_CONFIG: ``python training_worker.py KIND RUN [SECONDS]``.

Without TF_CONFIG it trains alone on two devices, halves of the CPU in the place of GPUs.
Trains one of :data:`OBJECTIVES` for ten epochs of one step, so that the run's history holds every
step's losses. With SECONDS each batch takes so long to come, and epochs go on for ever.
"""

from __future__ import annotations

import os
import sys
import time

import keras
import numpy as np

from phire.errors import WorkError

STEPS = 10
BATCH = 8


def temporal_distance():
    """AtmoDist's objective on a small siamese network."""
    from phire.networks import encoder as encoders
    from phire.networks.temporal_distance_head import temporal_distance_network
    from phire.rplearn.temporal_distance import TemporalDistance

    encoder = encoders.build("tiny", (16, 16, 1), options={"filters": (4, 8), "blocks": (1, 1)})
    network = temporal_distance_network(encoder, 4, head_filters=8)
    # A norm that is exceeded: whether clipping comes before or after the reduction then shows.
    return TemporalDistance(network, keras.optimizers.SGD(0.1, momentum=0.9, clipnorm=0.3))


def adversarial():
    """The SRGAN's objective on small networks."""
    from phire.downscaling.contents.pointwise import mse
    from phire.downscaling.objectives.srgan import SuperResolution
    from phire.networks import Shapes, discriminator, network

    shapes = Shapes((8, 8, 1), (16, 16, 1), 2)
    return SuperResolution(
        network.build("srgan,filters=4,blocks=1,kernel=3", shapes),
        discriminator.build("srgan,filters=[4,8],dense=8", shapes, False),
        mse,
    )


OBJECTIVES = {"temporal": temporal_distance, "adversarial": adversarial}
RATES = {"temporal": {"network": 0.1}, "adversarial": {"generator": 1e-3, "discriminator": 1e-2}}


def batch(kind, number):
    """The global batch of a step, as arrays."""
    random = np.random.default_rng(number)
    first = random.normal(size=(BATCH, 16, 16, 1)).astype("f4")
    if kind == "temporal":
        label = random.integers(1, 5, BATCH)
        return {"first": first, "second": first + label[:, None, None, None].astype("f4"),
                "label": label}  # fmt: skip
    low = first.reshape(BATCH, 8, 2, 8, 2, 1).mean((2, 4))
    return {"low": low, "high": first + 1}


def main(kind, run, seconds=None):
    """Trains; prints what a command would print, and ends with its status."""
    import tensorflow as tf

    from phire.training import Phase, choose_strategy, train
    from phire.training import devices as placement

    tf.config.threading.set_intra_op_parallelism_threads(1)
    devices = "multiworker" if "TF_CONFIG" in os.environ else "gpu"
    if devices == "gpu":
        halves = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0], halves
        )
        placement.visible_gpus = lambda: tf.config.list_logical_devices("CPU")
    choose_strategy(devices)

    def batches(epoch, skip, shard):
        def come():
            if seconds is not None:
                time.sleep(float(seconds))
            for step in range(skip, 1):
                yield {k: v[shard[1] :: shard[0]] for k, v in batch(kind, epoch + step).items()}

        example = batch(kind, 0)
        signature = {
            name: tf.TensorSpec((BATCH // shard[0], *value.shape[1:]), value.dtype)
            for name, value in example.items()
        }
        return tf.data.Dataset.from_generator(come, output_signature=signature)

    phase = Phase("together", STEPS if seconds is None else 10_000, batches, 1, RATES[kind])
    try:
        train(
            OBJECTIVES[kind],
            [phase],
            run=run,
            options={},
            devices=devices,
            monitor="loss",
            keep_epochs=seconds is None,
        )
    except WorkError as error:
        print(error, flush=True)
        return getattr(error, "status", 1)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
