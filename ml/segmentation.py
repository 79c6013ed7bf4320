"""RFM-R clustering: standardised features, K-Means from archetypes, one fit per month-end.

Everywhere `features` is an array of float64, one row per customer and day, one column for each of
`FEATURES`; a clustering is an array of centroids, one row per cluster, in standard deviations.
Rows are sorted by value before anything is computed and scikit-learn runs on one thread, so that
neither the order of rows nor the machine changes a digit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

FEATURES = ("recency", "frequency", "monetary", "return_rate")
CLUSTER_COUNTS = (4, 5, 6, 7, 8)
RESTARTS = 10  # random starts that the archetypes are compared with
BOOTSTRAPS = 5
BOOTSTRAP_ROWS = 5_000
SILHOUETTE_ROWS = 1_500
DECIMALS = 9


@dataclass(frozen=True)
class Scale:
    """What a feature is clipped to, and the mean and standard deviation after that; each (4,)."""

    lower: np.ndarray
    upper: np.ndarray
    mean: np.ndarray
    sd: np.ndarray

    def standardised(self, features: np.ndarray) -> np.ndarray:
        return (np.clip(features, self.lower, self.upper) - self.mean) / self.sd

    def restored(self, centroids: np.ndarray) -> np.ndarray:
        return centroids * self.sd + self.mean


@dataclass(frozen=True)
class Fit:
    """One clustering: the scale, the centroids (k, 4) and what they were fitted on."""

    scale: Scale
    centroids: np.ndarray
    shares: np.ndarray
    inertia: float
    row_count: int
    moved_distance: float | None = None
    adjusted_rand_index: float | None = None


def ordered(features: np.ndarray) -> np.ndarray:
    """The rows sorted by value: the same array for every order of the same rows."""
    return features[np.lexsort(features.T[::-1])]


def thinned(features: np.ndarray, most_rows: int) -> np.ndarray:
    """The sorted rows, or every n-th of them so that at most `most_rows` are left."""
    features = ordered(features)
    return features[:: max(1, -(-len(features) // most_rows))]


def distinct_count(points: np.ndarray) -> int:
    """How many different points there are; 100 stands for any larger number."""
    few = np.unique(points[:: max(1, len(points) // 1_000)], axis=0)
    return min(100, len(few) if len(few) >= 100 else len(np.unique(points, axis=0)))


def scale_of(features: np.ndarray, winsor: float) -> Scale:
    """The scale of features (n, 4), clipped at the quantiles `winsor` and 1 - `winsor`.

    A constant feature gets the standard deviation 1 and so never tells customers apart.
    """
    lower, upper = np.quantile(features, [winsor, 1 - winsor], axis=0).round(DECIMALS)
    clipped = np.clip(features, lower, upper)
    mean, sd = clipped.mean(axis=0), clipped.std(axis=0)
    sd = np.where(sd < 1e-9, 1.0, sd)
    return Scale(lower, upper, mean.round(DECIMALS), sd.round(DECIMALS))


def nearest(points: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Index of the nearest centroid of each standardised point; the first of equally near ones."""
    return ((centroids**2).sum(axis=1) - 2 * points @ centroids.T).argmin(axis=1)


def kmeans(points: np.ndarray, start: np.ndarray):
    """scikit-learn's K-Means from these centroids until nothing moves any more."""
    from sklearn.cluster import KMeans

    return KMeans(len(start), init=start, n_init=1, max_iter=300, tol=0).fit(points)


def clusterings(
    points: np.ndarray, archetypes: np.ndarray, cluster_counts: Sequence[int]
) -> dict[int, tuple[np.ndarray, float]]:
    """Centroids and inertia for each number of clusters, found from the archetypes.

    K-Means starts at the archetypes (Basu, Banerjee and Mooney 2002: semi-supervised clustering by
    seeding). For more clusters the widest is cut in two along its longest axis, for fewer the two
    whose union costs least (Ward) become one; after each step K-Means runs again. Nothing is drawn
    at random. With fewer different points than clusters asked for, that number is left out.
    """
    distinct = distinct_count(points)
    found = {}
    for counts in (
        list(range(len(archetypes), max(cluster_counts) + 1)),
        list(range(len(archetypes), min(cluster_counts) - 1, -1)),
    ):
        start = archetypes
        for count in counts:
            if count > distinct:
                break
            model = kmeans(points, start)
            found[count] = (model.cluster_centers_, float(model.inertia_))
            start = (cut_widest if counts[-1] > counts[0] else merge_nearest)(points, model)
    return {count: found[count] for count in sorted(found) if count in cluster_counts}


