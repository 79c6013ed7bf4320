"""Segments of many customers: the fit on a sample, the assignment of everybody in SQL.

python -m benchmarks.segments [CUSTOMERS]    seconds, memory and inertia; 10,000,000 by default

The SQL is that of the model int_segment_assignments (macro nearest_clusters), the fit that of the
Python model; the full fit beside it sees every customer.
"""

import csv
import resource
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import jinja2
import numpy as np

from ml import segmentation

ROOT = Path(__file__).resolve().parent.parent
SEEDS = ROOT / "dbt_project" / "seeds" / "policy"
THREADS = 2
MEMORY_LIMIT = "1200MB"
NUMBERS = ("mean", "sd", "lower", "upper")

# a shop's customers: two in five kept nothing lately, the others buy at very different rates
CUSTOMERS = """
with drawn as (
    select
        i,
        hash(i, 1) / 18446744073709551616.0 as u1, hash(i, 2) / 18446744073709551616.0 as u2,
        hash(i, 3) / 18446744073709551616.0 as u3, hash(i, 4) / 18446744073709551616.0 as u4,
        hash(i, 5) / 18446744073709551616.0 as u5
    from range({customers}) as numbers (i)
),
lived as (
    select
        *,
        case when u1 < 0.4 then 0 else 1 + floor(-2.5 * ln(1 - u2) * (0.3 + u4)) end as orders
    from drawn
)
select
    'C' || cast(i as varchar) as customer_id,
    round(ln(1 + case
        when orders = 0 then 150 + floor(400 * u3) else floor(150 * power(u3, orders)) end), 6)
        as recency_feature,
    round(ln(1 + orders), 6) as frequency_feature,
    round(ln(1 + orders * 40 * exp(2 * u5 - 1)), 6) as monetary_feature,
    round(ln((0.05 + 0.5 * power(u4, 3)) / (0.95 - 0.5 * power(u4, 3))), 6) as return_rate_feature
from lived
"""


def policy(name: str) -> int:
    """A value of policy_parameters."""
    with (SEEDS / "policy_parameters.csv").open(encoding="utf-8") as file:
        return next(int(row["value"]) for row in csv.DictReader(file) if row["policy_name"] == name)


def archetypes() -> np.ndarray:
    """The rows of policy_segment_archetypes, as the Python model reads them."""
    with (SEEDS / "policy_segment_archetypes.csv").open(encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["segment_name"])
    return np.array([[float(row[name]) for name in segmentation.FEATURES] for row in rows])


def assignment(fit: segmentation.Fit) -> str:
    """The SELECT that assigns every customer of the table `customers`."""
    macros = (ROOT / "dbt_project" / "macros" / "segments.sql").read_text(encoding="utf-8")
    ctes = (
        jinja2.Environment()
        .from_string(macros + "{{ nearest_clusters('joined', ['customer_id']) }}")
        .render()
        .strip()
    )
    scale = {
        f"{name}_{number}": getattr(fit.scale, number)[column]
        for column, name in enumerate(segmentation.FEATURES)
        for number in NUMBERS
    }
    for cluster in range(1, 9):
        has = cluster <= len(fit.centroids)
        centroid = fit.centroids[cluster - 1] if has else np.zeros(4)
        for column, name in enumerate(segmentation.FEATURES):
            scale[f"{name}_{cluster}"] = centroid[column]
        scale[f"square_{cluster}"] = (centroid**2).sum() if has else 1e300
    columns = ", ".join(
        f"cast({float(value)!r} as double) as {name}" for name, value in scale.items()
    )
    return (
        f"with scorers as (select {columns}), "
        "joined as (select customers.*, scorers.* from customers cross join scorers), "
        f"{ctes} select customer_id, cast(cluster_id as bigint) as cluster_id from assigned"
    )


def peak_gb() -> float:
    """The most memory this process has held, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


def main(customers: int) -> None:
    """Fit on a sample, assign everybody, compare with a fit on everybody; print the figures."""
    options = {
        "archetypes": archetypes(),
        "cluster_count": policy("segment_clusters"),
        "winsor": policy("segment_winsor_permille") / 1000,
    }
    features = ", ".join(f"{name}_feature" for name in segmentation.FEATURES)
    with (
        tempfile.TemporaryDirectory() as folder,
        duckdb.connect(str(Path(folder) / "segments.duckdb")) as connection,
    ):
        connection.execute(f"set threads = {THREADS}; set memory_limit = '{MEMORY_LIMIT}'")
        connection.execute("set preserve_insertion_order = false")
        connection.execute(f"create table customers as {CUSTOMERS.format(customers=customers)}")
        connection.execute("checkpoint")
        from sklearn import cluster, metrics  # noqa: F401 (imported once, before the clock runs)

        start = time.perf_counter()
        share = policy("fit_sample_customers") / customers
        sample = connection.execute(
            f"select {features} from customers where cast('0x' || substr(md5('42 ' || customer_id),"
            f" 1, 7) as bigint) / 268435456.0 < {share}"
        ).fetchnumpy()
        rows = np.column_stack([np.asarray(column) for column in sample.values()])
        fit = segmentation.fit(segmentation.ordered(rows), **options)
        fitted = time.perf_counter()
        connection.execute(f"create table segments as {assignment(fit)}")
        connection.execute("checkpoint")
        assigned = time.perf_counter()
        print(f"{customers:,} customers, {len(rows):,} in the sample, {THREADS} threads")
        print(f"sample and fit: {fitted - start:.2f} s")
        print(f"assignment in SQL: {assigned - fitted:.2f} s")
        print(f"together: {assigned - start:.2f} s, peak {peak_gb():.2f} GB")

        everybody = connection.execute(
            f"select {features}, cluster_id from customers inner join segments using (customer_id)"
        ).fetchnumpy()
    labels = np.asarray(everybody.pop("cluster_id")) - 1
    points = fit.scale.standardised(
        np.column_stack([np.asarray(column) for column in everybody.values()])
    )
    inertia = ((points - fit.centroids[labels]) ** 2).sum()
    full = segmentation.kmeans(points, options["archetypes"])
    print(f"inertia above that of a fit on everybody: {inertia / full.inertia_ - 1:.4%}")
    agree = (segmentation.nearest(points, fit.centroids) == labels).mean()
    print(f"labels equal to those of numpy: {agree:.4%}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000)
