"""RFM-R segments: the same numbers in SQL and scikit-learn, the same names month after month.

On the demo, on the real Online Retail file, and on customers that break careless clusterings.
"""

import duckdb
import numpy as np
import pytest

from ml import segment_tables, segmentation
from tests import support
from tests.support import Build

FEATURES = [f"{name}_feature" for name in segmentation.FEATURES]
NAMES = {"New/Occasional", "Steady", "VIP Whales", "Churned/Inactive", "High Returners"}
WAREHOUSES = ("marts", "online_retail_marts")
POLICIES = {
    "segment_min_customers": 100,
    "segment_pooled_months": 12,
    "segment_fit_rows": 60_000,
    "segment_winsor_permille": 20,
    "segment_clusters": 5,
    "segment_min_share_percent": 3,
    "segment_min_jaccard_percent": 75,
    "segment_kept_jaccard_percent": 60,
    "segment_better_silhouette_percent": 5,
}


@pytest.fixture(params=WAREHOUSES)
def warehouse(request: pytest.FixtureRequest) -> duckdb.DuckDBPyConnection:
    """The demo and the real file, one after the other."""
    return request.getfixturevalue(request.param)


def sample(warehouse: duckdb.DuckDBPyConnection) -> dict[str, np.ndarray]:
    """What the Python models read."""
    return warehouse.execute(
        "select * from intermediate.int_segment_features where is_sampled"
    ).fetchnumpy()


def archetypes(warehouse: duckdb.DuckDBPyConnection) -> dict[str, np.ndarray]:
    return warehouse.execute(
        "select * from policy.policy_segment_archetypes order by segment_name"
    ).fetchnumpy()


def matrix(columns: dict[str, np.ndarray]) -> np.ndarray:
    return np.column_stack([np.asarray(columns[name], dtype=float) for name in FEATURES])


def policies(warehouse: duckdb.DuckDBPyConnection) -> dict[str, int]:
    return dict(
        warehouse.execute("select policy_name, value from policy.policy_parameters").fetchall()
    )


def fitted(table: dict[str, np.ndarray]) -> list[tuple]:
    """The rows of fits_table, comparable; NaN becomes None."""
    return [
        tuple(None if value != value else value for value in row)
        for row in zip(*(column.tolist() for column in table.values()), strict=True)
    ]


