"""Training objectives of generators, registered by name.

An objective is a function ``(task, **options)`` decorated with
:data:`phire.training.registry.objective` that returns a :class:`phire.training.Objective`. The
training call gives some options a meaning:

- ``pretrain_epochs`` and ``pretrain_rate`` add a first phase called ``pretraining``.
- ``ema`` is the default of the training's option ``ema``.
- ``sigma_data``, ``sigma_min`` and ``sigma_max`` are measured on the records if they are None
  (:mod:`phire.downscaling.diffusion_target`).
- ``content`` and ``metric`` may name files, whose fingerprints the run records.
"""
