"""The command line: `retour build`, `publish`, `report`, `export`, `score`, `serve`, `demo`."""

import datetime
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from retour import alerts, answers
from retour import export as exports
from retour.build import Settings, build, project_root, shown
from retour.errors import RetourError
from retour.publish import publish, published_path

FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)


class Commands(click.Group):
    """A group whose commands end a RetourError as a message and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except RetourError as error:
            click.secho(f"\n{error}", fg="red", err=True)
            sys.exit(1)
        except KeyboardInterrupt:
            click.secho("\nInterrupted; nothing was published.", fg="red", err=True)
            sys.exit(130)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Returns analytics: raw order files in, tested marts out, in one DuckDB file."""


def build_options(command: Callable) -> Callable:
    """The options that say what to build; each is a dbt var of the same name."""
    options = [
        click.option("--sources", help="Folders of the raw folder, with commas between."),
        click.option("--raw", type=FOLDER, help="Folder of raw files (default: data/raw)."),
        click.option("--warehouse", type=FILE, help="File to build (data/warehouse.duckdb)."),
        click.option(
            "--as-of-date",
            type=click.DateTime(["%Y-%m-%d"]),
            help="Look from this day; default: the newest event in the data.",
        ),
        click.option(
            "--return-window-days",
            type=click.IntRange(min=1),
            help="Age at which a line's returns count as complete.",
        ),
        click.option("--random-seed", type=int, help="Seed of everything fitted on a sample."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@main.command("build")
@build_options
@click.option("--refit", is_flag=True, help="Fit models anew, though nothing they learnt changed.")
def build_command(
    sources: str | None, as_of_date: datetime.datetime | None, **settings: Any
) -> None:
    """Build the warehouse from raw files, test it, and publish the marts."""
    names = tuple(name.strip() for name in sources.split(",") if name.strip()) if sources else None
    if sources is not None and not names:
        raise click.BadParameter("name at least one source", param_hint="--sources")
    day = as_of_date.date().isoformat() if as_of_date else None
    published = build(Settings(sources=names, as_of_date=day, **settings))
    click.echo(f"Open {shown(published.path)} with any DuckDB client, read-only.")


@main.command("publish")
@click.option("--warehouse", type=FILE, help="Warehouse file (default: data/warehouse.duckdb).")
def publish_command(warehouse: Path | None) -> None:
    """Publish the marts of a warehouse that is already built."""
    path = Settings(warehouse=warehouse).warehouse_path(project_root())
    published = publish(path, say=click.echo)
    click.echo(f"{published.tables} marts, {published.rows:,} rows: {shown(published.path)}")


@main.command("export")
@click.option("--to", type=click.Choice(list(exports.FORMATS)), required=True, help="Format.")
@click.option(
    "--target",
    help="Folder (default: data/exports/FORMAT), or address of the database, better in the"
    f" environment variable {exports.ENVIRONMENT} if it has a password.",
)
@click.option("--tables", help="Only these, with commas between; publication comes along.")
@click.option("--warehouse", type=FILE, help="Whose marts (default: data/warehouse.duckdb).")
@click.option("--published", type=FILE, help="Published file, if it is elsewhere.")
@click.option("--no-escape", is_flag=True, help="csv, xlsx: leave texts like =1+1 as they are.")
def export_command(
    to: str,
    target: str | None,
    tables: str | None,
    warehouse: Path | None,
    published: Path | None,
    no_escape: bool,
) -> None:
    """Export the published marts to files or a database: whole and verified, or not at all."""
    path = Settings(warehouse=warehouse).warehouse_path(project_root())
    outcome = exports.export(
        to=to,
        published=published or published_path(path),
        ops=path.parent / "ops",
        target=target,
        tables=[name.strip() for name in tables.split(",") if name.strip()] if tables else None,
        escape=not no_escape,
        say=click.echo,
    )
    click.echo(f"{outcome.tables} tables, {outcome.rows:,} rows: {outcome.target}")


@main.command("report")
@click.option("--published", type=FILE, help="Published file (data/published/retour.duckdb).")
@click.option("--output", type=FOLDER, help="Folder to write (default: report beside that file).")
@click.option("--single-file", type=FILE, help="Write one HTML file instead, for mail.")
@click.option("--source", help="The source that the single file shows (default: the first).")
@click.option("--docs", help="Address of the documentation site, for the link in the footer.")
def report_command(
    published: Path | None,
    output: Path | None,
    single_file: Path | None,
    source: str | None,
    docs: str | None,
) -> None:
    """Write the report: static pages over the published file, to be opened from disk."""
    # here, not above: only this command and the demo need it
    from reports.render import render, render_single_file

    path = published or published_path(Settings().warehouse_path(project_root()))
    if single_file is not None:
        written = render_single_file(path, single_file, source=source)
    else:
        folder = output or path.parent / "report"
        site = path.parent / "docs" / "index.html"
        if docs is None and site.is_file() and folder.parent == path.parent:
            docs = "../docs/index.html"
        written = render(path, folder, docs=docs)
    click.echo(f"Open {shown(written.path)} in a browser: it needs no server and no network.")


@main.command("docs")
@click.option("--warehouse", type=FILE, help="Warehouse file (default: data/warehouse.duckdb).")
def docs_command(warehouse: Path | None) -> None:
    """Write the documentation site: every table and column, and their lineage."""
    from retour.build import document

    site = document(Settings(warehouse=warehouse))
    click.echo(
        f"Open {shown(site / 'index.html')} in a browser: it needs no server and no network."
    )
    click.echo(f"Where each column comes from: {shown(site / 'lineage.html')}")


@main.command("score")
@click.argument("file", type=FILE)
@click.option("--source", help="Whose lines they are; needed if several are published.")
@click.option("--published", type=FILE, help="Published file (data/published/retour.duckdb).")
@click.option("--output", type=FILE, help="CSV file to write (default: standard output).")
def score_command(
    file: Path, source: str | None, published: Path | None, output: Path | None
) -> None:
    """Score order lines to be: FILE is CSV or Parquet with the columns of order_lines."""
    # here, not above: the maths takes a second, in which `retour --help` should have answered
    from retour.scoring import Scorer

    path = published or published_path(Settings().warehouse_path(project_root()))
    scorer = Scorer(path, source)
    if output is None:
        scorer.score_file(file, sys.stdout)
        return
    temporary = output.with_name(f"{output.name}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as out:
            count = scorer.score_file(file, out)
        temporary.replace(output)
    finally:
        temporary.unlink(missing_ok=True)
    click.echo(f"{count:,} lines scored: {shown(output)}")


@main.command("serve")
@click.option("--source", help="Whose lines are scored; needed if several are published.")
@click.option("--published", type=FILE, help="Published file (data/published/retour.duckdb).")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
def serve_command(source: str | None, published: Path | None, host: str, port: int) -> None:
    """Score order lines over HTTP: GET /health, GET /v1/model, POST /v1/score.

    Needs the extra `service`. With the environment variable RETOUR_TOKEN clients have to send it.
    """
    from retour import service

    path = published or published_path(Settings().warehouse_path(project_root()))
    service.serve(
        path,
        source=source,
        ops=path.resolve().parent.parent / "ops",
        host=host,
        port=port,
        token=os.environ.get(service.TOKEN) or None,
    )


@main.command("drift")
@click.option("--baseline", required=True, help="CSV or Parquet file, or table of the warehouse.")
@click.option(
    "--batch", "batches", required=True, multiple=True, help="What to hold against it; repeatable."
)
@click.option("--label", help="Column of 0 and 1 that a model predicts: says which columns matter.")
@click.option("--ignore", multiple=True, help="Column to leave out; repeatable.")
@click.option("--source", default="files", show_default=True, help="Source the marts name it for.")
@click.option("--warehouse", type=FILE, help="Warehouse file (default: data/warehouse.duckdb).")
@click.option("--dry-run", is_flag=True, help="Print only; leave nothing for the next build.")
def drift_command(
    baseline: str,
    batches: tuple[str, ...],
    label: str | None,
    ignore: tuple[str, ...],
    source: str,
    warehouse: Path | None,
    dry_run: bool,
) -> None:
    """Say whether files or tables have moved against a baseline, and what moved most.

    A table is a mart by its name (return_features) or schema.table. The figures stand in
    drift_batches and drift_features from the next build on.
    """
    from retour import drift

    root = project_root()
    path = Settings(warehouse=warehouse).warehouse_path(root)
    check = drift.check(
        baseline,
        batches,
        root=root,
        warehouse=path,
        source=source,
        label=label,
        ignore=ignore,
        ops=path.parent / "ops",
    )
    drift.show(check, click.echo)
    if not dry_run:
        file = drift.append(check, path.parent / "ops")
        click.echo(f"\nFor the next build: {shown(file)}")


@main.command("demo")
def demo_command() -> None:
    """Build the sample data and show where things are and three questions worth asking."""
    from reports.render import render

    settings = Settings(sources=("demo",))
    published = build(settings)
    click.echo(f"\nWarehouse: {shown(settings.warehouse_path(project_root()))}")
    click.echo(f"Published: {shown(published.path)} (read this one: no build locks it)")
    report = render(published.path, published.path.parent / "report")
    click.echo(f"Report:    {shown(report.path)} (open it in a browser)\n")
    click.echo(answers.render(published.path))
    click.echo("Ask your own, for example from Python:\n")
    click.echo(
        f"    import duckdb\n"
        f'    marts = duckdb.connect("{shown(published.path)}", read_only=True)\n'
        f'    marts.sql("show all tables").show()\n'
    )


@main.group("alerts")
def alerts_group() -> None:
    """What needs action this week."""


@alerts_group.command("send")
@click.option(
    "--to",
    "address",
    envvar=alerts.ENVIRONMENT,
    help="https://… gets JSON; slack://, mailto://, msteams://… need the extra `alerts`. Better in "
    f"the environment variable {alerts.ENVIRONMENT}: it is a secret.",
)
@click.option("--name", help="What the address is called in alert_deliveries; default: its host.")
@click.option("--warehouse", type=FILE, help="Warehouse file (default: data/warehouse.duckdb).")
@click.option("--dry-run", is_flag=True, help="Show what is due, send nothing.")
def alerts_send_command(
    address: str | None, name: str | None, warehouse: Path | None, dry_run: bool
) -> None:
    """Send new and escalated alerts of the published file; the others were sent before."""
    if not address:
        raise RetourError(
            f"Nobody to send alerts to: set {alerts.ENVIRONMENT} to an address, or use --to."
        )
    folder = Settings(warehouse=warehouse).warehouse_path(project_root()).parent
    outcome = alerts.send(
        published=folder / "published" / "retour.duckdb",
        ops=folder / "ops",
        address=address,
        name=name,
        dry_run=dry_run,
        say=click.echo,
    )
    if dry_run:
        click.echo(f"{outcome.due} alerts are due; nothing was sent.")
        return
    click.echo(f"{outcome.sent} of {outcome.due} alerts sent.")
    if outcome.left:
        raise RetourError(f"{outcome.left} alerts are still due: run it again when it answers.")
