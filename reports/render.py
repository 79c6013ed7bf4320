"""The report: static pages over the published file, opened from disk without a server.

Every figure is computed in SQL: a page shows the rows of the queries that PAGES names, one file
each in `reports/queries`, and its script adds, divides and draws. The rows travel as gzip in base64
inside classic scripts, because a page opened from disk may neither fetch nor load modules.
"""

import base64
import datetime
import decimal
import gzip
import hashlib
import html
import json
import math
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from retour.errors import RetourError
from retour.publish import unpublished, unreadable

HERE = Path(__file__).resolve().parent
PLOTLY = "plotly-basic.min.js"
# what every page needs of a source: filters, what is missing, thresholds of the display
SITE = ("members", "coverage", "limits", "tests")


@dataclass(frozen=True)
class Page:
    """One page: its file name, its title, and the queries whose rows it shows."""

    name: str
    title: str
    datasets: tuple[str, ...]


PAGES = (
    Page("index", "Overview", ("statements", "months_all", "kpis", "change", "costs")),
    Page(
        "marketplace",
        "Marketplace",
        ("sales", "rates", "months", "health", "excess_sellers", "alerts", "costs"),
    ),
    Page(
        "sellers",
        "Sellers",
        (
            *("sales", "rates", "months", "seller_risk", "seller_factors", "seller_metrics"),
            *("seller_orders", "alerts"),
        ),
    ),
    Page(
        "customers",
        "Customers",
        ("segments", "segment_advice", "groups", "migrations", "churn", "returner_countries"),
    ),
    Page(
        "cohorts",
        "Cohorts",
        (
            *("cohorts", "completion", "completion_categories", "triangle", "delays"),
            *("forecast", "liability"),
        ),
    ),
    Page(
        "model",
        "Model and drift",
        (
            *("cards", "model_metrics", "slices", "calibration", "importance", "decisions"),
            *("confusion", "leaks", "flagged", "performance", "drift_batches", "drift_features"),
            *("promotions", "model_health", "label_delay"),
        ),
    ),
    Page(
        "quality",
        "Data quality",
        ("reconciliation", "rejected", "files", "backtest", "test_results"),
    ),
)


@dataclass(frozen=True)
class Report:
    """What was written: the first page, and the bytes of each page without the chart library."""

    path: Path
    sizes: dict[str, int]


def render(published: Path, target: Path, *, docs: str | None = None) -> Report:
    """Write the report of a published file into the folder `target`, replacing what is there.

    `docs` is the address of the documentation site as the pages see it; none: no link.
    """
    with open_published(published) as connection:
        site, data = collect(connection, docs)
    with writing(target):
        write_site(target, site, data)
    return Report(target / "index.html", {page.name: page_bytes(target, page) for page in PAGES})


def write_site(target: Path, site: dict, data: dict[tuple[int, str], dict]) -> None:
    """Write the pages and their data beside `target`, then put them in its place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{target.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    write(temporary / "data" / "site.js", f"var RETOUR = {script_json(site)};\n")
    for (number, name), datasets in data.items():
        write(temporary / "data" / f"{number}-{name}.js", data_script(number, name, datasets))
    shutil.copytree(HERE / "assets", temporary / "assets")
    for file in (HERE / "vendor").iterdir():
        shutil.copy(file, temporary / "assets" / file.name)
    for page in PAGES:
        write(temporary / f"{page.name}.html", page_html(page))
    shutil.rmtree(target, ignore_errors=True)
    temporary.rename(target)


def render_single_file(published: Path, target: Path, *, source: str | None = None) -> Report:
    """Write the whole report of one source (default: the first) as one HTML file, for mail."""
    with open_published(published) as connection:
        site, data = collect(connection, None)
    names = [entry["source"] for entry in site["sources"]]
    if source is not None and source not in names:
        raise RetourError(f"{published} has no source {source}: it has {', '.join(names)}.")
    number = names.index(source) if source else 0
    site["sources"] = [site["sources"][number]]
    scripts = [
        *((HERE / "assets" / "theme.js").read_text(), f"var RETOUR = {script_json(site)};"),
        (HERE / "vendor" / PLOTLY).read_text(),
        (HERE / "assets" / "app.js").read_text(),
        (HERE / "assets" / "cube.js").read_text(),
    ]
    for page in (Page("site", "", SITE), *PAGES):
        scripts.append(data_script(0, page.name, data[number, page.name]))
        if page.name != "site":
            scripts.append((HERE / "assets" / "pages" / f"{page.name}.js").read_text())
    scripts.append("RETOUR.start();")
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f"{target.name}.tmp")
        write(temporary, single_html(scripts))
        temporary.replace(target)
        return Report(target, {"all": target.stat().st_size})


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Raise RetourError where the system does not let us write there."""
    try:
        yield
    except OSError as error:
        raise RetourError(
            f"{target} cannot be written ({error.strerror}): name a place in a folder that you may"
            " write to."
        ) from error


