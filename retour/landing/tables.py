"""Schema `raw` of the warehouse: what it holds, scratch tables, and the one commit at the end."""

from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path

import duckdb

from retour.landing.config import Table
from retour.landing.folder import LoadFile
from retour.landing.reading import RawFile, Reading, cannot_be_read, identifier, no_glob, text

SCRATCH = "__landing"
# folders of ops, each a table of the same name, and the format of what runs and requests leave
OPS_TABLES = {
    "run_results": "parquet",
    "score_requests": "jsonl",
    "alert_deliveries": "parquet",
    "column_lineage": "parquet",
    "exports": "parquet",
    "drift_checks": "parquet",
}
LOG_TABLES = {
    "load_files": (
        "source varchar, table_name varchar, file varchar, file_sha256 varchar, "
        "file_bytes bigint, format varchar, encoding varchar, rows_read bigint, "
        "rows_landed bigint, rows_rejected bigint, status varchar, message varchar, "
        "landed_at timestamp"
    ),
    "rejected_lines": (
        "source varchar, table_name varchar, file varchar, row_number bigint, "
        "reason varchar, original_row varchar"
    ),
    "run_results": (
        "invocation_id varchar, command varchar, node_id varchar, resource_type varchar, "
        "status varchar, execution_seconds double, failures bigint, message varchar, "
        "started_at varchar, dbt_version varchar, adapter_type varchar"
    ),
    "score_requests": (
        "source varchar, request_id varchar, line_number bigint, requested_at varchar, "
        "order_line_id varchar, order_id varchar, product_id varchar, ordered_at varchar, "
        "return_probability double, risk_band varchar, expected_cost varchar, "
        "recommended_action varchar, expected_gain varchar, model_version varchar"
    ),
    "alert_deliveries": (
        "delivery_id varchar, source varchar, alert_id varchar, severity_rank bigint, "
        "severity varchar, target varchar, status varchar, attempts bigint, message varchar, "
        "attempted_at varchar"
    ),
    "column_lineage": (
        "target_schema varchar, target_table varchar, target_column varchar, "
        "source_schema varchar, source_table varchar, source_column varchar, "
        "transformation varchar"
    ),
    "drift_checks": (
        "check_id varchar, checked_at varchar, source varchar, batch varchar, "
        "batch_grain varchar, batch_start varchar, batch_end varchar, feature varchar, "
        "kind varchar, monitor varchar, outcome varchar, reference varchar, "
        "batch_lines double, reference_lines double, baseline_mean double, "
        "current_mean double, baseline_missing_share double, current_missing_share double, "
        "unseen_share double, psi double, psi_corrected double, psi_p_value double, "
        "chi_square double, chi_square_df bigint, ks_statistic double, ks_p_value double, "
        "js_distance double, cramers_v double, wasserstein double, moved_share double, "
        "quiet_limit double, dispersion double, quiet_windows bigint, excess_share double, "
        "importance double, p_value double, q_value double, classifier_auc double, "
        "classifier_auc_lo double, classifier_auc_hi double"
    ),
    "exports": (
        "export_id varchar, schema_name varchar, table_name varchar, format varchar, "
        "target varchar, build_id varchar, status varchar, table_rows bigint, checksum varchar, "
        "message varchar, seconds double, started_at varchar"
    ),
    # what landing remembers between builds: hashes of configs, and of files by size and times
    "landing_state": "name varchar, value varchar",
}


@dataclass(frozen=True)
class Changes:
    """What has to happen to schema raw."""

    new: list[LoadFile]
    gone: list[LoadFile]
    # tables to land from scratch, and tables that no config declares any more
    stale: set[str]
    undeclared: set[str]
    # the files of each of OPS_TABLES that is not up to date
    ops: dict[str, list[Path]]

    @property
    def any(self) -> bool:
        """Whether there is anything to do."""
        return any((self.new, self.gone, self.stale, self.undeclared, self.ops))


