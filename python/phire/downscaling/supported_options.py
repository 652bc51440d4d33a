"""Options of a prediction that a trained run supports."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from phire.errors import InputError

STATISTICS = ("mean", "median")
"""Fields that a run trained by the objective likelihood gives where no members are asked for."""

CONSISTENCIES = ("mean",)
"""Properties of the coarse field that members can be given exactly."""


def check_bounds(minimum: float | None, trace: float | None) -> None:
    """Refuses a least measured amount that is not above the least value.

    Raises:
        InputError: ``trace`` is not above ``minimum``, or there is no ``minimum``.
    """
    if trace is not None and (minimum is None or not trace > minimum):
        least = "is not given" if minimum is None else f"is {minimum:g}"
        raise InputError(
            f"--trace {trace:g} sets lower values to --minimum, which {least}: give one below it, "
            "such as --minimum 0."
        )


@dataclasses.dataclass(frozen=True)
class SupportedOptions:
    """Checks of the options that only some runs support.

    Attributes:
        path: The run.
        channels: Channels that it predicts.
        coarse_channels: Channels of its coarse input.
        alignment: Position of its coarse points in their blocks, ``cell`` or ``corner``.
        stochastic: Its members differ.
        has_noise: Its network reads noise.
        has_distribution: Its network gives the parameters of a distribution.
    """

    path: Path
    channels: tuple[str, ...]
    coarse_channels: tuple[str, ...]
    alignment: str
    stochastic: bool
    has_noise: bool
    has_distribution: bool

    def choose_statistic(self, statistic: str | None, members: int | None) -> str | None:
        """Returns the statistic to predict; None for members, and where there is no distribution.

        Args:
            statistic: The user's statistic; None for the mean, unless members are given.
            members: The user's number of members; None for none.

        Raises:
            InputError: The run gives no distribution, the statistic is unknown, or both options
                are given.
        """
        if statistic is not None and not self.has_distribution:
            raise InputError(
                f"--statistic {statistic} is of runs trained by the objective likelihood, which "
                f"{self.path} is not: leave it out."
            )
        if statistic not in (None, *STATISTICS):
            raise InputError(f"--statistic {statistic} must be one of {', '.join(STATISTICS)}.")
        if statistic is not None and members is not None:
            raise InputError(
                f"--statistic {statistic} gives one field, --members {members} draws several: "
                "leave one of them out."
            )
        if not self.has_distribution or members is not None:
            return None
        return statistic or "mean"

    def check_members(self, members: int) -> None:
        """Refuses an impossible number of members.

        Raises:
            InputError: It is not positive, or several are asked of a deterministic generator.
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
        """Refuses a memory of noise of a run without noise.

        Raises:
            InputError: It is not positive, or the network has no noise.
        """
        if noise_memory is None:
            return
        if not self.has_noise:
            raise InputError(
                f"--noise-memory is of runs with noise, and {self.path} has none: leave it out."
            )
        if noise_memory <= 0:
            raise InputError(f"--noise-memory of {noise_memory:g} s must be a time above 0.")

    def check_consistency(self, consistency: str | None) -> None:
        """Raises InputError if the run cannot be made consistent with the coarse fields.

        Raises:
            InputError: It is unknown, no channel is on both sides, or the coarse points are no
                means of blocks.
        """
        if consistency is None:
            return
        if consistency not in CONSISTENCIES:
            raise InputError(
                f"--consistency {consistency} must be one of {', '.join(CONSISTENCIES)}."
            )
        if not {*self.channels} & {*self.coarse_channels}:
            raise InputError(
                f"--consistency {consistency} needs a target that is a coarse channel, too, but "
                f"{self.path} makes {', '.join(self.channels)} of "
                f"{', '.join(self.coarse_channels)}: leave it out."
            )
        if self.alignment != "cell":
            raise InputError(
                f"--consistency {consistency} is of coarse values that are means of blocks, but "
                f"{self.path} was trained with --alignment {self.alignment}: leave it out."
            )
