"""Observations and members side by side, masked alike, as the statistics of ensembles use them."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from phire.evaluation.accumulator import Batch, Ensemble
from phire.evaluation.domain import Domain


@dataclasses.dataclass(frozen=True, eq=False)
class MemberFields:
    """Truth and members within a domain.

    Attributes:
        domain: The domain.
        observed: (n, C, h, w) the truth; 0 where ``mask`` is False.
        members: (n, M, C, h, w) the members; 0 where ``mask`` is False.
        mask: (n, C, h, w) True where the truth and all members have a value; None: everywhere.
    """

    domain: Domain
    observed: np.ndarray
    members: np.ndarray
    mask: np.ndarray | None

    @property
    def size(self) -> int:
        """Number of members."""
        return self.members.shape[1]

    @functools.cached_property
    def ordered(self) -> np.ndarray:
        """(n, M, C, h, w) the members in ascending order at each point."""
        return np.sort(self.members, axis=1)

    @functools.cached_property
    def weights(self) -> np.ndarray:
        """(n, C, h, w) area weights, 0 where a value is missing."""
        weights = np.broadcast_to(self.domain.weights, self.observed.shape)
        return weights if self.mask is None else weights * self.mask

    def masked(self, values: np.ndarray) -> np.ndarray:
        """Returns values (n, C, h, w) with 0 where one is missing."""
        return values if self.mask is None else np.where(self.mask, values, 0)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Returns the area-weighted mean (n, C) of values (n, C, h, w) over the points present."""
        return self.domain.mean(self.masked(values), self.mask)


def member_fields(domain: Domain, truth: Batch, candidate: Ensemble) -> MemberFields:
    """Returns truth and members within a domain, shared by all statistics of the batch.

    Args:
        domain: The domain.
        truth: Fields of the truth.
        candidate: The ensemble at the same times.
    """

    def compute() -> MemberFields:
        observed, members = domain.cut(truth.planes), domain.cut(candidate.members)
        mask = np.isfinite(observed) & np.isfinite(members).all(1)
        if mask.all():
            return MemberFields(domain, observed, members, None)
        observed = np.where(mask, observed, 0)
        return MemberFields(domain, observed, np.where(mask[:, None], members, 0), mask)

    return candidate.once(("member fields", domain), compute)


def crps(observed: np.ndarray, ordered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the continuous ranked probability score of an ensemble, plain and fair.

    E|X − y| − ½ E|X − X′| over the members, X′ drawn from all members (plain) or from the others
    (fair; Ferro 2014, doi:10.1002/qj.2270). By sorted members, Σᵢⱼ |xᵢ − xⱼ| is
    2 Σᵢ (2i − M − 1) x₍ᵢ₎.

    Args:
        observed: (n, ...) the truth.
        ordered: (n, M, ...) the members in ascending order.

    Returns:
        Two arrays (n, ...); the fair score of a single member is NaN.
    """
    size = ordered.shape[1]
    distance = np.zeros_like(observed)
    among = np.zeros_like(observed)
    # Member by member: no further array of the ensemble's size is held.
    for rank in range(size):
        distance += np.abs(ordered[:, rank] - observed)
        among += (2.0 * rank + 1 - size) * ordered[:, rank]
    distance /= size
    fair = distance - among / (size * (size - 1)) if size > 1 else np.full_like(among, np.nan)
    return distance - among / size**2, fair
