"""Write a sample of marketplace exports, and the truth about it beside them.

    python -m data.generate --out data --source demo --lines 60000 --seed 1

The world is made by the SQL in `data/sql`; this file checks the options, runs the SQL and writes
the files. The same options give the same bytes, whatever the threads; nothing reads the clock.
"""

from __future__ import annotations

import argparse
import datetime as dt
import math
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb

SQL_FOLDER = Path(__file__).parent / "sql"
CHUNK_LINES = 1_000_000  # lines made at a time: bounds the memory
BUCKET_LINES = 4_000_000  # lines whose customers' past is looked at together
CSV_LIMIT = 1_000_000  # largest world written as CSV unless asked for
FULL_TRUTH_LIMIT = 2_000_000  # largest world whose truth is written line by line unless asked for
INTERCEPT = -0.26  # log-odds: brings the share of lines that return to 23 %
QUIET_BELOW = 150_000  # worlds below this are made in two seconds: no progress lines

WORLD_SQL = (
    "00_random",
    "10_calendar",
    "20_parameters",
    "30_entities",
    "31_wheels",
    "32_incidents",
    "33_tallies",
)
CHUNK_SQL = (
    "40_line_picks",
    "41_line_terms",
    "42_line_outcomes",
    "43_return_events",
    "50_order_line_rows",
    "51_order_lines",
    "52_returns",
    "53_reviews",
    "70_chunk_truth",
    "71_chunk_tallies",
)

# The columns of each input file, and what orders its rows.
FILES = {
    "order_lines": (
        "order_line_id, order_id, ordered_at, customer_id, product_id, seller_id, marketplace, "
        "category, brand, size, colour, country, currency, quantity, unit_price, discount_amount, "
        "tax_amount, shipping_amount, payment_method, channel, customer_type, promised_at, "
        "delivered_at, cancelled_at, return_status",
        "",
    ),
    "returns": (
        "return_id, order_line_id, order_id, product_id, customer_id, quantity, returned_at, "
        "refund_amount, currency, reason, condition",
        "sort_at, sort_no, row_rank",
    ),
    "reviews": (
        "rating, reviewed_at, order_line_id, order_id, product_id, customer_id, seller_id",
        "sort_at, sort_no",
    ),
    "customers": ("customer_id, name, email, country, created_at, customer_type", "customer_no"),
    "products": ("product_id, name, category, brand, unit_cost, created_at", "product_no"),
    "sellers": ("seller_id, name, country, created_at", "seller_no"),
}

# What a crashed export leaves at the end of a CSV file: a short row, one with too many fields.
RAGGED_ROWS = {
    "order_lines": (
        "AG-X999999901-1,AG-X999999901,2025-03-01 12:00:00,C00000001",
        "AG-X999999902-1,AG-X999999902,2025-03-01 12:00:00,C00000001,P000001,S00001,agora,shoes,"
        "Alba,40,black,DE,EUR,1,59.95,0.00,11.39,0.00,card,web,returning,2025-03-05 20:00:00,,,,"
        "one,too,many",
    ),
    "returns": ("RX999999901,AG-X999999901-1,,,,1",),
}


@dataclass(frozen=True, kw_only=True)
class World:
    """The options of a generated world; `generate` describes each."""

    source: str = "demo"
    lines: int = 60_000
    seed: int = 1
    sellers: int | None = None
    days: int = 546
    end_date: str | dt.date = "2026-06-30"
    stationary: bool = False
    quiet: bool = False
    incidents: int = 0
    identical_sellers: bool = False
    noise_labels: bool = False
    no_returns: bool = False
    delay_shift: tuple[int, int] | None = None
    dirt: float = 0.005
    exclusions: float = 0.004
    return_shape: str = "mixed"
    format: str | None = None
    truth: str | None = None


