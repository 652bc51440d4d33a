"""Downscaling: training of generators, interpolation baselines, prediction of whole fields.

Names are imported on first use, because interpolation needs no TensorFlow.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "downscaler": ["Downscaler"],
        "interpolated_source": ["InterpolatedSource"],
        "objectives.srgan": ["SuperResolution"],
        "predicted_source": ["PredictedSource"],
        "prediction": ["predict"],
        "generator_training": ["train_generator"],
    },
)
