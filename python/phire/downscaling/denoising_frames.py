"""Animation frames of diffusion sampling: the state and the denoised field of every step."""

from __future__ import annotations

import os

import numpy as np

from phire.downscaling.predicted_source import PredictedSource
from phire.downscaling.trained_generator import TrainedGenerator
from phire.errors import InputError
from phire.evaluation.figures.animation import Frames
from phire.evaluation.figures.images import field_range
from phire.evaluation.figures.label_text import labelled, readable
from phire.fields import open_source
from phire.fields.coarsening import CoarsenedSource
from phire.fields.source import TimeSelection
from phire.part_registry import Specification


def denoising_frames(
    run: str | os.PathLike,
    input: str | os.PathLike,
    *,
    channel: str | None = None,
    time: str | None = None,
    sampler: Specification | None = None,
    seed: int = 0,
    coarsen: int | None = None,
) -> Frames:
    """Samples one field and returns the state and the denoised field at every step.

    Args:
        run: Run of a diffusion objective.
        input: File of coarse fields; the first selected one is refined.
        channel: Channel to show; None for the run's first.
        time: Range ``START,STOP`` (half-open) that begins with the field; None for all times.
        sampler: Sampler with options; None for the run's default.
        seed: Seed of the noise.
        coarsen: Factor by which to coarsen the input first; None to take it as it is.

    Returns:
        Frames of the states and of the denoised fields, both ending with the sample.

    Raises:
        InputError: The run has no diffusion objective, works in a latent space, or does not have
            the channel.
    """
    generator = TrainedGenerator(run, sampler=sampler)
    if generator.sampler is None:
        raise InputError(f"{run} holds no denoiser: name a run of a diffusion objective.")
    if generator.works_in_latent_space:
        raise InputError(
            f"{run} denoises in a latent space, whose states cannot be drawn: name a run without "
            "one."
        )
    channel = channel or generator.channels[0]
    if channel not in generator.channels:
        raise InputError(
            f"channel {channel} is not in {run}: its channels are {', '.join(generator.channels)}."
        )
    index = list(generator.channels).index(channel)
    source = open_source(input)
    if time is not None:
        source = TimeSelection(source, source.time.select_range(time))
    if coarsen is not None:
        source = CoarsenedSource(source, coarsen)
    predicted = PredictedSource(generator, source, seed=seed)
    levels: list[float] = []
    states: list[np.ndarray] = []
    estimates: list[np.ndarray] = []

    def observe(level: float, state: np.ndarray, estimate: np.ndarray) -> None:
        levels.append(level)
        states.append(state[0, ..., index])
        estimates.append(estimate[0, ..., index])

    generator.observe = observe
    sample = predicted.read(np.array([0]))[0, ..., index]
    height, width = sample.shape
    return Frames(
        {
            "State": np.stack([*states, sample])[:, :height, :width],
            "Denoised by the network": np.stack([*estimates, sample])[:, :height, :width],
        },
        [
            *(f"{readable(channel)}, noise level {level:.3g}" for level in levels),
            f"{readable(channel)}, sample",
        ],
        predicted.grid,
        field_range(sample),
        labelled(readable(channel), generator.units[index]),
    )