def open_published(published: Path) -> duckdb.DuckDBPyConnection:
    """A read-only connection that can reach no other file. Raises RetourError unless it is a
    published file."""
    if not published.is_file():
        raise RetourError(f"There is no published file at {published}: run `make build` first.")
    try:
        connection = duckdb.connect(
            str(published), read_only=True, config={"enable_external_access": "false"}
        )
    except duckdb.Error as error:
        raise RetourError(unreadable(published, error)) from error
    try:
        connection.execute("from marts.publication limit 0")
    except duckdb.CatalogException as error:
        connection.close()
        raise RetourError(unpublished(published)) from error
    return connection


def collect(
    connection: duckdb.DuckDBPyConnection, docs: str | None
) -> tuple[dict, dict[tuple[int, str], dict]]:
    """What the pages share, and the datasets by number of the source and name of the page."""
    sources = rows_of(
        connection,
        "select source, as_of_date, build_id, published_at from marts.publication order by source",
    )
    if not sources:
        raise RetourError("The published file holds no source: run `make build` first.")
    site = {
        "sources": [json_row(row) for row in sources],
        "pages": [{"name": page.name, "title": page.title} for page in PAGES],
        "definitions": [
            json_row(row)
            for row in rows_of(
                connection,
                "select metric, mart, column_name, definition, formula, unit, better"
                " from marts.metric_definitions order by metric",
            )
        ],
        "docs": docs,
    }
    cache: dict[tuple[int, str], dict] = {}
    data = {}
    for number, row in enumerate(sources):
        for page in (Page("site", "", SITE), *PAGES):
            for name in page.datasets:
                if (number, name) not in cache:
                    cache[number, name] = dataset(connection, name, row["source"])
            data[number, page.name] = {name: cache[number, name] for name in page.datasets}
    return site, data


def rows_of(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict]:
    cursor = connection.execute(sql)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def json_row(row: dict) -> dict:
    return {name: plain(value) for name, value in row.items()}


def dataset(connection: duckdb.DuckDBPyConnection, name: str, source: str) -> dict:
    """The rows of a query by column, with the SQL as anybody can run it.

    What the published file does not have (yet) is a dataset without columns: the page says
    so instead of breaking.
    """
    text = (HERE / "queries" / f"{name}.sql").read_text().strip()
    literal = "'" + source.replace("'", "''") + "'"
    shown = text.replace("$source", literal)
    try:
        cursor = connection.execute(text, {"source": source})
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        return {"sql": shown, "missing": str(error).splitlines()[0], "rows": 0, "columns": []}
    names = [column[0] for column in cursor.description]
    rows = cursor.fetchall()
    values = zip(*rows, strict=True) if rows else ([] for _ in names)
    columns = [column(name, list(found)) for name, found in zip(names, values, strict=True)]
    return {"sql": shown, "rows": len(rows), "columns": columns}


