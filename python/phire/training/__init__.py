"""Training loop, run directory and checkpoints.

Names are imported on first use, because describing a run needs no TensorFlow.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "weight_averaging": ["WeightAverage"],
        "checkpoints": ["take_over_optimizer"],
        "clipping": ["set_clipping"],
        "devices": ["choose_strategy"],
        "gradient_reduction": ["reduce_and_apply"],
        "loop": ["train"],
        "objective": ["FurtherStep", "Objective", "minimise", "scaled", "weight_decay"],
        "optimizers": ["Adam"],
        "phase": ["Phase"],
        "precision": ["for_float16"],
        "registry": ["schedule"],
        "run_directory": ["Run", "describe_run", "open_run"],
        "learning_rate_schedules": ["scheduled"],
        "signals": ["Terminated"],
        "warm_start": ["copy_weights", "freeze_all_but"],
    },
)
