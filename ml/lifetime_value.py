"""How often customers will buy again, and what that is worth: BG/NBD and Gamma-Gamma.

BG/NBD (Fader, Hardie, Lee 2005, "Counting your customers the easy way"): while alive a customer
buys at a rate that is gamma distributed over customers (r, alpha); after each purchase they drop
out with a probability that is beta distributed (a, b). Gamma-Gamma (Fader, Hardie 2013): the value
of a purchase is gamma distributed around a mean of the customer's own, which is gamma distributed
over customers (p, q, v), whatever the number of purchases.

Functions take numpy arrays of one length and return arrays of that length; times share one unit.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Logarithm of the largest parameter: from there on it says "all customers are alike", and more of
# it says nothing more.
MOST = 9.0


@dataclass(frozen=True)
class BgNbd:
    """Parameters of BG/NBD; alpha is in the unit of time of the data.

    `first` is 1 where customers may drop out after their first purchase too (MBG/NBD), else 0.
    """

    r: float
    alpha: float
    a: float
    b: float
    first: int
    log_likelihood: float


@dataclass(frozen=True)
class GammaGamma:
    """Parameters of Gamma-Gamma; v is in the unit of money of the data."""

    p: float
    q: float
    v: float


def _minimised(function, start: Floats) -> tuple[Floats, float]:
    """Where a function, which gives its gradient too, is least within the bounds, and its value."""
    from scipy.optimize import minimize

    bounds = [(-MOST, MOST)] * len(start)
    found = minimize(function, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return found.x, float(found.fun)


def fit_bg_nbd(
    *, repeats: Floats, last: Floats, age: Floats, weight: Floats, first: int = 0
) -> BgNbd | None:
    """Maximum likelihood, over rows that stand for `weight` equal customers each.

    Args:
        repeats: purchases after the first (x).
        last: time from the first purchase to the last (t_x); 0 where repeats is 0.
        age: time from the first purchase to the end of observation (T), at least `last`.
        first: 1 for MBG/NBD.

    Returns:
        The parameters, or None where nobody bought twice. Where customers do not differ in their
        dropping out, a and b are as large as they may be and only a / (a + b) means something.
    """
    from scipy.special import betaln, digamma, gammaln

    scale = float(age.max()) / 10  # alpha near 1, whatever the unit
    if scale <= 0 or not np.any(repeats > 0):
        return None
    x, t_x, t = repeats, last / scale, age / scale
    total = weight.sum()
    # few different numbers of purchases: what depends on them alone is computed once for each
    counts, row = np.unique(x, return_inverse=True)
    chances = counts + first  # to drop out
    some = chances > 0

    def negative(logs: Floats) -> tuple[float, Floats]:
        # in logarithms of r, r / alpha, a / b and b: what the data say little of is then b alone
        r, alpha, b = np.exp(logs[0]), np.exp(logs[0] - logs[1]), np.exp(logs[3])
        a = np.exp(logs[2] + logs[3])
        start = gammaln(r + counts) - gammaln(r) + r * np.log(alpha)
        start += betaln(a, b + chances) - betaln(a, b)
        drop = np.where(some, b + chances - 1, 1)
        log_drop = np.where(some, np.log(a / drop), -np.inf)
        log_t, log_t_x = np.log(alpha + t), np.log(alpha + t_x)
        alive = -(r + x) * log_t
        gone = log_drop[row] - (r + x) * log_t_x
        both = np.logaddexp(alive, gone)
        share = np.exp(gone - both)  # of being gone
        value = weight @ (start[row] + both)
        mean_log = (1 - share) * log_t + share * log_t_x
        d_r = (digamma(r + counts) - digamma(r) + np.log(alpha))[row] - mean_log
        d_alpha = r / alpha - (r + x) * ((1 - share) / (alpha + t) + share / (alpha + t_x))
        common = digamma(a + b) - digamma(a + b + chances)
        d_a = common[row] + share / a
        d_b = (common + digamma(b + chances) - digamma(b))[row] - share / drop[row]
        by_r, by_alpha, by_a, by_b = (
            weight @ d_r * r,
            weight @ d_alpha * alpha,
            weight @ d_a * a,
            weight @ d_b * b,
        )
        gradient = np.array([by_r + by_alpha, -by_alpha, by_a, by_a + by_b])
        return -value / total, -gradient / total

    start = np.array([0.0, 0.0, -1.0, 1.0])
    logs, least = _minimised(negative, start)
    r, alpha = np.exp(logs[0]), np.exp(logs[0] - logs[1]) * scale
    a, b = np.exp(logs[2] + logs[3]), np.exp(logs[3])
    return BgNbd(float(r), float(alpha), float(a), float(b), first, -least * float(total))


def probability_alive(model: BgNbd, *, repeats: Floats, last: Floats, age: Floats) -> Floats:
    """P(alive) at the end of observation; without repeats 1 in BG/NBD, by its construction."""
    chances = repeats + model.first
    odds = (
        model.a
        / np.where(chances > 0, model.b + chances - 1, 1)
        * ((model.alpha + age) / (model.alpha + last)) ** (model.r + repeats)
    )
    return 1 / (1 + np.where(chances > 0, odds, 0))


def expected_if_alive(model: BgNbd, *, repeats: Floats, age: Floats, horizon: float) -> Floats:
    """Expected purchases in (age, age + horizon], divided by P(alive).

    The whole expectation (Fader, Hardie, Lee 2005, equation 10; Batislam and others 2007) is this
    times P(alive): so a table over (repeats, age) is all that SQL needs, `last` enters through
    P(alive) alone.
    """
    from scipy.special import hyp2f1

    r, alpha, a, b = model.r, model.alpha, model.a, model.b
    a = a if abs(a - 1) > 1e-6 else 1 + 1e-6  # the formula has a gap there, the value has none
    chances = repeats + model.first
    later = alpha + age + horizon
    hyper = hyp2f1(r + repeats, b + chances, a + b + chances - 1, horizon / later)
    stay = ((alpha + age) / later) ** (r + repeats) * hyper
    return (a + b + chances - 1) / (a - 1) * (1 - stay)


def fit_gamma_gamma(*, repeats: Floats, value: Floats, weight: Floats) -> GammaGamma | None:
    """Maximum likelihood over repeaters; `value` is the mean value of their repeat purchases, > 0.

    Returns None where the likelihood has no maximum: too few customers, or all alike.
    """
    from scipy.special import digamma, gammaln

    if len(repeats) < 3 or np.ptp(value) == 0:
        return None
    scale = float(np.average(value, weights=weight))
    x, m = repeats, value / scale
    total = weight.sum()

    def negative(log_parameters: Floats) -> tuple[float, Floats]:
        p, q, v = np.exp(log_parameters)
        ends = np.log(v + x * m)
        value = weight @ (
            gammaln(p * x + q)
            - gammaln(p * x)
            - gammaln(q)
            + q * np.log(v)
            + (p * x - 1) * np.log(m)
            + p * x * np.log(x)
            - (p * x + q) * ends
        )
        d_p = x * (digamma(p * x + q) - digamma(p * x) + np.log(m) + np.log(x) - ends)
        d_q = digamma(p * x + q) - digamma(q) + np.log(v) - ends
        d_v = q / v - (p * x + q) / (v + x * m)
        gradient = np.array([weight @ d_p * p, weight @ d_q * q, weight @ d_v * v])
        return -value / total, -gradient / total

    p, q, v = map(float, np.exp(_minimised(negative, np.log(np.array([2.0, 3.0, 2.0])))[0]))
    if q <= 1:
        return None  # no mean over customers exists
    return GammaGamma(p, q, v * scale)


def expected_value(model: GammaGamma, *, repeats: Floats, value: Floats) -> Floats:
    """Expected value of a customer's purchases: their own mean, held at that of everybody."""
    return model.p * (model.v + repeats * value) / (model.p * repeats + model.q - 1)