class RawTables:
    """The raw tables of one warehouse.

    New rows go to scratch tables (`<table>__landing`), each file in a transaction of its own, so
    that a file that fails leaves nothing behind; `commit` moves them all into place at once.
    """

    def __init__(self, conn: duckdb.DuckDBPyConnection, tables: dict[str, Table]) -> None:
        self.conn = conn
        self.tables = tables
        database = conn.execute("select current_database()").fetchall()[0][0]
        # qualified, because a warehouse file named raw.duckdb is a catalog named raw
        self.schema = f"{identifier(database)}.raw"
        conn.execute(f"create schema if not exists {self.schema}")
        for name in LOG_TABLES:
            self._create(name)

    def state(self) -> dict[str, str]:
        """What the last landing remembered."""
        return dict(self._rows(f"select name, value from {self._table('landing_state')}"))

    def load_files(self) -> list[LoadFile]:
        """The files that the raw tables were landed from."""
        return [LoadFile(*row) for row in self._rows(f"select * from {self._table('load_files')}")]

    def columns(self) -> dict[str, list[str]]:
        """The columns of every table in schema raw, in order."""
        return dict(
            self._rows(
                "select table_name, list(column_name order by column_index) from duckdb_columns() "
                "where database_name = current_database() and schema_name = 'raw' group by 1"
            )
        )

    # --- scratch tables ----------------------------------------------------------------------

    def prepare(self, changes: Changes) -> None:
        """Create the scratch tables, removing those of a landing that was killed."""
        self.drop_scratch()
        read = {entry.table_name for entry in changes.new if entry.status == "loaded"}
        for name in sorted(read | changes.stale):
            columns = ", ".join(
                f"{identifier(column)} {'bigint' if column == 'row_number' else 'varchar'}"
                for column in self.tables[name].column_names
            )
            self.conn.execute(f"create table {self._scratch(name)} ({columns})")
        self._create("rejected_lines", SCRATCH)

    def insert(self, file: RawFile, reading: Reading) -> int:
        """Read a file into the scratch table of its raw table; returns the number of rows."""
        order = self._rows("select current_setting('preserve_insertion_order')")[0][0]
        # row numbers are numbers in the file: rows must arrive in its order
        self.conn.execute("set preserve_insertion_order = true")
        try:
            return self._rows(
                f"insert into {self._scratch(file.table.name)} {reading.select(file)}"
            )[0][0]
        finally:
            self.conn.execute(f"set preserve_insertion_order = {order}")

    def insert_rejected(self, file: RawFile, reading: Reading) -> None:
        """Set the broken lines of a file aside."""
        for start in range(0, len(reading.rejected), 10_000):
            lines = reading.rejected[start : start + 10_000]
            self.conn.execute(
                f"insert into {self._scratch('rejected_lines')} "
                f"select {text(file.source)}, {text(file.table.name)}, {text(file.name)}, "
                "unnest(?), unnest(?), unnest(?)",
                [
                    [line.row_number for line in lines],
                    [line.reason for line in lines],
                    [line.original_row for line in lines],
                ],
            )

    def insert_ops(self, name: str, files: list[Path], say: Callable[[str], None]) -> None:
        """Read what runs or requests left; files that cannot be read are left out, and named."""
        self._create(name, SCRATCH)
        try:
            self._insert_ops(name, files)
        except duckdb.Error:
            for file in files:
                try:
                    self._insert_ops(name, [file])
                except duckdb.Error as error:
                    say(f"left out of {name}: {file}: {cannot_be_read(error)}")

    def _insert_ops(self, name: str, files: list[Path]) -> None:
        if not files:
            return
        columns = [column.split() for column in LOG_TABLES[name].split(", ")]
        names = ", ".join(text(no_glob(file)) for file in files)
        if OPS_TABLES[name] == "parquet":
            scan = f"read_parquet([{names}], union_by_name = true, hive_partitioning = false)"
            there = {row[0] for row in self._rows(f"describe select * from {scan}")}
        else:
            kinds = ", ".join(f"{text(column)}: {text(kind)}" for column, kind in columns)
            scan = (
                f"read_json([{names}], format = 'newline_delimited', columns = {{{kinds}}}, "
                "hive_partitioning = false)"
            )
            there = {column for column, _ in columns}
        values = ", ".join(
            f"cast({column} as {kind})" if column in there else "null" for column, kind in columns
        )
        self.conn.execute(f"insert into {self._scratch(name)} select {values} from {scan}")

    def drop_scratch(self) -> None:
        """Remove every scratch table."""
        for name in self._scratch_tables():
            self.conn.execute(f"drop table {self._scratch(name)}")

    # --- the one commit ----------------------------------------------------------------------

    def commit(self, landed: list[LoadFile], changes: Changes, state: dict[str, str]) -> None:
        """Move everything into place in one transaction."""
        execute = self.conn.execute
        execute("begin transaction")
        try:
            for name in sorted(changes.undeclared):
                execute(f"drop table if exists {self._table(name)}")
            replaced = changes.stale | changes.undeclared
            for entry in changes.gone:
                for name in {"load_files", "rejected_lines", entry.table_name} - replaced - {None}:
                    execute(
                        f"delete from {self._table(name)} where source = ? and file = ?",
                        [entry.source, entry.file],
                    )
            for name in self._scratch_tables():
                # what is replaced as a whole, or holds nothing else, need not be copied
                if name in {*changes.stale, *OPS_TABLES} or self._is_empty(name):
                    execute(f"drop table if exists {self._table(name)}")
                    execute(f"alter table {self._scratch(name)} rename to {identifier(name)}")
                else:
                    execute(f"insert into {self._table(name)} from {self._scratch(name)}")
                    execute(f"drop table {self._scratch(name)}")
            self._insert_rows("load_files", [astuple(entry) for entry in landed])
            execute(f"delete from {self._table('landing_state')}")
            self._insert_rows("landing_state", list(state.items()))
            execute("commit")
        except BaseException:
            execute("rollback")
            self.drop_scratch()
            raise

    # --- small helpers -----------------------------------------------------------------------

    def _table(self, name: str) -> str:
        return f"{self.schema}.{identifier(name)}"

    def _scratch(self, name: str) -> str:
        return self._table(name + SCRATCH)

    def _create(self, name: str, suffix: str = "") -> None:
        table = self._table(name + suffix)
        self.conn.execute(f"create table if not exists {table} ({LOG_TABLES[name]})")

    def _scratch_tables(self) -> list[str]:
        """The raw tables that have a scratch table."""
        rows = self.conn.execute(
            "select table_name from duckdb_tables() where database_name = current_database() "
            "and schema_name = 'raw' and ends_with(table_name, ?) order by table_name",
            [SCRATCH],
        ).fetchall()
        return [name.removesuffix(SCRATCH) for (name,) in rows]

    def _is_empty(self, name: str) -> bool:
        return not self._rows(f"select 1 from {self._table(name)} limit 1")

    def _insert_rows(self, name: str, rows: list[tuple]) -> None:
        for start in range(0, len(rows), 1_000):
            part = rows[start : start + 1_000]
            marks = ", ".join(f"({', '.join('?' for _ in row)})" for row in part)
            self.conn.execute(
                f"insert into {self._table(name)} values {marks}",
                [value for row in part for value in row],
            )

    def _rows(self, sql: str) -> list[tuple]:
        return self.conn.execute(sql).fetchall()