def cut_widest(points: np.ndarray, model) -> np.ndarray:
    """The centroids of a fitted model, the one with the largest inertia replaced by two."""
    centroids, labels = model.cluster_centers_, model.labels_
    squares = ((points - centroids[labels]) ** 2).sum(axis=1)
    widest = np.bincount(labels, squares, len(centroids)).argmax()
    members = points[labels == widest] - centroids[widest]
    values, vectors = np.linalg.eigh(members.T @ members / len(members))
    axis = vectors[:, -1] * np.sqrt(max(values[-1], 0))
    axis = axis * (1 if axis[np.abs(axis).argmax()] > 0 else -1)  # eigh leaves the sign open
    halves = np.stack([centroids[widest] - axis, centroids[widest] + axis])
    return np.vstack([np.delete(centroids, widest, axis=0), halves])


def merge_nearest(points: np.ndarray, model) -> np.ndarray:
    """The centroids of a fitted model, the two that cost least to unite replaced by their mean."""
    centroids = model.cluster_centers_
    sizes = np.bincount(model.labels_, minlength=len(centroids)).astype(float)
    squares = ((centroids[:, None] - centroids[None]) ** 2).sum(axis=2)
    costs = squares * sizes[:, None] * sizes / np.maximum(sizes[:, None] + sizes, 1)
    costs[np.tril_indices(len(centroids))] = np.inf
    one, other = np.unravel_index(costs.argmin(), costs.shape)
    weights = sizes[[one, other]] + 1e-9
    merged = np.average(centroids[[one, other]], axis=0, weights=weights)
    return np.vstack([np.delete(centroids, [one, other], axis=0), merged])


def matched(centroids: np.ndarray, scale: Scale, previous: Fit) -> tuple[np.ndarray, float]:
    """The order of the centroids in which each follows the previous fit's of the same position.

    Hungarian method on standardised centroids; also the largest distance any of them has moved.
    Needs as many centroids as before.
    """
    from scipy.optimize import linear_sum_assignment

    before = (scale.mean * -1 + previous.scale.restored(previous.centroids)) / scale.sd
    distances = np.sqrt(((before[:, None] - centroids[None]) ** 2).sum(axis=2))
    rows, order = linear_sum_assignment(distances)
    return order, float(distances[rows, order].max())


def fit(
    features: np.ndarray,
    *,
    archetypes: np.ndarray,
    cluster_count: int,
    winsor: float,
    previous: Fit | None = None,
) -> Fit:
    """K-Means on sorted features (n, 4) with at most `cluster_count` clusters.

    Cluster numbers follow `previous`, if it has as many clusters. Where too few customers differ,
    there are as many clusters as different customers.
    """
    from sklearn.metrics import adjusted_rand_score

    scale = scale_of(features, winsor)
    points = scale.standardised(features)
    count = min(cluster_count, distinct_count(points))
    if count < min(CLUSTER_COUNTS):
        # so few different customers are their own clusters
        centroids = np.unique(points, axis=0)
    else:
        centroids = clusterings(points, archetypes, [count])[count][0]
    distance = index = None
    if previous is not None and len(previous.centroids) == count:
        order, distance = matched(centroids, scale, previous)
        centroids = centroids[order]
    centroids = centroids.round(DECIMALS)
    labels = nearest(points, centroids)
    if previous is not None:
        before = nearest(previous.scale.standardised(features), previous.centroids)
        index = float(adjusted_rand_score(before, labels))
    return Fit(
        scale=scale,
        centroids=centroids,
        shares=np.bincount(labels, minlength=count) / len(points),
        inertia=float(((points - centroids[labels]) ** 2).sum()),
        row_count=len(points),
        moved_distance=distance,
        adjusted_rand_index=index,
    )


def month_fits(
    features_by_day: Mapping[object, np.ndarray],
    comparable_days: Sequence[object],
    *,
    archetypes: np.ndarray,
    cluster_count: int,
    winsor: float,
    pooled_days: int,
    most_rows: int,
    min_customers: int,
) -> dict[object, Fit]:
    """One fit for each day, on the customers of that day and of the comparable days before it.

    `features_by_day` holds (n, 4) features of the days; those of `comparable_days` have a full
    look-back, and so many last ones as `pooled_days` are pooled, at most `most_rows` rows. Only
    the last day is fitted without being comparable, and then alone. Days with fewer than
    `min_customers` have no fit.
    """
    from threadpoolctl import threadpool_limits

    days = sorted(features_by_day)
    fits: dict[object, Fit] = {}
    previous = None
    with threadpool_limits(1):
        for day in days:
            enough = len(features_by_day[day]) >= min_customers
            if not enough or (day not in comparable_days and day != days[-1]):
                continue
            previous = fits[day] = fit(
                thinned(pool(features_by_day, comparable_days, day, pooled_days), most_rows),
                archetypes=archetypes,
                cluster_count=cluster_count,
                winsor=winsor,
                previous=previous,
            )
    return fits