def test_sql_assigns_every_customer_as_scikit_learn_does(
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    from sklearn.cluster import KMeans

    scorers = warehouse.execute("select * from intermediate.int_segment_scorers").fetchall()
    columns = [column[0] for column in warehouse.description]
    compared = 0
    for row in scorers:
        fit = dict(zip(columns, row, strict=True))
        scale = segmentation.Scale(
            *(
                np.array([fit[f"{feature}_{number}"] for feature in segmentation.FEATURES])
                for number in ("lower", "upper", "mean", "sd")
            )
        )
        centroids = np.array(
            [
                [fit[f"{feature}_{cluster}"] for feature in segmentation.FEATURES]
                for cluster in range(1, fit["cluster_count"] + 1)
            ]
        )
        rows = warehouse.execute(
            """
            select * from intermediate.int_segment_features
            inner join intermediate.int_segment_assignments
                using (source, as_of_date, customer_id)
            where source = ? and as_of_date = ?
            """,
            [fit["source"], fit["as_of_date"]],
        ).fetchnumpy()
        model = KMeans(len(centroids), init=centroids, n_init=1, max_iter=1).fit(centroids)
        model.cluster_centers_ = centroids
        labels = model.predict(scale.standardised(matrix(rows))) + 1
        assert (labels == np.asarray(rows["cluster_id"])).all()
        compared += len(labels)
    everybody = warehouse.execute(
        "select count(*) from intermediate.int_segment_features "
        "inner join intermediate.int_segment_scorers using (source, as_of_date)"
    ).fetchone()[0]
    assert compared == everybody > 10_000


def test_frozen_customers_keep_their_name_whatever_the_month(
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    """One name in the fits of the last six month-ends and of today, all seven of them."""
    days = warehouse.execute(
        """
        select distinct fitted_on from intermediate.int_segment_frozen_names
        where fitted_on = last_day(fitted_on) and fitted_on < (select max(as_of_date) from
            marts.customer_segments)
        order by fitted_on desc limit 6
        """
    ).fetchall()
    assert len(days) == 6
    customers, kept = warehouse.execute(
        """
        with names as (
            select customer_id, count(distinct segment_name) as names
            from intermediate.int_segment_frozen_names where fitted_on >= ? group by customer_id
        )
        select count(*), count(*) filter (where names = 1) from names
        """,
        [days[-1][0]],
    ).fetchone()
    print(f"\n{kept / customers:.2%} of {customers:,} customers keep one name")
    assert kept >= 0.95 * customers


def test_neither_seeds_nor_the_order_of_rows_change_a_fit(
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    """Other seeds choose the same number of clusters; given that number nothing is drawn."""
    customers, start, values = sample(warehouse), archetypes(warehouse), policies(warehouse)
    source = str(customers["source"][0])
    chosen = [
        table["cluster_count"][table["is_chosen"]].tolist()
        for seed in (42, 1, 2)
        for table in [
            segment_tables.evidence_table(
                customers, start, values, sources=[source], random_seed=seed
            )
        ]
    ]
    assert chosen == [[5], [5], [5]]
    order = np.random.default_rng(3).permutation(len(customers["source"]))
    shuffled = {name: np.asarray(column)[order] for name, column in customers.items()}
    tables = [
        fitted(segment_tables.fits_table(rows, start, values, {source: 5}))
        for rows in (customers, shuffled)
    ]
    assert tables[0] == tables[1]
    # and it is what the build has written
    built = warehouse.execute(
        "select * from private.ml_segment_fits order by source, as_of_date, cluster_id, feature"
    ).fetchall()
    centroids = {(row[1].isoformat(), row[2], row[3]): row[4] for row in built}
    assert len(centroids) == len(tables[0])
    for row in tables[0]:
        assert centroids[row[1].date().isoformat(), row[2], row[3]] == row[4]


def test_archetypes_lead_to_the_best_clustering_known(
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    """Ten random starts find nothing better, and every cluster is stable."""
    excess, jaccard, share = warehouse.execute(
        """
        select seeded_excess, min_jaccard, min_share from marts.segment_stability
        where is_used and known_on = as_of_date
        """
    ).fetchone()
    assert excess < 0.001
    assert jaccard > 0.6
    assert share > 0.03


def test_five_names_each_with_its_share_and_its_meaning(
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    rows = warehouse.execute(
        """
        select
            segment_name,
            count(*) / sum(count(*)) over (),
            median(recency_days),
            cast(median(monetary) as double),
            sum(returned_line_count) / greatest(sum(effective_exposure), 1)
        from marts.customer_segments group by segment_name
        """
    ).fetchall()
    recency = {name: days for name, _, days, _, _ in rows}
    money = {name: amount for name, _, _, amount, _ in rows}
    rate = {name: share for name, _, _, _, share in rows}
    assert set(recency) == NAMES
    assert all(0.03 <= share <= 0.60 for _, share, _, _, _ in rows)
    assert (
        recency["Churned/Inactive"]
        >= 150
        > max(days for name, days in recency.items() if name != "Churned/Inactive")
    )
    others = [name for name in NAMES if name not in ("VIP Whales", "Churned/Inactive")]
    assert money["VIP Whales"] > 1.4 * max(money[name] for name in others)
    buyers = [name for name in NAMES if name not in ("High Returners", "Churned/Inactive")]
    assert rate["High Returners"] > 1.4 * max(rate[name] for name in buyers)


def test_everybody_once_and_migrations_add_up(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert (
        warehouse.execute("select count(*) from marts.customers where order_count > 0").fetchone()
        == warehouse.execute(
            "select count(distinct customer_id) from marts.customer_segments"
        ).fetchone()
        == warehouse.execute("select count(*) from marts.customer_segments").fetchone()
    )
    sums = warehouse.execute(
        "select sum(share) from marts.segment_migrations group by source, known_on, from_segment"
    ).fetchall()
    assert sums
    assert all(abs(total - 1) < 1e-9 for (total,) in sums)
    split = warehouse.execute(
        "select count(*) from (select monetary from marts.customer_rfm group by monetary "
        "having count(distinct m_score) > 1)"
    ).fetchone()
    assert split == (0,)


def test_snapshots_know_what_was_known(marts: duckdb.DuckDBPyConnection) -> None:
    """A past month-end again, line by line from the ledger: sales and returns up to that day."""
    day = "2026-03-31"
    wrong = marts.execute(
        f"""
        with back as (
            select order_line_id, sum(quantity) as quantity, sum(refund_amount) as amount
            from marts.returns
            where order_line_id is not null and booked_date <= date '{day}'
            group by all
        ),
        lines as (
            select
                orders.customer_id, order_lines.*,
                coalesce(back.quantity, 0) as back_quantity,
                coalesce(back.amount, 0) as back_amount
            from marts.order_lines
            inner join marts.orders using (order_id)
            left join back using (order_line_id)
            where order_lines.is_sale and orders.customer_id is not null
                and order_lines.ordered_date <= date '{day}'
        ),
        bought as (
            select
                customer_id, order_id, min(ordered_date) as ordered_date,
                sum(back_quantity) < sum(quantity) as is_kept,
                sum(net_amount - back_amount) as kept,
                count(*) filter (where back_quantity > 0) as returned_lines
            from lines group by all
        ),
        expected as (
            select
                customer_id,
                date '{day}' - coalesce(max(ordered_date) filter (is_kept), max(ordered_date))
                    as recency_days,
                count(*) filter (is_kept) as frequency,
                sum(kept) as monetary,
                sum(returned_lines) as returned_line_count,
                coalesce(sum(kept) filter (date '{day}' - ordered_date < 150), 0)
                    as recent_monetary
            from bought group by all
        )
        select count(*) from expected
        full join (
            select * from intermediate.int_customer_snapshots where as_of_date = date '{day}'
        ) as snapshots using (customer_id)
        where expected.recency_days is distinct from snapshots.recency_days
            or expected.frequency is distinct from snapshots.frequency
            or expected.monetary is distinct from snapshots.monetary
            or expected.returned_line_count is distinct from snapshots.returned_line_count
            or expected.recent_monetary is distinct from snapshots.recent_monetary
        """
    ).fetchone()
    assert wrong == (0,)


# customers that break careless clusterings


def crowd(count: int, seed: int = 5) -> np.ndarray:
    """Made-up features of customers, (count, 4)."""
    random = np.random.default_rng(seed)
    orders = random.poisson(2.5, count)
    rates = random.beta(2, 8, count)
    return np.column_stack(
        [
            np.log1p(random.exponential(90, count).round()),
            np.log1p(orders),
            np.log1p(orders * random.gamma(2, 40, count)),
            np.log(rates / (1 - rates)),
        ]
    )


def rows_of(features: np.ndarray, source: str = "shop") -> dict[str, np.ndarray]:
    """The columns of int_segment_features for customers of one day."""
    count = len(features)
    return {
        "source": np.array([source] * count, dtype=object),
        "as_of_date": np.array(["2025-06-30"] * count, dtype="datetime64[us]"),
        "has_full_lookback": np.ones(count, dtype=bool),
        **dict(zip(FEATURES, features.T, strict=True)),
    }


STARTS = {
    "recency": np.array([1.1, 0.0, 0.1, -1.4, -0.9]),
    "frequency": np.array([-1.3, 0.3, 0.1, 0.8, 1.5]),
    "monetary": np.array([-1.6, 0.5, 0.3, 0.7, 1.0]),
    "return_rate": np.array([0.3, 1.4, -0.6, 0.0, 0.0]),
}


def test_outliers_do_not_move_the_clusters() -> None:
    """80,000 units back on the same day, and a rate that was 20,000 % before it was capped."""
    customers = crowd(3_000)
    outliers = np.array(
        [
            [0.0, np.log1p(1), 0.0, np.log(0.999 / 0.001)],
            [0.0, np.log1p(5_000), np.log1p(1e12), np.log(0.001 / 0.999)],
        ]
    )
    start = np.column_stack(list(STARTS.values()))
    plain, disturbed = (
        segmentation.fit(segmentation.ordered(rows), archetypes=start, cluster_count=5, winsor=0.02)
        for rows in (customers, np.vstack([customers, outliers]))
    )
    labels, others = (
        segmentation.nearest(fit.scale.standardised(customers), fit.centroids)
        for fit in (plain, disturbed)
    )
    assert len(disturbed.centroids) == 5
    assert disturbed.shares.min() > 0.03
    assert (labels == others).mean() > 0.97


@pytest.mark.parametrize(
    ("customers", "reason"),
    [
        (crowd(0), "No order names a known customer"),
        (crowd(40), "Fewer customers in the fit sample than segment_min_customers"),
        (np.ones((500, 4)), "Too few customers differ: each kind of customer is a cluster"),
    ],
    ids=["all guests", "too few customers", "all customers alike"],
)
def test_what_cannot_be_clustered_says_why(customers: np.ndarray, reason: str) -> None:
    evidence = segment_tables.evidence_table(
        rows_of(customers), STARTS, POLICIES, sources=["shop"], random_seed=1
    )
    assert evidence["reason"].tolist() == [reason]
    assert evidence["cluster_count"].tolist() == [0]
    fits = segment_tables.fits_table(rows_of(customers), STARTS, POLICIES, {})
    # customers who are all alike are one cluster, the others have none
    assert set(fits["cluster_id"].tolist()) == ({1} if len(customers) == 500 else set())


@pytest.mark.parametrize("column", range(4))
def test_a_constant_feature_tells_nobody_apart(column: int) -> None:
    customers = crowd(1_000)
    customers[:, column] = 1.0
    fits = segment_tables.fits_table(rows_of(customers), STARTS, POLICIES, {})
    constant = fits["feature"] == segmentation.FEATURES[column]
    assert fits["cluster_id"].max() == 5
    assert np.abs(fits["centroid"][constant]).max() < 1e-6
    assert np.isfinite(fits["centroid"]).all()


def test_cluster_numbers_follow_the_fit_before() -> None:
    """The same customers, clusters found in another order: the numbers stay."""
    customers = segmentation.ordered(crowd(2_000))
    start = np.column_stack(list(STARTS.values()))
    options = {"cluster_count": 5, "winsor": 0.02}
    before = segmentation.fit(customers, archetypes=start, **options)
    after = segmentation.fit(customers, archetypes=start[::-1], previous=before, **options)
    np.testing.assert_allclose(after.centroids, before.centroids, atol=1e-6)
    assert after.moved_distance < 1e-6
    assert after.adjusted_rand_index == pytest.approx(1)


def test_a_tiny_shop_has_no_segments_and_says_why(shop: Build) -> None:
    assert support.query(shop, "select count(*) from marts.customer_segments") == [(0,)]
    reasons = support.query(
        shop, "select distinct cluster_count, reason is null from marts.segment_stability"
    )
    assert reasons == [(0, False)]
    coverage = support.query(
        shop, "select status, reason from marts.coverage where mart = 'customer_segments'"
    )
    assert coverage[0][0] == "empty"
    assert "segment_min_customers" in coverage[0][1]
