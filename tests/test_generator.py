"""The generated world keeps its promises: same bytes, honest truth, options that do as they say."""

import hashlib
from pathlib import Path
from typing import Any

import duckdb
import pytest

from data import generate as generator
from data.generate import generate

LINES = 10_000


def query(sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        return connection.execute(sql).fetchall()


def hashes(out: Path) -> dict[str, str]:
    """SHA-256 of every file under a folder, by its path from there."""
    return {
        file.relative_to(out).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(out.rglob("*"))
        if file.is_file()
    }


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Make a world once per set of options and return its folder."""
    made: dict[tuple[tuple[str, Any], ...], Path] = {}

    def make_once(**options: Any) -> Path:
        options = {"lines": LINES, "format": "parquet"} | options
        key = tuple(sorted(options.items()))
        if key not in made:
            made[key] = tmp_path_factory.mktemp("world")
            generate(made[key], **options)
        return made[key]

    return make_once


def truth(out: Path, table: str) -> str:
    return f"'{out}/truth/demo/{table}*.parquet'"


def raw(out: Path, table: str) -> str:
    return f"'{out}/raw/demo/{table}*.parquet'"


# the same bytes


def test_same_options_give_the_same_bytes_on_any_number_of_threads(tmp_path: Path) -> None:
    # more lines than one row group of DuckDB: else one thread does it all
    options = {"lines": 150_000, "format": "parquet"}
    generate(tmp_path / "one", threads=1, **options)
    generate(tmp_path / "three", threads=3, **options)
    assert hashes(tmp_path / "one") == hashes(tmp_path / "three")


def test_another_seed_gives_another_world_of_the_same_kind(make: Any) -> None:
    one, two = make(), make(seed=2)
    assert (
        hashes(one)["raw/demo/order_lines.parquet"] != hashes(two)["raw/demo/order_lines.parquet"]
    )
    rates = [
        query(f"select avg(will_return::int) from {truth(out, 'line_truth')}")[0][0]
        for out in (one, two)
    ]
    assert rates[0] != rates[1]
    assert abs(rates[0] - rates[1]) < 0.05


def test_a_world_made_in_chunks_is_the_world_made_at_once(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generator, "CHUNK_LINES", 4_000)
    monkeypatch.setattr(generator, "BUCKET_LINES", 4_000)
    generate(tmp_path, lines=LINES, format="parquet")
    names = {path.rsplit("/", 1)[1] for path in hashes(tmp_path)}
    assert {"order_lines-0001.parquet", "returns-0003.parquet", "line_truth-0002.parquet"} <= names
    for where, table in (
        (raw, "order_lines"),
        (raw, "returns"),
        (raw, "reviews"),
        (raw, "customers"),
        (truth, "line_truth"),
        (truth, "return_truth"),
        (truth, "dirt"),
        (truth, "sellers"),
    ):
        left, right = where(make(), table), where(tmp_path, table)
        assert query(f"select count(*) from {left}") == query(f"select count(*) from {right}")
        assert query(f"from {left} except all from {right}") == []


# files


def test_csv_holds_what_parquet_holds_and_ragged_rows(make: Any, tmp_path: Path) -> None:
    folder = generate(tmp_path, lines=LINES)
    assert sorted(file.name for file in folder.iterdir()) == [
        "customers.csv",
        "order_lines.csv",
        "products.csv",
        "returns.csv",
        "reviews.csv",
        "sellers.csv",
    ]
    physical = (folder / "order_lines.csv").read_text(encoding="utf-8").splitlines()
    assert (
        len(physical) == 1 + 2 + query(f"select count(*) from {raw(make(), 'order_lines')}")[0][0]
    )
    fields = physical[0].count(",") + 1
    assert physical[-2].count(",") + 1 < fields < physical[-1].count(",") + 1


def test_an_interrupted_run_leaves_the_old_sample_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate(tmp_path, lines=600)
    before = hashes(tmp_path)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(generator, "_write_truth", stop)
    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path, lines=900)
    assert hashes(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw", "truth"]


def test_a_sample_is_replaced_but_a_folder_of_someone_else_is_not(tmp_path: Path) -> None:
    generate(tmp_path, lines=600)
    generate(tmp_path, lines=900)
    assert query(f"select lines from {truth(tmp_path, 'world')}") == [(900,)]
    foreign = tmp_path / "raw" / "shop"
    foreign.mkdir()
    (foreign / "order_lines.csv").write_text("order_id\n1\n")
    with pytest.raises(FileExistsError, match="was not written by the generator"):
        generate(tmp_path, source="shop", lines=600)
    assert (foreign / "order_lines.csv").read_text() == "order_id\n1\n"


# the truth


def test_returns_happen_as_often_as_their_probability_says(make: Any) -> None:
    rows = query(f"""
        select category, count(*), avg(will_return::int), avg(p_true), avg(p_checkout)
        from {truth(make(), "line_truth")}
        where not is_cancelled and not is_undelivered group by all""")
    assert len(rows) == 8
    for category, lines, share, p_true, p_checkout in rows:
        error = (p_true * (1 - p_true) / lines) ** 0.5
        assert abs(share - p_true) < 4 * error, category
        assert abs(p_checkout - p_true) < 0.03, category  # incidents are not foreseen
    overall = query(f"select avg(will_return::int) from {truth(make(), 'line_truth')}")[0][0]
    assert 0.20 < overall < 0.25


def test_the_checkout_probability_is_calibrated_and_informative(make: Any) -> None:
    bins = query(f"""
        select bin, count(*), avg(p_checkout), avg(will_return::int)
        from (
            select *, ntile(10) over (order by p_checkout, line_id) as bin
            from {truth(make(quiet=True, lines=60_000), "line_truth")}
            where not is_cancelled and not is_undelivered
        ) group by bin order by bin""")
    for _, lines, expected, share in bins:
        assert abs(share - expected) < 4.5 * (expected * (1 - expected) / lines) ** 0.5
    assert bins[-1][3] > 8 * bins[0][3]


def test_delays_follow_the_completion_curve(make: Any) -> None:
    world = make(quiet=True, lines=60_000)
    gaps = query(f"""
        select category, age_days, share_returned, avg((age <= age_days)::int)
        from {truth(world, "curves")} inner join (
            select category, date_diff('day', ordered_at::date, first_returned_at::date) as age
            from {truth(world, "line_truth")} where will_return
        ) using (category)
        where category in ('shoes', 'dresses', 'tops') group by all""")
    assert max(abs(expected - share) for _, _, expected, share in gaps) < 0.04
    for_60_days = [expected for _, age, expected, _ in gaps if age == 60]
    assert min(for_60_days) > 0.99


def test_the_ledger_of_the_truth_adds_up(make: Any) -> None:
    lines, returns = truth(make(), "line_truth"), truth(make(), "return_truth")
    assert (
        query(f"""
        select line_id from {lines} left join (
            select line_id, sum(quantity) as units, sum(refund_amount) as refunds,
                min(returned_at) as first_at
            from {returns} group by line_id
        ) using (line_id)
        where coalesce(units, 0) != returned_units or returned_units > quantity
            or refunds > net_amount or (returned_units = quantity and refunds != net_amount)
            or first_at is distinct from first_returned_at or first_at <= ordered_at
            or (will_return and (is_cancelled or is_undelivered))""")
        == []
    )
    several = query(f"select count(*) from {returns} where event_no = 2")[0][0]
    later = query(f"select count(*) from {returns} where not is_in_data")[0][0]
    assert several > 10 and later > 20
    assert (
        query(f"""
        select return_id from {returns} where is_in_data
        except select return_id from {raw(make(), "returns")}""")
        == []
    )
    assert (
        query(f"""
        select return_id from {returns} where not is_in_data
        intersect select return_id from {raw(make(), "returns")}""")
        == []
    )


def test_the_three_marketplaces_name_their_returns_in_three_ways(make: Any) -> None:
    shapes = query(f"""
        select marketplace, order_line_id is not null, order_id is not null, count(*)
        from {raw(make(dirt=0.0, exclusions=0.0), "returns")} inner join (
            select return_id, marketplace
            from {truth(make(dirt=0.0, exclusions=0.0), "return_truth")}
        ) using (return_id) group by all order by 1""")
    assert [row[:3] for row in shapes] == [
        ("agora", True, False),
        ("bazaar", False, True),
        ("corner", False, False),
    ]
    assert (
        query(f"""
        select order_id from {truth(make(), "line_truth")} where marketplace = 'bazaar'
        group by order_id, product_id, size, colour having count(*) > 1""")
        == []
    )
    by_line = make(dirt=0.0, exclusions=0.0, return_shape="line")
    assert query(f"""
        select count(*) from {raw(by_line, "returns")} anti join {raw(by_line, "order_lines")}
        using (order_line_id)""") == [(0,)]


def test_sellers_differ_in_size_and_fault(make: Any) -> None:
    sizes = query(f"""
        select count(*), max(shipped_lines) / median(shipped_lines),
            count(*) filter (where odds_multiplier > 1.8)
        from {truth(make(), "sellers")}""")[0]
    assert sizes[0] == 60
    assert sizes[1] > 5
    assert sizes[2] >= 2
    assert query(
        f"select count(*) from {raw(make(quiet=True, incidents=20, sellers=500), 'sellers')}"
    ) == [(500,)]


# dirt


def test_every_injected_row_is_recorded(make: Any) -> None:
    world = make(lines=60_000)
    kinds = dict(query(f"select kind, count(*) from {truth(world, 'dirt')} group by kind"))
    assert kinds.keys() >= {
        "duplicate_row",
        "conflicting_values",
        "missing_order_id",
        "missing_product_id",
        "bad_date",
        "bad_quantity",
        "bad_price",
        "zero_quantity",
        "negative_price",
        "unknown_currency",
        "future_date",
        "epoch_date",
        "before_sale",
        "too_many_units",
        "duplicate_event",
        "orphan",
        "orphan_customer",
        "missing_key",
        "spaces_and_case",
        "hostile_text",
        "bad_refund",
        "postage",
        "gift_card",
        "test_order",
    }
    for table in ("order_lines", "returns"):
        lines = query(f"select count(*) from {raw(world, table)}")[0][0]
        true_lines = {
            "order_lines": "select 60000",
            "returns": f"""
            select count(*) from {truth(world, "return_truth")} where is_in_data""",
        }[table]
        added = query(f"""
            select count(*) from {truth(world, "dirt")}
            where file = '{table}' and not is_in_place""")[0][0]
        assert lines == query(true_lines)[0][0] + added, table
    dirty = query(f"""
        select count(*) / 60000 from {truth(world, "dirt")}
        where file = 'order_lines' and kind not in ('postage', 'gift_card', 'test_order')""")[0][0]
    assert 0.003 < dirty < 0.007


def test_a_clean_world_has_no_dirt(make: Any) -> None:
    world = make(dirt=0.0, exclusions=0.0)
    assert query(f"select count(*) from {truth(world, 'dirt')}") == [(0,)]
    assert query(f"""
        select count(*), count(distinct order_id || product_id || coalesce(size, '')
            || coalesce(colour, '') || coalesce(order_line_id, '')), min(quantity::int),
            min(unit_price::decimal(12, 2)) > 0, max(ordered_at::timestamp) < '2026-07-01'
        from {raw(world, "order_lines")}""") == [(LINES, LINES, 1, True, True)]


# options


def test_a_quiet_world_has_no_incident(make: Any) -> None:
    assert query(f"select count(*) from {truth(make(quiet=True), 'incidents')}") == [(0,)]
    kinds = query(
        f"select kind, excess_returns > 0 from {truth(make(), 'incidents')} order by kind"
    )
    assert kinds == [("flash_sale", True), ("supply_crisis", True)]


def test_incidents_are_injected_and_costed(make: Any) -> None:
    rows = query(f"""
        select kind, coalesce(seller_id, product_id, category, marketplace), starts_on, ends_on,
            odds_multiplier, shipped_lines, excess_returns, excess_cost_eur
        from {truth(make(quiet=True, incidents=20, sellers=500), "incidents")}""")
    assert len(rows) == 20
    assert {row[0] for row in rows} == {
        "seller_fault",
        "product_defect",
        "category_quality",
        "marketplace_delay",
    }
    for _, entity, starts_on, ends_on, multiplier, lines, excess, cost in rows:
        assert entity is not None and starts_on < ends_on and multiplier > 1.2
        assert (excess > 0 and cost >= 0) or lines == 0


def test_the_flash_sale_discounts_and_the_crisis_delays(make: Any) -> None:
    weeks = query(f"""
        select
            avg(discount_share) filter (
                where marketplace = 'bazaar' and ordered_at between '2025-08-04' and '2025-08-11'),
            avg(discount_share) filter (where ordered_at >= '2025-08-11'),
            avg(date_diff('day', ordered_at, delivered_at))
                filter (where ordered_at between '2026-02-09' and '2026-03-02'),
            avg(date_diff('day', ordered_at, delivered_at))
                filter (where ordered_at < '2026-02-09'),
            avg(p_true) filter (where ordered_at between '2026-02-09' and '2026-03-02'),
            avg(p_true) filter (where ordered_at < '2026-02-09')
        from {truth(make(lines=60_000), "line_truth")}""")[0]
    assert weeks[0] > 0.5 and weeks[1] < 0.1
    assert 4 < weeks[2] - weeks[3] < 5
    assert weeks[4] > weeks[5] + 0.04


def test_noise_labels_mean_one_probability_for_all(make: Any) -> None:
    world = make(noise_labels=True)
    assert query(f"select distinct p_true, p_checkout from {truth(world, 'line_truth')}") == [
        (0.22, 0.22)
    ]
    assert query(f"select max(abs(rate_multiplier - 1)) from {truth(world, 'sellers')}") == [(0.0,)]


def test_identical_sellers_have_no_fault(make: Any) -> None:
    world = make(stationary=True, identical_sellers=True)
    for table in ("sellers", "products"):
        multipliers = query(f"select distinct odds_multiplier from {truth(world, table)}")
        assert multipliers == [(1.0,)]


def test_a_delay_shift_moves_returns_and_loses_none(make: Any) -> None:
    plain, shifted = make(), make(delay_shift=(500, 7))
    assert (
        hashes(plain)["raw/demo/order_lines.parquet"]
        == (hashes(shifted)["raw/demo/order_lines.parquet"])
    )
    moved = query(f"""
        select plain.returned_at >= date '2025-01-01' + 500 as is_after,
            shifted.returned_at - plain.returned_at = interval 7 days as is_moved,
            shifted.returned_at = plain.returned_at as is_kept,
            count(*), count(shifted.return_id)
        from {truth(plain, "return_truth")} as plain
        left join {truth(shifted, "return_truth")} as shifted using (return_id, quantity, line_id)
        group by all order by 1""")
    assert [row[:3] for row in moved] == [(False, False, True), (True, True, False)]
    assert all(total == found for *_, total, found in moved)


def test_without_the_full_truth_the_input_is_the_same(make: Any) -> None:
    full, summary = hashes(make()), hashes(make(truth="summary"))
    assert full.keys() - summary.keys() == {
        "truth/demo/line_truth.parquet",
        "truth/demo/return_truth.parquet",
    }
    assert {file for file in summary if full[file] != summary[file]} == {"truth/demo/world.parquet"}


def test_a_stationary_world_has_even_days(make: Any) -> None:
    lines = truth(make(stationary=True, identical_sellers=True), "line_truth")
    spread = query(f"""
        select max(lines) - min(lines) from (
            select count(*) as lines from {lines}
            where ordered_at not between '2025-08-04' and '2025-08-11'
            group by ordered_at::date)""")[0][0]
    assert spread <= 12  # two blocks of six lines
    drift = query(f"""
        select avg(p_checkout) filter (where ordered_at < '2025-10-01')
            - avg(p_checkout) filter (where ordered_at >= '2025-10-01')
        from {lines} where discount_share < 0.5""")[0][0]
    assert abs(drift) < 0.015


def test_a_world_without_returns_has_no_returns_file(make: Any) -> None:
    world = make(no_returns=True)
    assert not list((world / "raw" / "demo").glob("returns*"))
    assert query(f"select sum(returned_units), max(p_true) from {truth(world, 'line_truth')}") == [
        (0, 0.0)
    ]


@pytest.mark.parametrize("lines", [1, 7, 100])
def test_tiny_worlds_work(tmp_path: Path, lines: int) -> None:
    generate(tmp_path, lines=lines, sellers=1, days=30)
    assert query(f"select count(*) from {truth(tmp_path, 'line_truth')}") == [(lines,)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"line": 5}, "unexpected keyword argument 'line'"),
        ({"lines": 0}, "lines=0 is not possible: it must be a whole number from 1"),
        ({"lines": 1.5}, "lines=1.5"),
        ({"seed": -1}, "seed=-1"),
        ({"source": "My Shop"}, "lower case letters"),
        ({"source": "../up"}, "lower case letters"),
        ({"sellers": 0}, "sellers=0"),
        ({"days": 3}, "days=3"),
        ({"end_date": "30.06.2026"}, "YYYY-MM-DD"),
        ({"dirt": 2}, "dirt=2 is not possible: it is a share"),
        ({"delay_shift": (600, 7)}, "delay_shift"),
        ({"delay_shift": (5,)}, "delay_shift"),
        ({"return_shape": "flag"}, "choose mixed or line"),
        ({"format": "xlsx"}, "choose csv or parquet"),
        ({"truth": "none"}, "choose full or summary"),
    ],
)
def test_bad_options_are_named(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        generate(tmp_path, **options)
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_takes_the_same_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--out", str(tmp_path), "--source", "shop", "--lines", "600", "--quiet"]
    assert generator.main([*arguments, "--delay-shift", "300:5"]) == 0
    assert "wrote" in capsys.readouterr().err
    world = f"'{tmp_path}/truth/shop/world.parquet'"
    assert query(f"select source, quiet, delay_shift_day, delay_shift_days from {world}") == [
        ("shop", True, 300, 5)
    ]
    with pytest.raises(SystemExit, match="2"):
        generator.main(["--out", str(tmp_path), "--dirt", "7"])
    assert "dirt=7.0 is not possible" in capsys.readouterr().err
