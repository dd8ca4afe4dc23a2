"""What of the counter's joules after a window is still the window's: its lag, and a device that comes to rest slowly.

A counter may publish what was drawn up to a quarter of a second later, and a board goes on drawing more than at rest
for some time after its work. Both add joules behind the window's end. The first are the window's, the second are not,
and the edges after the end show their sum. They differ in shape: a lag goes on as the work did and then stops, a tail
begins lower and fades. So every pair of the two out of a grid is held against the edges, and the window's energy is the
mean over all pairs, each weighted by how well it explains them. Where the edges cannot tell, the pairs disagree, and
their scatter is the error.

For one pair, a lag L and a time constant tau, an edge x seconds after the end, in joules from the opening edge on:

    x >= L    W + G(L) + P1 * (x - L) + A * tau * (1 - exp(-(x - L) / tau))
    x <  L    W + G(L) - B * (L - x)

W is the window's energy, G what was drawn between the opening edge and the window, which a lag makes longer, P1 and A
the power at rest and above it, B the power of the window's last moments. Given L and tau this is linear, so that W, P1
and A have a closed posterior under normal priors (Bishop, Pattern Recognition and Machine Learning, 3.3), of which
A > 0 is kept. B is the window's mean power, or, as an alternative, anything like it: work that comes and goes may end
in either state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpuprof.telemetry.ticks import Bracket, Edge

_LAGS = (*(0.005 * i for i in range(6)), *(0.01 * i for i in range(3, 26)))  # to LONGEST_LAG_S
_TAILS_S = tuple(0.03 * 100 ** (i / 9) for i in range(10))  # 30 ms to 3 s; measured ones take 0.1 to 2 s
_NO_TAIL = 0.6  # prior probability
_TAIL = 0.25  # of the power above rest: scale of the prior of A. A 3090 falls from 440 to 162 and on to 136 W
_REST = (0.3, 0.1)  # of the power before, or of that above rest: scale of the prior of P1 around that
# How far the power of the last moments is from the mean, and how much it comes and goes within them, in seconds of it.
_STEADY, _ANY, _WITHIN_S = 0.03, 0.6, 0.004
# What the freedom of "anything" costs it in the weights is given back by so much: it is as plausible as the rest.
_GIVEN_BACK = 0.3
# What no pair of the grid has: so many seconds of A remain unknown, where B may be anything, elsewhere, and where the
# lag is known. Chosen by scripts/bench/energy.py.
_UNSURE_S, _UNSURE_KNOWN_S = (0.024, 0.011), (0.006, 0.004)
_MOST_EDGES = 64
_FLOOR_J2 = 1e-6  # a counter's millijoules


@dataclass(frozen=True)
class Settled:
    """`energy_j` of a window from the edges after it, its standard error by them, and the counter's lag in seconds."""

    energy_j: float
    error_j: float
    lag_s: float


