"""The tables around ml.segmentation: columns of customers in, columns of fits out, per source.

A table is a dictionary of arrays of equal length. What does not exist is NaN.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from ml import segmentation
from ml.segmentation import FEATURES

EVIDENCE = (
    "inertia",
    "seeded_excess",
    "silhouette",
    "bootstrap_ari",
    "min_jaccard",
    "min_share",
)


def evidence_table(
    customers: Mapping[str, np.ndarray],
    archetypes: Mapping[str, np.ndarray],
    policies: Mapping[str, int],
    *,
    sources: Sequence[str],
    random_seed: int,
) -> dict[str, np.ndarray]:
    """One row per source and number of clusters that was tried, on the customers of today.

    A source in which nothing can be clustered has one row, with 0 clusters and the reason.
    `customers` has the columns source, as_of_date, has_full_lookback and one per feature;
    `archetypes` one per feature; `policies` are the values of policy_parameters.
    """
    rows = []
    for source in sorted(sources):
        by_day, comparable = _days(customers, source)
        today = by_day[max(by_day)] if by_day else np.empty((0, len(FEATURES)))
        found: list[dict[str, float]] = []
        reason = ""
        if not len(today):
            reason = "No order names a known customer"
        elif len(today) < policies["segment_min_customers"]:
            reason = "Fewer customers in the fit sample than segment_min_customers"
        else:
            found = segmentation.evidence(
                segmentation.thinned(
                    segmentation.pool(
                        by_day, comparable, max(by_day), policies["segment_pooled_months"]
                    ),
                    policies["segment_fit_rows"],
                ),
                archetypes=_matrix(archetypes),
                winsor=policies["segment_winsor_permille"] / 1000,
                random_seed=random_seed,
            )
            if not found:
                reason = "Too few customers differ: each kind of customer is a cluster"
        chosen = segmentation.choose(
            found,
            preferred=policies["segment_clusters"],
            min_share=policies["segment_min_share_percent"] / 100,
            min_jaccard=policies["segment_min_jaccard_percent"] / 100,
            kept_jaccard=policies["segment_kept_jaccard_percent"] / 100,
            better_silhouette=policies["segment_better_silhouette_percent"] / 100,
        )
        nothing = {"cluster_count": 0} | dict.fromkeys(EVIDENCE, np.nan)
        for row in found or [nothing]:
            is_chosen = not reason and row["cluster_count"] == chosen
            rows.append(row | {"source": source, "is_chosen": is_chosen, "reason": reason})
    return {
        "source": np.array([row["source"] for row in rows], dtype=object),
        "cluster_count": np.array([row["cluster_count"] for row in rows], dtype=np.int64),
        **{
            name: np.array([row[name] for row in rows], dtype=float).round(segmentation.DECIMALS)
            for name in EVIDENCE
        },
        "is_chosen": np.array([row["is_chosen"] for row in rows], dtype=bool),
        "reason": np.array([row["reason"] for row in rows], dtype=object),
    }


def fits_table(
    customers: Mapping[str, np.ndarray],
    archetypes: Mapping[str, np.ndarray],
    policies: Mapping[str, int],
    cluster_counts: Mapping[str, int],
) -> dict[str, np.ndarray]:
    """One row per source, day, cluster and feature: the centroid and the scale it is measured on.

    `cluster_counts` holds the chosen number of clusters of the sources that have one; the other
    arguments are those of `evidence_table`. Clusters are numbered from 1.
    """
    rows = []
    for source in sorted(set(customers["source"])):
        by_day, comparable = _days(customers, source)
        fits = segmentation.month_fits(
            by_day,
            comparable,
            archetypes=_matrix(archetypes),
            cluster_count=cluster_counts.get(source, policies["segment_clusters"]),
            winsor=policies["segment_winsor_permille"] / 1000,
            pooled_days=policies["segment_pooled_months"],
            most_rows=policies["segment_fit_rows"],
            min_customers=policies["segment_min_customers"],
        )
        for day, fit in fits.items():
            for cluster, (centroid, share) in enumerate(
                zip(fit.centroids, fit.shares, strict=True), start=1
            ):
                for column, feature in enumerate(FEATURES):
                    rows.append(
                        (
                            *(source, day, cluster, feature),
                            centroid[column],
                            fit.scale.mean[column],
                            fit.scale.sd[column],
                            fit.scale.lower[column],
                            fit.scale.upper[column],
                            share,
                            fit.inertia / fit.row_count,
                            fit.row_count,
                            np.nan if fit.moved_distance is None else fit.moved_distance,
                            np.nan if fit.adjusted_rand_index is None else fit.adjusted_rand_index,
                        )
                    )
    columns = list(zip(*rows, strict=True)) or [()] * 14
    numbers = ("centroid", "mean", "sd", "lower", "upper", "pool_share", "inertia")
    # numpy's own texts: for every object of an array DuckDB looks for pandas, here on disk
    return {
        "source": np.array(columns[0], dtype=str),
        "as_of_date": np.array(columns[1], dtype="datetime64[us]"),
        "cluster_id": np.array(columns[2], dtype=np.int64),
        "feature": np.array(columns[3], dtype=str),
        **{
            name: np.array(columns[4 + number], dtype=float).round(segmentation.DECIMALS)
            for number, name in enumerate(numbers)
        },
        "row_count": np.array(columns[11], dtype=np.int64),
        "moved_distance": np.array(columns[12], dtype=float).round(segmentation.DECIMALS),
        "adjusted_rand_index": np.array(columns[13], dtype=float).round(segmentation.DECIMALS),
    }


def _days(
    customers: Mapping[str, np.ndarray], source: str
) -> tuple[dict[np.datetime64, np.ndarray], list[np.datetime64]]:
    """Features of each day of a source, and its days with a full look-back."""
    own = np.asarray(customers["source"] == source)
    days = np.asarray(customers["as_of_date"])[own]
    features = _matrix({name: customers[f"{name}_feature"] for name in FEATURES})[own]
    comparable = np.unique(days[np.asarray(customers["has_full_lookback"])[own].astype(bool)])
    return {day: features[days == day] for day in np.unique(days)}, list(comparable)


def _matrix(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """The columns of the features side by side, (n, 4)."""
    return np.column_stack([np.asarray(columns[name], dtype=float) for name in FEATURES])
