"""Fractions skill score of each member of an ensemble."""

from __future__ import annotations

from phire.evaluation.accumulator import Batch, Ensemble, State
from phire.evaluation.definitions import HIGHER, Definition
from phire.evaluation.fractions_skill import FractionsSkillScore
from phire.evaluation.registry import statistic

VARIABLES = (
    Definition(
        "member_fractions_skill_score", "Fractions skill score of members",
        "1 − Σ (pₓ − p_y)² / Σ (pₓ² + p_y²), the sums over all members too", "1", HIGHER,
        "Roberts & Lean (2008), doi:10.1175/2007MWR2123.1",
    ),
)  # fmt: skip
"""Variables of the result that people look at."""


@statistic("member_fractions_skill_score")
class MemberFractionsSkillScore(FractionsSkillScore):
    """Fractions skill score of single realisations; the sums run over members, too.

    Its cost grows with the number of members, so it is taken only if named; the score of the
    ensemble's probabilities is ``fractions_skill_score``.
    """

    order = 71
    definitions = VARIABLES
    summary = (("member_fractions_skill_score_mean", "member_fractions_skill_score"),)
    ensemble = "all"
    member_ranges = ()
    by_default = False
    variable = "member_fractions_skill_score"
    members_text = "Each member counts by itself."

    def measure(self, truth: Batch, candidate: Batch | None) -> State:
        """Sums of squares over all members; see :class:`FractionsSkillScore`."""
        state: State = {}
        if isinstance(candidate, Ensemble):
            for member in candidate.each():  # each a plain batch: keys of members do not arise
                state = self.join(state, super().measure(truth, member), in_place=True)
        return state
