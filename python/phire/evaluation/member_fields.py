"""Truth and ensemble members within a domain, with a common mask, for statistics of ensembles."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.computed_once import ComputedOnce
from phire.evaluation.crps import crps_and_absolute_error, weighted_sum
from phire.evaluation.domain import Domain
from phire.evaluation.events import exceeds
from phire.evaluation.member_sorting import sorted_members

BAND_POINTS = 1 << 15
"""Points of a band of rows: few enough that a dozen members of a band stay in the cache, and enough
that numpy's calls cost little."""


@dataclasses.dataclass(frozen=True, eq=False)
class MemberSummary:
    """Statistics over the members at each point, computed in one pass and shared.

    Attributes:
        errors: (n, M, C, h, w) members minus truth, in ascending order at each point.
        error: (n, C, h, w) mean of the members minus the truth.
        absolute: (n, C, h, w) mean of the members' absolute errors.
        variance: (n, C, h, w) variance of the members with the divisor M − 1; 0 for a single
            member.
        crps, crps_fair: (n, C, h, w) scores of :func:`~phire.evaluation.crps.crps`.
        below, equal: (n, C, h, w) numbers of members below the truth and equal to it.
    """

    errors: np.ndarray
    error: np.ndarray
    absolute: np.ndarray
    variance: np.ndarray
    crps: np.ndarray
    crps_fair: np.ndarray
    below: np.ndarray
    equal: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class MemberFields:
    """Truth and members within a domain.

    Attributes:
        domain: The domain.
        observed: (n, C, h, w) values of the truth; 0 where ``mask`` is False.
        members: (n, M, C, h, w) values of the members; 0 where ``mask`` is False.
        mask: (n, C, h, w) True where the truth and all members have a value; None means everywhere.
        shared: Cache of values that several statistics share.
    """

    domain: Domain
    observed: np.ndarray
    members: np.ndarray
    mask: np.ndarray | None
    shared: ComputedOnce = dataclasses.field(default_factory=ComputedOnce)

    @property
    def size(self) -> int:
        """Number of members."""
        return self.members.shape[1]

    @property
    def count_type(self) -> np.dtype:
        """Smallest integer type that can hold the number of members."""
        return np.min_scalar_type(self.size)

    @property
    def summary(self) -> MemberSummary:
        """Sorted errors, moments, CRPS and ranks; cached."""
        return self.shared.once("summary", self._summarise)

    @property
    def weights(self) -> np.ndarray:
        """Area weights (n, C, h, w); 0 where a value is missing."""
        weights = np.broadcast_to(self.domain.weights, self.observed.shape)
        return weights if self.mask is None else weights * self.mask

    @property
    def total_weight(self) -> np.ndarray:
        """Sum (C,) of the weights of all points and times with values."""
        if self.mask is None:
            return np.full(self.observed.shape[1], len(self.observed) * self.domain.total_weight)
        return self.domain.total(self.mask).sum(0)

    def exceeding(self, channel: int, limit: float) -> np.ndarray:
        """Returns booleans (n, M, h, w): True where a member exceeds a limit; cached."""

        def compare() -> np.ndarray:
            above = exceeds(self.members[:, :, channel], limit)
            return above if self.mask is None else above & self.mask[:, None, channel]

        return self.shared.once(("exceeding", channel, float(limit)), compare)

    def votes(self, channel: int, limit: float) -> np.ndarray:
        """Returns the number (n, h, w) of members that exceed a limit; cached."""

        def count() -> np.ndarray:
            above = self.exceeding(channel, limit).view(np.uint8)
            votes = np.zeros(self.observed[:, channel].shape, self.count_type)
            for m in range(self.size):
                votes += above[:, m]
            return votes

        return self.shared.once(("votes", channel, float(limit)), count)

    def happened(self, channel: int, limit: float) -> np.ndarray:
        """Returns booleans (n, h, w): True where the truth exceeds a limit."""
        above = exceeds(self.observed[:, channel], limit)
        return above if self.mask is None else above & self.mask[:, channel]

    def masked(self, values: np.ndarray) -> np.ndarray:
        """Returns ``values`` (n, C, h, w) with 0 where the mask is False."""
        return values if self.mask is None else np.where(self.mask, values, values.dtype.type(0))

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Returns the area-weighted mean (n, C) of values (n, C, h, w) where the mask is True."""
        return self.domain.mean(self.masked(values), self.mask)

    def _summarise(self) -> MemberSummary:
        """Computes :attr:`summary` field by field, in bands of rows that stay in the cache."""
        observed = self.observed
        kind = np.result_type(self.members, np.float32)
        errors = np.empty(self.members.shape, kind)
        error, absolute, variance, plain, fair = (np.empty(observed.shape, kind) for _ in range(5))
        below, equal = (np.empty(observed.shape, self.count_type) for _ in range(2))
        bands = self.domain.bands(BAND_POINTS)
        for (i, c), rows in itertools.product(np.ndindex(*observed.shape[:2]), bands):
            place = i, c, rows
            ordered = errors[i, :, c, rows]
            for rank, member in enumerate(sorted_members(self.members[i, :, c, rows])):
                np.subtract(member, observed[place], out=ordered[rank])
            below[place] = (ordered < 0).sum(0, dtype=self.count_type)
            equal[place] = (ordered == 0).sum(0, dtype=self.count_type)
            absolute[place], plain[place], fair[place] = crps_and_absolute_error(ordered)
            error[place], variance[place] = _moments(ordered)
        return MemberSummary(errors, error, absolute, variance, plain, fair, below, equal)


def member_fields(domain: Domain, truth: Batch, candidate: Ensemble) -> MemberFields:
    """Returns truth and members within a domain; cached in the batch of the candidate.

    Args:
        domain: The domain.
        truth: Fields of the truth.
        candidate: The ensemble at the same times.
    """

    def compute() -> MemberFields:
        observed, members = domain.cut(truth.planes), domain.cut(candidate.members)
        if truth.present is None and candidate.present is None:
            return MemberFields(domain, observed, members, None)
        mask = np.isfinite(observed) & np.isfinite(members).all(1)
        if mask.all():
            return MemberFields(domain, observed, members, None)
        observed = np.where(mask, observed, 0)
        members = np.where(mask[:, None], members, 0)
        return MemberFields(domain, observed, members, mask)

    return candidate.once(("member fields", domain), compute)


def _moments(errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and variance over the members, the first axis.

    The variance has the divisor M − 1, and is 0 for a single member.
    """
    size = len(errors)
    mean = weighted_sum(np.full(size, 1 / size), errors)
    departures = errors - mean
    squares = np.square(departures, out=departures)
    return mean, weighted_sum(np.full(size, 1 / max(size - 1, 1)), squares)