def pool(
    features_by_day: Mapping[object, np.ndarray],
    comparable_days: Sequence[object],
    day: object,
    pooled_days: int,
) -> np.ndarray:
    """Features of the day and of the comparable days before it, at most `pooled_days` in all."""
    pooled = [day]
    if day in comparable_days:
        earlier = [other for other in sorted(comparable_days) if other < day]
        pooled = [*earlier[max(0, len(earlier) - pooled_days + 1) :], day]
    return np.vstack([features_by_day[other] for other in pooled])


def evidence(
    features: np.ndarray, *, archetypes: np.ndarray, winsor: float, random_seed: int
) -> list[dict[str, float]]:
    """What speaks for each number of clusters in `CLUSTER_COUNTS`: one row per number.

    `features` (n, 4) are sorted.

    `inertia` per row (for the elbow), `seeded_excess` of it over the best of ten random starts,
    `silhouette` on a sample, `bootstrap_ari` and `min_jaccard` (mean over bootstrap samples of the
    adjusted Rand index, and of the worst cluster's Jaccard similarity; Hennig 2007), `min_share` of
    the smallest cluster. Empty where fewer customers differ than the fewest clusters.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score, silhouette_score
    from threadpoolctl import threadpool_limits

    scale = scale_of(features, winsor)
    points = scale.standardised(features)
    random = np.random.default_rng(random_seed)
    judged = points[np.sort(random.permutation(len(points))[:SILHOUETTE_ROWS])]
    resamples = [
        points[np.sort(random.integers(0, len(points), min(len(points), BOOTSTRAP_ROWS)))]
        for _ in range(BOOTSTRAPS)
    ]
    sampled = points[np.sort(random.permutation(len(points))[:BOOTSTRAP_ROWS])]
    with threadpool_limits(1):
        found = clusterings(points, archetypes, CLUSTER_COUNTS)
        repeated = [clusterings(resample, archetypes, CLUSTER_COUNTS) for resample in resamples]
        rows = []
        for count, (centroids, inertia) in found.items():
            labels = nearest(judged, centroids)
            shares = np.bincount(nearest(points, centroids), minlength=count) / len(points)
            again = [nearest(judged, other[count][0]) for other in repeated if count in other]
            restarted = KMeans(count, n_init=RESTARTS, random_state=random_seed).fit(sampled)
            best = kmeans(points, restarted.cluster_centers_).inertia_
            rows.append(
                {
                    "cluster_count": count,
                    "inertia": inertia / len(points),
                    "seeded_excess": inertia / max(best, 1e-12) - 1,
                    "silhouette": float(silhouette_score(judged, labels))
                    if len(np.unique(labels)) > 1
                    else 0.0,
                    "bootstrap_ari": float(
                        np.mean([adjusted_rand_score(labels, other) for other in again])
                    ),
                    "min_jaccard": float(
                        np.min(np.mean([jaccards(labels, other, count) for other in again], axis=0))
                    ),
                    "min_share": float(shares.min()),
                }
            )
    return rows


def jaccards(labels: np.ndarray, others: np.ndarray, cluster_count: int) -> np.ndarray:
    """For each cluster of `labels` its Jaccard similarity to the most similar one of `others`."""
    table = np.zeros((cluster_count, cluster_count))
    np.add.at(table, (labels, others), 1)
    unions = table.sum(axis=1, keepdims=True) + table.sum(axis=0) - table
    return (table / np.maximum(unions, 1)).max(axis=1)


def choose(
    rows: Sequence[Mapping[str, float]],
    *,
    preferred: int,
    min_share: float,
    min_jaccard: float,
    kept_jaccard: float,
    better_silhouette: float,
) -> int:
    """The number of clusters to use, with hysteresis.

    Candidates have no cluster smaller than `min_share` and none less stable than `min_jaccard`. The
    preferred number stays while its clusters are found again (`kept_jaccard`) and no candidate's
    silhouette is better by more than `better_silhouette`; it also stays without any candidate.
    """
    found = {int(row["cluster_count"]): row for row in rows}
    large = {count: row for count, row in found.items() if row["min_share"] >= min_share}
    stable = [count for count, row in large.items() if row["min_jaccard"] >= min_jaccard]
    if not stable:
        return preferred
    best = max(stable, key=lambda count: (large[count]["silhouette"], -count))
    keeps = preferred in large and large[preferred]["min_jaccard"] >= kept_jaccard
    gain = large[best]["silhouette"] - found.get(preferred, large[best])["silhouette"]
    return preferred if keeps and gain <= better_silhouette else best
