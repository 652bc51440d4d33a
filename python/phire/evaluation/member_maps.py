"""Maps of statistics over time of single members: their range at each grid point."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from phire.evaluation.accumulator import State
from phire.evaluation.batches import Batch, Ensemble
from phire.evaluation.member_ranges import of_members
from phire.evaluation.point_maps import Maps
from phire.evaluation.registry import statistic

if TYPE_CHECKING:
    from phire.evaluation.figures.figure_plan import Plan
    from phire.evaluation.figures.results_reading import ResultsFolder


@statistic("member_maps", function="maps_of_members")
class MemberMaps(Maps):
    """Ranges over members of the maps of mean, standard deviation, RMSE, MAE, bias, correlation.

    The statistic ``maps`` has the maps of all members together. This one is computed only on
    request, since its state holds six maps in double precision for each member and channel.
    """

    order = 41
    definitions = ()
    of_truth = False
    ensemble = "all"
    by_default = False
    member_ranges = ("mean", "std", "rmse", "mae", "bias", "std_difference", "correlation")

    def update(self, state: State, truth: Batch, candidate: Batch | None = None) -> State:
        """Returns a state with a batch added; each member has its own sums, ``MEMBER/KEY``."""
        if not isinstance(candidate, Ensemble):
            return state
        states = []
        for m, member in enumerate(candidate.each()):
            before = {k.partition("/")[2]: v for k, v in state.items() if k.startswith(f"{m}/")}
            states.append(super().update(before, truth, member))
        return of_members(states)

    @classmethod
    def figures(cls, folder: ResultsFolder) -> Iterator[Plan]:
        """Yields a figure for each variable, channel and region; see :class:`Statistic`."""
        from phire.evaluation.figures.map_plots import member_map_plans

        yield from member_map_plans(folder, cls.name, ("mean", "std", "rmse", "correlation"))