def generate(out_dir: str | Path, *, threads: int | None = None, **options: object) -> Path:
    """Write one world and return the folder of its input files.

    Files go to `<out_dir>/raw/<source>/` (the exports) and `<out_dir>/truth/<source>/` (what only
    the generator knows). Both are written beside their place and renamed when complete; a sample
    of the same name made earlier is replaced.

    Options (keyword only):
        source: name of the source and of its folder; lower case letters, digits and underscores.
        lines: number of true order lines, before dirt and exclusions.
        seed: another number gives another world of the same kind.
        sellers: number of sellers; default one per 2,000 lines, at least 60.
        days, end_date: length of the data and their last day.
        stationary: no season, growth or trend.
        quiet: without the flash sale and the supply crisis.
        incidents: number of injected incidents of varied kind and size.
        identical_sellers: no seller and no product is better or worse than its category.
        noise_labels: every line returns with the same probability.
        no_returns: nothing is returned and there is no returns file.
        delay_shift: (day, days): every return due on or after that day (0 = first day of the
            data) comes so many days later; none is added or lost.
        dirt: share of lines with injected dirt; 0 = clean.
        exclusions: share of lines with a postage or gift card row beside them, and four times
            the share of test orders.
        return_shape: `mixed` (by line, by order and product, by customer and product: one way per
            marketplace) or `line` (every return names its order line).
        format: `csv` or `parquet`; default csv up to a million lines.
        truth: `full`, or `summary` without line_truth and return_truth, which cost a third of the
            time; default full up to two million lines.
        threads: DuckDB threads; changes nothing but the time.

    Raises ValueError for an option that makes no sense, FileExistsError if the folder to replace
    was not written by this generator.
    """
    try:
        world = World(**options)
    except TypeError as error:
        raise ValueError(f"generate: {str(error).replace('World.__init__() ', '')}") from None
    _check(world)
    out = Path(out_dir)
    raw, truth = out / "raw" / world.source, out / "truth" / world.source
    if raw.exists() and not (truth / "world.parquet").exists():
        raise FileExistsError(
            f"{raw} exists but was not written by the generator, so it is left alone. "
            "Choose another source name, or move that folder away."
        )
    raw.parent.mkdir(parents=True, exist_ok=True)
    truth.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".generating-{world.source}-", dir=out))
    try:
        for name in ("raw", "truth", "parts", "spill"):
            (work / name).mkdir()
        _write(world, work, threads)
        # the truth first: input files without their truth would look like someone else's data
        for made, place in ((work / "truth", truth), (work / "raw", raw)):
            if place.exists():
                place.rename(work / f"old-{made.name}")
            made.rename(place)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return raw


def _check(world: World) -> None:
    """Raise ValueError, naming the option, what it was, and what it may be."""

    def refuse(option: str, wanted: str) -> None:
        given = getattr(world, option)
        raise ValueError(f"generate: {option}={given!r} is not possible: {wanted}.")

    def is_whole(value: object, low: int, high: int) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high

    if not isinstance(world.source, str) or not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", world.source):
        refuse("source", "use lower case letters, digits and underscores, a letter first")
    for option, low, high in (
        ("lines", 1, 500_000_000),
        ("seed", 0, 2**62),
        ("days", 7, 3_660),
        ("incidents", 0, 1_000),
    ):
        if not is_whole(getattr(world, option), low, high):
            refuse(option, f"it must be a whole number from {low:,} to {high:,}")
    if world.sellers is not None and not is_whole(world.sellers, 1, 50_000):
        refuse("sellers", "it must be a whole number from 1 to 50,000")
    try:
        dt.date.fromisoformat(str(world.end_date))
    except ValueError:
        refuse("end_date", "write it as YYYY-MM-DD")
    for option in ("dirt", "exclusions"):
        value = getattr(world, option)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 0.2:
            refuse(option, "it is a share of the lines, from 0 to 0.2")
    if world.delay_shift is not None:
        day, late = world.delay_shift if len(world.delay_shift) == 2 else (None, None)
        if not is_whole(day, 0, world.days) or not is_whole(late, 1, 60):
            refuse("delay_shift", f"it is (day from 0 to {world.days}, 1 to 60 days later)")
    if world.return_shape not in ("mixed", "line"):
        refuse("return_shape", "choose mixed or line")
    if world.format not in (None, "csv", "parquet"):
        refuse("format", "choose csv or parquet")
    if world.truth not in (None, "full", "summary"):
        refuse("truth", "choose full or summary")