def column(name: str, values: list) -> dict:
    """A column as JSON: decimals as whole numbers with a scale, texts as a list and indexes."""
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, decimal.Decimal) for value in known):
        scale = max(-int(value.as_tuple().exponent) for value in known)
        return {
            "name": name,
            "scale": scale,
            "values": [None if value is None else int(value.scaleb(scale)) for value in values],
        }
    if known and isinstance(known[0], str | datetime.date):
        texts = [None if value is None else plain(value) for value in values]
        words = list(dict.fromkeys(text for text in texts if text is not None))
        place = {word: index for index, word in enumerate(words)}
        return {"name": name, "words": words, "values": [place.get(text, -1) for text in texts]}
    return {"name": name, "values": [plain(value) for value in values]}


def plain(value: object) -> object:
    """A value as JSON can say it: no NaN, dates as ISO text, at most nine decimals."""
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else None
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    return value.isoformat() if isinstance(value, datetime.date) else value


def data_script(number: int, page: str, datasets: dict) -> str:
    """A classic script that hands the datasets of a page over; base64 cannot end a script."""
    text = json.dumps(datasets, separators=(",", ":"), ensure_ascii=False).encode()
    packed = base64.b64encode(gzip.compress(text, mtime=0)).decode()
    return f'RETOUR.receive({number}, "{page}", "{packed}");\n'


def script_json(value: object) -> str:
    """JSON that can stand inside a script element, whatever texts are in it."""
    text = json.dumps(value, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def page_html(page: Page) -> str:
    scripts = ["data/site.js", f"assets/{PLOTLY}", "assets/app.js", "assets/cube.js"]
    scripts.append(f"assets/pages/{page.name}.js")
    policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline';"
    return document(
        title=page.title,
        policy=f"{policy} img-src 'self' data:; base-uri 'none'; form-action 'none'",
        head='<link rel="stylesheet" href="assets/style.css">\n'
        '<script src="assets/theme.js"></script>',
        body=f' data-page="{page.name}"',
        scripts="\n".join(f'<script src="{script}"></script>' for script in scripts)
        + '\n<script src="assets/start.js"></script>',
    )


def single_html(scripts: Iterable[str]) -> str:
    """All pages in one file: each script is allowed by its hash, and by nothing else."""
    scripts = [re.sub(r"</(?=script)", r"<\\/", script, flags=re.IGNORECASE) for script in scripts]
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in scripts]
    allowed = " ".join(f"'sha256-{digest.decode()}'" for digest in digests)
    style = (HERE / "assets" / "style.css").read_text()
    return document(
        title="Overview",
        policy=f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline';"
        " img-src data:; base-uri 'none'; form-action 'none'",
        head=f"<style>{style}</style>",
        body=' data-page="index" data-single="true"',
        scripts="\n".join(f"<script>{text}</script>" for text in scripts),
    )


def document(*, title: str, policy: str, head: str, body: str, scripts: str) -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{html.escape(policy, quote=True)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{html.escape(title)} · Returns report</title>
<link rel="icon" href="data:,">
{head}
</head>
<body{body}>
<a class="skip" href="#main">Skip to content</a>
<header id="header"></header>
<main id="main" tabindex="-1">
<noscript>This report draws its pages with JavaScript, from the files beside it.</noscript>
</main>
<footer id="footer"></footer>
{scripts}
</body>
</html>
"""


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def page_bytes(target: Path, page: Page) -> int:
    """Bytes that a page loads for the first source, without the chart library."""
    files = [
        *(f"{page.name}.html", "assets/style.css", "assets/theme.js", "assets/start.js"),
        *("assets/app.js", "assets/cube.js", f"assets/pages/{page.name}.js"),
        *("data/site.js", "data/0-site.js", f"data/0-{page.name}.js"),
    ]
    return sum((target / file).stat().st_size for file in files)