def settled(
    before: Bracket, edges: Sequence[Edge], start_ns: int, end_ns: int, lag_s: tuple[float, float] | None = None
) -> Settled:
    """The energy of [start, end] by the edge `before` it and all `edges` after it, two at least.

    `lag_s` are the bounds of the counter's lag where a calibration has found it. What is uncertain about `before` is
    not in the error.
    """
    import numpy as np

    chosen = _thinned(edges)
    seconds = (end_ns - start_ns) / 1e9
    x = np.array([(edge.t_ns - end_ns) / 1e9 for edge in chosen])
    gap_s = (start_ns - before.edge.t_ns) / 1e9
    rest_w = before.draw.power_w
    y = np.array([edge.energy_j - before.edge.energy_j for edge in chosen])
    slack = np.array([edge.slack_s for edge in chosen])

    half = max(1, len(chosen) // 2)
    last_w = max(0.0, (y[-1] - y[-1 - half]) / (x[-1] - x[-1 - half]))
    # The window's energy, if there were no lag, and everything beyond the last power were the window's.
    all_in = y[-1] - last_w * x[-1] - before.drawn_j(gap_s)
    mean_w = max(all_in / seconds, last_w, 1e-9)
    above_w = max(mean_w - min(rest_w, last_w), 0.02 * mean_w)

    lags = np.array(_LAGS if lag_s is None else np.linspace(*lag_s, 7))
    lag, tau, any_end, log_prior = _pairs(lags)
    beyond = x[None, :] - lag[:, None]
    late, since = beyond >= 0, np.maximum(beyond, 0.0)
    tailed = np.isfinite(tau)
    decayed = np.where(tailed[:, None], tau[:, None] * -np.expm1(-since / np.where(tailed, tau, 1.0)[:, None]), 0.0)
    design = np.stack([np.ones_like(since), since, decayed], axis=2)  # of W, P1 and A
    opened = np.array([before.drawn_j(gap_s + each) for each in lags])[np.searchsorted(lags, lag)]
    target = (y - all_in)[None, :] - opened[:, None] + mean_w * np.maximum(-beyond, 0.0)

    power = np.clip(np.gradient(y, x), 0.5 * last_w, 3 * mean_w) if len(x) > 2 else np.full(len(x), last_w)
    by_slack = (slack * power) ** 2 / 12 + _FLOOR_J2
    most = _ANY * np.maximum(-beyond, 0.0)
    spread = np.where(any_end[:, None], most, np.minimum(most, _STEADY * np.maximum(-beyond, 0.0) + _WITHIN_S))
    noise = by_slack[None, :] + (mean_w * spread) ** 2
    freedom = 0.5 * np.where(late, 0.0, np.log(noise / by_slack[None, :])).sum(axis=1)
    log_prior = log_prior + np.where(any_end, _GIVEN_BACK * freedom, 0.0)

    prior_mean = np.array([0.0, rest_w, 0.0])
    prior_sd = np.array([1e6, max(_REST[0] * rest_w, _REST[1] * above_w), _TAIL * above_w])
    residual = target - design @ prior_mean
    mean, covariance, misfit, evidence = _posterior(design, residual, noise, prior_sd)
    scale = misfit[np.argmax(evidence + log_prior)] / max(1, len(x) - 2)
    if scale > 1.5:  # a counter that jitters: its edges are no better than they fit
        mean, covariance, misfit, evidence = _posterior(design, residual, noise * scale, prior_sd)
    window_j, variance, tail_w, log_positive = _positive(mean, covariance, tailed)
    weight = np.exp(evidence + log_prior + log_positive - np.max(evidence + log_prior + log_positive))
    weight /= weight.sum()
    found = float(weight @ window_j)
    unsure = tail_w * np.where(any_end & ~late.all(axis=1), *(_UNSURE_S if lag_s is None else _UNSURE_KNOWN_S))
    error = math.sqrt(float(weight @ (variance + (window_j - found) ** 2 + unsure**2)))
    return Settled(float(all_in + found), error, float(weight @ lag))


def _thinned(edges: Sequence[Edge]) -> Sequence[Edge]:
    """At most 64 of the edges, evenly chosen, the first and the last among them."""
    if len(edges) <= _MOST_EDGES:
        return edges
    step = (len(edges) - 1) / (_MOST_EDGES - 1)
    return [edges[round(i * step)] for i in range(_MOST_EDGES)]


def _pairs(lags: Any) -> tuple[Any, Any, Any, Any]:
    """(lag, tau, whether B may be anything, log of the prior): one entry a hypothesis; tau is nan without a tail."""
    import numpy as np

    taus = np.array([math.nan, *_TAILS_S])
    lag, tau, any_end = (each.ravel() for each in np.meshgrid(lags, taus, [False, True], indexing="ij"))
    return lag, tau, any_end, np.log(np.where(np.isnan(tau), _NO_TAIL, (1 - _NO_TAIL) / len(_TAILS_S)))


def _posterior(design: Any, residual: Any, noise: Any, prior_sd: Any) -> tuple[Any, Any, Any, Any]:
    """(mean, covariance, misfit, log evidence up to a constant) of the linear unknowns, for each hypothesis."""
    import numpy as np

    precision = design.transpose(0, 2, 1) @ (design / noise[:, :, None]) + np.diag(prior_sd**-2.0)
    covariance = np.linalg.inv(precision)
    projected = (design * (residual / noise)[:, :, None]).sum(axis=1)
    mean = (covariance @ projected[:, :, None])[:, :, 0]
    misfit = (residual**2 / noise).sum(axis=1) - (mean * projected).sum(axis=1)
    evidence = -0.5 * (misfit + np.linalg.slogdet(precision)[1] + np.log(noise).sum(axis=1))
    return mean, covariance, misfit, evidence


def _positive(mean: Any, covariance: Any, tailed: Any) -> tuple[Any, Any, Any, Any]:
    """(mean and variance of W, mean of A, log weight) given that A > 0: moments of a truncated normal distribution."""
    import numpy as np

    sd = np.sqrt(covariance[:, 2, 2])
    ratio = np.clip(mean[:, 2] / sd, -6.0, None)
    above = np.array([0.5 * math.erfc(-each / math.sqrt(2)) for each in ratio])
    hazard = np.exp(-0.5 * ratio**2) / math.sqrt(2 * math.pi) / above
    slope = covariance[:, 0, 2] / covariance[:, 2, 2]
    window_j = mean[:, 0] + np.where(tailed, slope * sd * hazard, 0.0)
    variance = covariance[:, 0, 0] - np.where(tailed, (slope * sd) ** 2 * hazard * (hazard + ratio), 0.0)
    tail_w = np.where(tailed, np.maximum(mean[:, 2] + sd * hazard, 0.0), 0.0)
    return window_j, np.maximum(variance, 0.0), tail_w, np.where(tailed, np.log(2 * above), 0.0)