def _write(world: World, work: Path, threads: int | None) -> None:
    """Make the world and write all its files into `work`/raw and `work`/truth."""
    end = dt.date.fromisoformat(str(world.end_date))
    sellers = world.sellers or max(60, world.lines // 2_000)
    file_format = world.format or ("csv" if world.lines <= CSV_LIMIT else "parquet")
    truth = world.truth or ("full" if world.lines <= FULL_TRUTH_LIMIT else "summary")
    options = asdict(world) | {
        "end_date": end,
        "sellers": sellers,
        "format": file_format,
        "truth": truth,
    }
    shift_day, shift_days = options.pop("delay_shift") or (None, None)
    options |= {"delay_shift_day": shift_day, "delay_shift_days": shift_days}
    buckets = math.ceil(world.lines / BUCKET_LINES)

    session = duckdb.connect(str(work / "parts" / "work.duckdb") if buckets > 1 else ":memory:")
    try:
        session.execute("set enable_progress_bar = false")
        # every file is written by an order of its own
        session.execute("set preserve_insertion_order = false")
        # joins as written: how many rows find a partner by a random draw is misjudged by far
        session.execute("set disabled_optimizers = 'join_order,build_side_probe_side'")
        session.execute(f"set temp_directory = {_literal(str(work / 'spill'))}")
        if threads is not None:
            session.execute(f"set threads = {int(threads)}")
        if buckets > 1:
            session.execute("set memory_limit = '3GB'")
        for name, value in _variables(options, buckets).items():
            session.execute(f"set variable {name} = {_literal(value)}")
        for name in WORLD_SQL:
            _run(session, name)
        _write_lines(session, options, work)
        _run(session, "60_entities")
        for table in ("customers", "products", "sellers"):
            _copy_rows(session, table, work / "raw" / f"{table}.{file_format}")
        _write_truth(session, options, buckets, work)
        if file_format == "csv" and world.dirt > 0:
            _append_ragged_rows(work / "raw")
    finally:
        session.close()


def _variables(options: dict[str, Any], buckets: int) -> dict[str, Any]:
    """Return what the SQL reads by getvariable()."""
    lines, sellers, days = options["lines"], options["sellers"], options["days"]
    products = min(200_000, max(4 * sellers, lines // 60, 240))
    customer_groups = max(4, math.ceil(lines / 4.5 / 32))
    first = options["end_date"] - dt.timedelta(days=days - 1)
    passed_on = (
        "lines",
        "seed",
        "sellers",
        "days",
        "stationary",
        "quiet",
        "incidents",
        "identical_sellers",
        "noise_labels",
        "no_returns",
        "return_shape",
    )
    return {name: options[name] for name in passed_on} | {
        "dirt": float(options["dirt"]),
        "exclusions": float(options["exclusions"]),
        "first_date": first,
        "data_end": _midnight(options["end_date"] + dt.timedelta(days=1)),
        "shift_from": _midnight(first + dt.timedelta(days=options["delay_shift_day"] or 0)),
        "shift_days": options["delay_shift_days"] or 0,
        "products": products,
        "customer_groups": customer_groups,
        "customers": customer_groups * 32,
        "wheel_slots": min(800_000, 16 * products),
        "blocks": math.ceil(lines / 6),
        "chunk_lines": CHUNK_LINES,
        "buckets": buckets,
        "intercept": INTERCEPT,
    }


def _write_lines(session: duckdb.DuckDBPyConnection, options: dict[str, Any], work: Path) -> None:
    """Make order lines, returns and reviews chunk by chunk and write each chunk."""
    tables = ["order_lines", "reviews"] + ([] if options["no_returns"] else ["returns"])
    chunks = session.execute(
        "select chunk, max(block_to) * 6 from calendar where block_to > block_from "
        "group by chunk order by chunk"
    ).fetchall()
    for number, (chunk, made) in enumerate(chunks, start=1):
        session.execute(f"set variable chunk = {chunk}")
        for name in CHUNK_SQL:
            _run(session, name)
        part = f"{number:04}" if len(chunks) > 1 else ""
        for table in tables:
            _copy_rows(session, table, _part(work / "raw", table, part, options["format"]))
        if options["truth"] == "full":
            _copy(session, "from return_part", _part(work / "truth", "return_truth", part))
            _copy(session, "from line_part", _part(work / "parts", "line_truth", part))
        if options["lines"] >= QUIET_BELOW:
            made = min(made, options["lines"])
            _say(f"{options['source']}: {made:,} of {options['lines']:,} lines")


def _write_truth(
    session: duckdb.DuckDBPyConnection, options: dict[str, Any], buckets: int, work: Path
) -> None:
    """Write the truth: the oracle line by line if wanted, the summaries and the options."""
    if options["truth"] == "full":
        _write_line_truth(session, options, buckets, work)
    _run(session, "73_summaries")
    for table in ("sellers", "products", "categories", "incidents", "curves", "dirt"):
        _copy(session, f"from true_{table}", work / "truth" / f"{table}.parquet")
    columns = ", ".join(f"{_literal(value)} as {name}" for name, value in options.items())
    _copy(session, f"select {columns}", work / "truth" / "world.parquet")


def _write_line_truth(
    session: duckdb.DuckDBPyConnection, options: dict[str, Any], buckets: int, work: Path
) -> None:
    """Write the oracle: each line with its probabilities, part by part."""
    parts = sorted((work / "parts").glob("line_truth*.parquet"))
    files = ", ".join(_literal(str(part)) for part in parts)
    session.execute(f"create view line_parts as from read_parquet([{files}])")
    session.execute("create view chunk_part as from line_parts")
    _run(session, "72_line_truth")
    for bucket in range(buckets):
        session.execute(f"set variable bucket = {bucket}")
        session.execute("insert into pasts from line_pasts")
    for number, part in enumerate(parts, start=1):
        session.execute(f"create or replace view chunk_part as from {_literal(str(part))}")
        _copy(session, "from line_truth", work / "truth" / part.name)
        if options["lines"] >= QUIET_BELOW:
            _say(f"{options['source']}: truth, part {number} of {len(parts)}")


def _append_ragged_rows(folder: Path) -> None:
    """Append rows that do not have as many fields as the header to the last CSV file of a table."""
    for table, rows in RAGGED_ROWS.items():
        for file in sorted(folder.glob(f"{table}*.csv"))[-1:]:
            with file.open("a", encoding="utf-8", newline="") as text:
                text.writelines(f"{row}\n" for row in rows)


def _run(session: duckdb.DuckDBPyConnection, name: str) -> None:
    session.execute((SQL_FOLDER / f"{name}.sql").read_text(encoding="utf-8"))


def _part(folder: Path, table: str, part: str, file_format: str = "parquet") -> Path:
    """Name the file of one part: order_lines.csv, x_0002.csv, x-0002.parquet."""
    separator = ("_" if file_format == "csv" else "-") if part else ""
    return folder / f"{table}{separator}{part}.{file_format}"


def _copy_rows(session: duckdb.DuckDBPyConnection, table: str, file: Path) -> None:
    """Write the rows of an input file, an empty text as nothing at all."""
    columns, order = FILES[table]
    names = [name.strip() for name in columns.split(",")]
    order = f"order by {order}" if order else ""
    _copy(session, f"select nullif(columns({names}), '') from {table}_rows {order}", file)


def _copy(session: duckdb.DuckDBPyConnection, query: str, file: Path) -> None:
    """Write a query's rows, in its order, to a file of the format its name says."""
    # no bloom filters: nobody looks up single values in these files
    parquet = "format parquet, compression zstd, write_bloom_filter false"
    how = "format csv, header" if file.suffix == ".csv" else parquet
    session.execute(f"copy ({query}) to {_literal(str(file))} ({how})")


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time())


def _literal(value: object) -> str:
    """Write a Python value as a typed SQL literal."""
    if value is None:
        return "null::bigint"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value}::bigint"
    if isinstance(value, float):
        return f"{value!r}::double"
    if isinstance(value, dt.datetime):
        return f"timestamp '{value:%Y-%m-%d %H:%M:%S}'"
    if isinstance(value, dt.date):
        return f"date '{value:%Y-%m-%d}'"
    return "'" + str(value).replace("'", "''") + "'"


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m data.generate",
        description="Write a sample of marketplace exports, and the truth about it beside them.",
    )
    add = parser.add_argument
    add("--out", default="data", metavar="DIR", help="writes DIR/raw/SOURCE and DIR/truth/SOURCE")
    add("--source", default="demo", help="name of the source (default demo)")
    add("--lines", type=int, default=60_000, help="true order lines (default 60000)")
    add("--seed", type=int, default=1, help="another number, another world of the same kind")
    add("--sellers", type=int, help="sellers (default one per 2,000 lines, at least 60)")
    add("--days", type=int, default=546, help="length of the data in days (default 546)")
    add("--end-date", default="2026-06-30", help="last day of the data (default 2026-06-30)")
    add("--stationary", action="store_true", help="no season, growth or trend")
    add("--quiet", action="store_true", help="without the flash sale and the supply crisis")
    add("--incidents", type=int, default=0, help="inject so many incidents")
    add("--identical-sellers", action="store_true", help="no seller or product is at fault")
    add("--noise-labels", action="store_true", help="every line returns with the same probability")
    add("--no-returns", action="store_true", help="nothing is returned")
    add(
        "--delay-shift",
        metavar="DAY:DAYS",
        help="returns due from that day on (0 = first day) come so many days later",
    )
    add("--dirt", type=float, default=0.005, help="share of lines with dirt (default 0.005)")
    add(
        "--exclusions",
        type=float,
        default=0.004,
        help="share of lines with a postage or gift card row (default 0.004)",
    )
    add(
        "--return-shape",
        default="mixed",
        choices=("mixed", "line"),
        help="how returns name their sale (default mixed)",
    )
    add("--format", choices=("csv", "parquet"), help="default csv up to a million lines")
    add(
        "--truth",
        choices=("full", "summary"),
        help="summary: no line_truth and return_truth (default full up to two million lines)",
    )
    add("--threads", type=int, help="threads to use; changes nothing but the time")
    options = vars(parser.parse_args(arguments))
    out = options.pop("out")
    if options["delay_shift"] is not None:
        day, _, days = options["delay_shift"].partition(":")
        if not (day.isdigit() and days.isdigit()):
            parser.error("--delay-shift is written DAY:DAYS, for example 500:7")
        options["delay_shift"] = (int(day), int(days))
    try:
        folder = generate(out, **options)
    except (ValueError, FileExistsError) as error:
        parser.error(str(error))
    _say(f"wrote {folder} and {Path(out) / 'truth' / options['source']}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
