"""Tableau: one extract (.hyper) with all tables, and a manifest."""

import pantab

from retour.export import Job
from retour.export.contract import figures_of, figures_query
from retour.export.files import without_nul
from retour.export.folder import replacing
from retour.publish import quoted

ERRORS = (RuntimeError, TypeError, ValueError)
NAME = "retour.hyper"
# numbers of 38 digits need it; Tableau reads it since 2022.4
PROCESS = {"default_database_version": "3"}


def write(job: Job) -> None:
    """Export to a Tableau extract."""
    with replacing(job, "as they are") as folder:
        file = folder.path / NAME
        for table in job.tables:
            expected = job.source.figures(table)
            values = ", ".join(
                f"{without_nul(column)} as {column.quoted}" if column.is_text else column.quoted
                for column in table.columns
            )
            with job.exporting(table, expected) as arrived:
                rows = job.source.connection.sql(
                    f"select {values} from {job.source.relation(table)}"
                )
                pantab.frames_to_hyper(
                    {(table.schema, table.name): rows},
                    file,
                    # the folder as a whole is what is atomic
                    table_mode="a" if file.exists() else "w",
                    atomic=False,
                    not_null_columns={c.name for c in table.columns if c.is_required},
                    process_params=PROCESS,
                )
                name = f"{quoted(table.schema)}.{quoted(table.name)}"
                found = pantab.frame_from_hyper_query(
                    file,
                    figures_query(table.columns, name),
                    return_type="pyarrow",
                    process_params=PROCESS,
                )
                (row,) = zip(*(column.to_pylist() for column in found.columns), strict=True)
                arrived(figures_of(table.columns, row))
            folder.add(table, file, expected)
