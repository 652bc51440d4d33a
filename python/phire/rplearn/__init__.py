"""AtmoDist: pretext tasks, their evaluation against the time lag, and the learned metric.

Names are imported on first use, so that describing a metric loads no TensorFlow.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "certainty": ["certainty_maps"],
        "comparison": ["compare_runs"],
        "content_loss": ["ContentLoss"],
        "metric_description": ["describe_metric"],
        "evaluation": ["evaluate_representation"],
        "field_features": [
            "FeatureSource",
            "export_features",
            "measure_distances",
            "source_distance",
        ],
        "frechet_with_bias": ["FrechetDistance", "frechet_distance"],
        "metric": ["LearnedMetric"],
        "original_atmodist": ["import_metric"],
        "representation_training": ["train_representation"],
    },
)
