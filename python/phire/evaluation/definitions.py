"""What each number of the results means: formula, units, source, and which direction is better."""

from __future__ import annotations

import dataclasses

LOWER, HIGHER, ZERO, ONE = "lower", "higher", "zero", "one"

CHANNEL = "of the channel"
"""Units that are those of each channel."""

SQUARED = "of the channel, squared"
"""Units that are the square of those of each channel."""


@dataclasses.dataclass(frozen=True)
class Definition:
    """The meaning of a number.

    Attributes:
        name: The variable's name in the results.
        title: What people call it.
        formula: How it is computed, in plain text; x is the candidate, y the truth, w the area
            weights of mean 1, ⟨·⟩ the mean over the field with these weights.
        units: As in the results, :data:`CHANNEL` or :data:`SQUARED`.
        better: ``lower``, ``higher``, ``zero`` (nearest to 0), ``one`` (nearest to 1), or empty
            where no direction is better.
        source: Where it comes from.
    """

    name: str
    title: str
    formula: str
    units: str = ""
    better: str = ""
    source: str = ""

    @property
    def direction(self) -> str:
        """An arrow or a number that tells which direction is better; empty if none is."""
        return {LOWER: "↓", HIGHER: "↑", ZERO: "→ 0", ONE: "→ 1"}.get(self.better, "")


