"""Training objectives of generators, one file each, found by name.

An objective is a function ``(task, **options)`` decorated with
:data:`phire.training.registry.objective`, which returns a :class:`phire.training.Objective`. Where
it has the options ``pretrain_epochs`` and ``pretrain_rate``, training begins with a phase called
``pretraining`` of these; where it has ``ema``, that is the default of the training's; where it has
``sigma_data``, ``sigma_min`` and ``sigma_max``, those that are None are measured on the records
before (:mod:`phire.downscaling.diffusion_target`). Files that an option ``content`` or
``metric`` names are fingerprinted in the run.
"""
