"""Checks of prediction options that only some runs support."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from phire.errors import InputError

STATISTICS = ("mean", "median")
"""Statistics of the predicted distribution that a run of the objective likelihood can output."""

CONSISTENCIES = ("mean",)
"""Properties of the coarse field that can be imposed on members."""


def check_bounds(minimum: float | None, trace: float | None) -> None:
    """Checks that the smallest measurable amount is above the lower bound of values.

    Raises:
        InputError: ``trace`` is not above ``minimum``, or there is no ``minimum``.
    """
    if trace is not None and (minimum is None or not trace > minimum):
        least = "is not given" if minimum is None else f"is {minimum:g}"
        raise InputError(
            f"--trace {trace:g} sets lower values to --minimum, which {least}: give a --minimum "
            "below it, such as 0."
        )


@dataclasses.dataclass(frozen=True)
class SupportedOptions:
    """Properties of a run, and checks of the options that depend on them.

    Attributes:
        path: Path of the run.
        channels: Channels that the run predicts.
        coarse_channels: Channels of the run's coarse input.
        alignment: Position of coarse points in their blocks, ``cell`` or ``corner``.
        stochastic: True if members differ.
        has_noise: True if the network reads noise.
        has_distribution: True if the network predicts the parameters of a distribution.
    """

    path: Path
    channels: tuple[str, ...]
    coarse_channels: tuple[str, ...]
    alignment: str
    stochastic: bool
    has_noise: bool
    has_distribution: bool

    def choose_statistic(self, statistic: str | None, members: int | None) -> str | None:
        """Returns the statistic of the distribution to predict; None to predict members.

        Args:
            statistic: Statistic that the user gave; None for the mean, or for members if these are
                given.
            members: Number of members that the user gave; None if the user gave no number.

        Returns:
            The statistic; always None for runs that predict no distribution.

        Raises:
            InputError: A statistic is given to a run without a distribution, is unknown, or is
                combined with members.
        """
        if statistic is not None and not self.has_distribution:
            raise InputError(
                f"--statistic {statistic} applies to runs of the objective likelihood, but "
                f"{self.path} is none: leave it out."
            )
        if statistic not in (None, *STATISTICS):
            raise InputError(f"--statistic {statistic} must be one of {', '.join(STATISTICS)}.")
        if statistic is not None and members is not None:
            raise InputError(
                f"--statistic {statistic} and --members {members} exclude each other: leave one "
                "out."
            )
        if not self.has_distribution or members is not None:
            return None
        return statistic or "mean"

    def check_members(self, members: int) -> None:
        """Checks the number of members.

        Raises:
            InputError: It is not positive, or exceeds 1 for a deterministic generator.
        """
        if members < 1:
            raise InputError(f"--members {members} must be at least 1.")
        if members > 1 and not self.stochastic:
            raise InputError(
                f"--members {members} needs a stochastic generator, but {self.path} is "
                "deterministic: leave it out, or train a network with noise or Monte Carlo "
                "dropout, or by the objective likelihood."
            )

    def check_noise_memory(self, noise_memory: float | None) -> None:
        """Checks the correlation time of noise, in seconds.

        Raises:
            InputError: It is not positive, or the network reads no noise.
        """
        if noise_memory is None:
            return
        if not self.has_noise:
            raise InputError(
                f"--noise-memory applies to runs with noise, but {self.path} has none: leave it "
                "out."
            )
        if noise_memory <= 0:
            raise InputError(f"--noise-memory of {noise_memory:g} s must be positive.")

    def check_consistency(self, consistency: str | None) -> None:
        """Checks that predictions can be made consistent with the coarse fields.

        Raises:
            InputError: ``consistency`` is unknown, input and output share no channel, or coarse
                values are not block means.
        """
        if consistency is None:
            return
        if consistency not in CONSISTENCIES:
            raise InputError(
                f"--consistency {consistency} must be one of {', '.join(CONSISTENCIES)}."
            )
        if not {*self.channels} & {*self.coarse_channels}:
            raise InputError(
                f"--consistency {consistency} needs a channel that input and output share, but "
                f"{self.path} predicts {', '.join(self.channels)} from "
                f"{', '.join(self.coarse_channels)}: leave it out."
            )
        if self.alignment != "cell":
            raise InputError(
                f"--consistency {consistency} needs coarse values that are block means, but "
                f"{self.path} was trained with --alignment {self.alignment}: leave it out."
            )