_DEFINITIONS = (
    Definition(
        "rmse", "Root mean square error", "√⟨w (x − y)²⟩", CHANNEL, LOWER,
        "Wilks (2011), Statistical Methods in the Atmospheric Sciences, ch. 8",
    ),
    Definition("mse", "Mean square error", "⟨w (x − y)²⟩", SQUARED, LOWER),
    Definition("mae", "Mean absolute error", "⟨w |x − y|⟩", CHANNEL, LOWER),
    Definition("bias", "Bias", "⟨w (x − y)⟩", CHANNEL, ZERO),
    Definition(
        "correlation", "Correlation",
        "⟨w x′y′⟩ / √(⟨w x′²⟩ ⟨w y′²⟩), primes: departures from the field's own mean", "1", HIGHER,
    ),
    Definition(
        "anomaly_correlation", "Anomaly correlation",
        "⟨w x′y′⟩ / √(⟨w x′²⟩ ⟨w y′²⟩), primes: departures from the climatology", "1", HIGHER,
        "Murphy & Epstein (1989), doi:10.1175/1520-0493(1989)117<0572:SSACCI>2.0.CO;2",
    ),
    Definition(
        "psnr", "Peak signal-to-noise ratio",
        "20 log₁₀(R / RMSE), R the range of the truth over the whole evaluation", "dB", HIGHER,
    ),
    Definition(
        "ssim", "Structural similarity",
        "mean of (2 μₓμ_y + c₁)(2 σₓ_y + c₂) / ((μₓ² + μ_y² + c₁)(σₓ² + σ_y² + c₂)) over windows; "
        "c₁ = (0.01 R)², c₂ = (0.03 R)², R the range of the truth",
        "1", HIGHER, "Wang et al. (2004), doi:10.1109/TIP.2003.819861",
    ),
    Definition(
        "total_variation_difference", "Difference of total variation",
        "TV(x) − TV(y), TV(f) = ⟨|∂f/∂rows| + |∂f/∂columns|⟩ over neighbouring grid points",
        CHANNEL, ZERO, "Rudin, Osher & Fatemi (1992), doi:10.1016/0167-2789(92)90242-F",
    ),
    Definition("mean", "Mean", "mean over the times evaluated", CHANNEL),
    Definition("std", "Standard deviation", "over the times evaluated", CHANNEL),
    Definition(
        "log_spectral_error", "Log-spectral error",
        "mean |ln(E / E_truth)| of time-mean spectra, over the degrees from the coarse grid's "
        "cutoff H/(2·scale) to the truth's truncation (regional: the same in wavelength)",
        "1", LOWER,
    ),
    Definition(
        "log_spectral_error_all", "Log-spectral error of all waves",
        "mean |ln(E / E_truth)| of time-mean spectra, over all degrees (or wavelengths) to the "
        "truth's truncation; does not depend on the scale given",
        "1", LOWER,
    ),
    Definition(
        "effective_resolution", "Effective resolution",
        "the shortest wavelength down to which E / E_truth stays within 0.5 … 2; says nothing of "
        "where the waves lie: read it beside the coherent resolution",
        "km", LOWER, "after Skamarock (2004), doi:10.1175/MWR2830.1",
    ),
    Definition(
        "coherent_resolution", "Coherent resolution",
        "the shortest wavelength down to which the spectral coherence with the truth stays at 0.5 "
        "or more", "km", LOWER,
    ),
    Definition(
        "kinetic_energy", "Kinetic energy spectrum",
        "E(l) = a²/(2 l(l+1)) Σₘ (|ζₗₘ|² + |δₗₘ|²), ζ vorticity, δ divergence, a = 6.3712·10⁶ m; "
        "its sum over degrees is the area mean of (u² + v²)/2",
        "m2 s-2", "",
        "Koshyk & Hamilton (2001), doi:10.1175/1520-0469(2001)058<0329:THKESA>2.0.CO;2",
    ),
    Definition(
        "variance", "Spectrum",
        "S(l) = Σₘ |fₗₘ|² with 4π-normalised harmonics; its sum over degrees is the area mean of "
        "f². In regions: variance of the bins of a 2-D cosine transform up to Nyquist's wavenumber "
        "along an axis; the corners beyond it are kept as corner_variance",
        SQUARED, "",
        "Denis et al. (2002), doi:10.1175/1520-0493(2002)130<1812:SDOTDA>2.0.CO;2",
    ),
    Definition(
        "coherence", "Spectral coherence",
        "Re Σₘ fₗₘ g*ₗₘ / √(Σₘ |fₗₘ|² · Σₘ |gₗₘ|²) per degree l (in regions per bin of the cosine "
        "transform), f candidate, g truth; of kinetic energy, vorticity and divergence together",
        "1", HIGHER,
    ),
    Definition(
        "semivariogram", "Semivariogram",
        "γ(h) = ½ mean (f(x) − f(x + h))² over pairs at great-circle distance h; x uniform on the "
        "sphere (or region), azimuth uniform, values by local six-point Lagrange interpolation; "
        "the same pairs for truth and all candidates",
        SQUARED, "", "Matheron (1963), doi:10.2113/gsecongeo.58.8.1246",
    ),
    Definition(
        "semivariogram_normalised", "Normalised semivariogram",
        "γ(h) divided by the truth's variance; tends to 1 where the field no longer correlates",
        "1",
    ),
    Definition(
        "semivariogram_log_error", "Log-semivariogram error",
        "mean |ln(γ / γ_truth)| over the lags", "1", LOWER,
    ),
    Definition(
        "city_wasserstein", "Wasserstein-1 distance at cities",
        "median over the cities of the Wasserstein-1 distance of the values there", CHANNEL, LOWER,
    ),
    Definition(
        "high_pass_rmse", "Root mean square error of small scales",
        "√⟨w (x − y)²⟩ after a high-pass at spherical-harmonic degrees", CHANNEL, LOWER,
    ),
    Definition(
        "wasserstein", "Wasserstein-1 distance",
        "∫ |F(v) − G(v)| dv, F and G the distribution functions of candidate and truth", CHANNEL,
        LOWER, "Villani (2009), doi:10.1007/978-3-540-71050-9",
    ),
    Definition(
        "learned_distance", "Learned distance",
        "scale · mean (f(x) − f(y))² over the feature maps f of a network that learned to tell how "
        "far apart in time two fields are",
        "1", LOWER, "Hoffmann & Lessig (2023), arXiv:2202.01897",
    ),
    Definition(
        "frechet_distance", "Fréchet distance of features",
        "|μₓ − μ_y|² + tr(Cₓ + C_y − 2 (Cₓ C_y)^½) of the learned features' means and covariances",
        "1", LOWER, "Heusel et al. (2017), arXiv:1706.08500",
    ),
    Definition(
        "crps", "Continuous ranked probability score",
        "∫ (F(v) − 1[v ≥ y])² dv, F the ensemble's distribution function", CHANNEL, LOWER,
        "Hersbach (2000), doi:10.1175/1520-0434(2000)015<0559:DOTCRP>2.0.CO;2",
    ),
    Definition(
        "crps_fair", "Fair continuous ranked probability score",
        "the score of an ensemble of infinitely many members, estimated from those there are",
        CHANNEL, LOWER, "Ferro (2014), doi:10.1002/qj.2270",
    ),
    Definition(
        "spread", "Spread", "root of the mean variance of the members, corrected for their number",
        CHANNEL,
    ),
    Definition("error", "Error of the ensemble mean", "√⟨w (mean − y)²⟩", CHANNEL, LOWER),
    Definition(
        "spread_skill_ratio", "Spread–skill ratio", "spread / error of the ensemble mean", "1", ONE,
        "Fortin et al. (2014), doi:10.1175/JHM-D-14-0008.1",
    ),
    Definition(
        "projected_wasserstein", "Wasserstein-1 distance of projections",
        "mean Wasserstein-1 distance of the fields projected on single directions", "1", LOWER,
    ),
    Definition(
        "projected_frechet", "Fréchet distance of projections",
        "Fréchet distance of the normal distributions fitted to the projected fields", "1", LOWER,
    ),
    Definition(
        "rv_coefficient", "RV coefficient",
        "tr(S_xy S_yx) / √(tr(S_xx²) tr(S_yy²)), S the covariances of the projected fields", "1",
        HIGHER, "Robert & Escoufier (1976), doi:10.2307/2347233",
    ),
    Definition(
        "exceedance", "Large errors",
        "share of the area where the error, high-passed at a degree, exceeds a multiple of the "
        "standard deviation of the high-passed truth",
        "1", LOWER,
    ),
    Definition(
        "fractions_skill_score", "Fractions skill score",
        "1 − Σ (pₓ − p_y)² / Σ (pₓ² + p_y²), p the fraction of a square beyond a threshold", "1",
        HIGHER, "Roberts & Lean (2008), doi:10.1175/2007MWR2123.1",
    ),
)  # fmt: skip

DEFINITIONS: dict[str, Definition] = {item.name: item for item in _DEFINITIONS}
"""By the variable's name."""


def definition(name: str) -> Definition:
    """The meaning of a variable; of an unknown one, its name in words and no direction."""
    for known in (name, name.removesuffix("_mean")):
        if known in DEFINITIONS:
            return DEFINITIONS[known]
    return Definition(name, name.replace("_", " ").capitalize(), "")
