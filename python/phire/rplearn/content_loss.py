"""Learned metric as a Keras loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from phire.errors import InputError
from phire.fields.normalization import Normalization
from phire.rplearn.input_checks import check_channels
from phire.rplearn.metric import LearnedMetric


@keras.saving.register_keras_serializable(package="phire")
class ContentLoss(keras.losses.Loss):
    """Keras loss: learned_weight · learned distance + pixel_weight · MSE of normalised fields.

    A network compiled with this loss is saved together with the encoder. Before loading it,
    ``import phire.rplearn.content_loss``, or pass the class in ``custom_objects``.
    """

    def __init__(
        self,
        metric: LearnedMetric,
        *,
        normalization: Normalization | None = None,
        learned_weight: float = 1.0,
        pixel_weight: float = 0.0,
        layers: Sequence[str] | None = None,
        reduction: str = "sum_over_batch_size",
        name: str = "content_loss",
        dtype: Any = None,
    ) -> None:
        """Freezes the metric's encoder and checks the weights.

        Args:
            metric: The learned metric; its encoder is frozen.
            normalization: Normalization of targets and predictions; None for physical units.
            learned_weight: Weight of the learned distance, which is averaged over ``layers``.
            pixel_weight: Weight of the mean squared error. It is computed in the normalization of
                the metric, where the learned distance has the same size.
            layers: Encoder layers to compare; by default the metric's layer.
            reduction: Reduction over the batch, as in every Keras loss.
            name: Name of the loss.
            dtype: Type of the computation, as in every Keras loss.

        Raises:
            InputError: A layer has no scale, a weight is negative, or both weights are zero.
        """
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if min(learned_weight, pixel_weight) < 0 or learned_weight + pixel_weight == 0:
            raise InputError(
                f"learned_weight={learned_weight} and pixel_weight={pixel_weight}: neither weight "
                "may be negative, and one must be positive."
            )
        self.metric = metric
        self.normalization = normalization
        self.learned_weight = float(learned_weight)
        self.pixel_weight = float(pixel_weight)
        self.layers = tuple(layers) if layers else (metric.layer,)
        unknown = [layer for layer in self.layers if layer not in metric.scales]
        if unknown:
            raise InputError(
                f"Layer {unknown[0]!r} has no scale in this metric: choose among "
                f"{', '.join(metric.layers)}."
            )
        self._extractor = metric.extractor(self.layers)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Computes the loss of each sample, (n,), from fields (n, H, W, C)."""
        check_channels(y_true.shape, self.metric.channels, "y_true")
        check_channels(y_pred.shape, self.metric.channels, "y_pred")
        truth = self.metric.normalise(y_true, normalization=self.normalization)
        prediction = self.metric.normalise(y_pred, normalization=self.normalization)
        total = 0.0
        if self.learned_weight:
            true_features = self._extractor(truth, training=False)
            features = self._extractor(prediction, training=False)
            for layer in self.layers:
                difference = keras.ops.cast(
                    features[layer] - true_features[layer], keras.config.floatx()
                )
                weight = self.learned_weight * self.metric.scales[layer] / len(self.layers)
                total += weight * keras.ops.mean(keras.ops.square(difference), axis=(1, 2, 3))
        if self.pixel_weight:
            total += self.pixel_weight * keras.ops.mean(
                keras.ops.square(prediction - truth), axis=(1, 2, 3)
            )
        return total

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration of the loss for JSON, including the metric's weights."""
        return {
            **super().get_config(),
            "metric": self.metric.get_config(),
            "normalization": self.normalization.to_dict() if self.normalization else None,
            "learned_weight": self.learned_weight,
            "pixel_weight": self.pixel_weight,
            "layers": list(self.layers),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ContentLoss:
        """Builds the loss from the configuration of :meth:`get_config`."""
        config = dict(config)
        normalization = config.pop("normalization")
        return cls(
            LearnedMetric.from_config(config.pop("metric")),
            normalization=Normalization.from_dict(normalization) if normalization else None,
            **config,
        )
