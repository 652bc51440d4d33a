"""Fractions skill score of each member of an ensemble."""

from __future__ import annotations

from phire.evaluation.accumulator import State
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.definitions import HIGHER, Definition
from phire.evaluation.fractions_skill import FractionsSkillScore
from phire.evaluation.registry import statistic

VARIABLES = (
    Definition(
        "member_fractions_skill_score", "Fractions skill score of members",
        "1 − Σ (pₓ − p_y)² / Σ (pₓ² + p_y²), p the fraction of a square's points above a "
        "threshold; the sums run over squares, times and members", "1", HIGHER,
        "Roberts & Lean (2008), doi:10.1175/2007MWR2123.1",
    ),
)  # fmt: skip
"""Definitions of the variables of the result."""


@statistic("member_fractions_skill_score")
class MemberFractionsSkillScore(FractionsSkillScore):
    """Fractions skill score of single members; its sums run over squares, times and members.

    The score of the ensemble's probabilities is ``fractions_skill_score``. This one is computed
    only on request, since its cost grows with the number of members.
    """

    order = 71
    definitions = VARIABLES
    summary = (("member_fractions_skill_score_mean", "member_fractions_skill_score"),)
    ensemble = "all"
    member_ranges = ()
    by_default = False
    variable = "member_fractions_skill_score"
    members_text = "Each member is compared with the truth; the sums run over members."

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Returns sums of squares over all members; see :class:`FractionsSkillScore`."""
        state: State = {}
        if isinstance(candidate, Ensemble):
            # Each member is a plain batch, so that the state has no keys of single members.
            for member in candidate.each():
                state = self.join(state, super().measure(truth, member), in_place=True)
        return state
