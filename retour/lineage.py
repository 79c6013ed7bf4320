"""Column lineage: from which columns each column of a model is made.

The engine's own parser gives the tree of each compiled model (`json_serialize_sql`), and one walk
over it follows every output column through CTEs, joins, unions, windows and subqueries down to
columns of other relations: all models in about a second, where column-by-column tools need minutes.
What is followed are values: a column that only filters or joins rows is no source of the others.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path
from typing import Any

import duckdb

# from weakest to strongest: what happened to a value on its way, the strongest step counts
COPIED, COMPUTED, WINDOWED, AGGREGATED, UNTRACED = range(5)
TRANSFORMATIONS = ("copied", "computed", "windowed", "aggregated", "untraced")
# the column of an edge that says: the rows themselves, as in count(*)
ROWS = "*"
# of the ops folder, where it lies until the next run of dbt lands it
FOLDER = "column_lineage"

Relation = tuple[str, str]
# (schema, table, column) -> what happened on the way
Trace = dict[tuple[str, str, str], int]


@dataclass(frozen=True, order=True)
class Edge:
    """One column is made from another (or from the rows of a relation)."""

    target_schema: str
    target_table: str
    target_column: str
    source_schema: str
    source_table: str
    source_column: str
    transformation: str


@dataclass(frozen=True)
class Model:
    """A relation that the project makes; `sql` is None where it is made in Python."""

    schema: str
    table: str
    sql: str | None
    depends_on: tuple[Relation, ...]


class Untraceable(Exception):
    """Something that the walk does not know; the model is then traced as a whole."""


def models(manifest: Mapping[str, Any]) -> list[Model]:
    """The models of a dbt manifest that holds compiled SQL."""
    nodes = {**manifest["nodes"], **manifest["sources"]}
    found = []
    for node in manifest["nodes"].values():
        if node["resource_type"] != "model":
            continue
        upstream = [nodes[name] for name in node["depends_on"]["nodes"] if name in nodes]
        found.append(
            Model(
                schema=node["schema"],
                table=node["alias"],
                sql=node.get("compiled_code") if node["language"] == "sql" else None,
                depends_on=tuple(
                    sorted({(one["schema"], one.get("alias") or one["name"]) for one in upstream})
                ),
            )
        )
    return found


def refresh(manifest: Path, warehouse: Path) -> bool:
    """Compute the lineage of a built warehouse into its ops folder; whether anything changed.

    manifest: dbt's manifest.json with the compiled SQL. The next run of dbt lands the file as
    marts.column_lineage.
    """
    project = models(json.loads(manifest.read_text(encoding="utf-8")))
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        columns = warehouse_columns(connection)
    state = json.dumps([[astuple(model) for model in project], sorted(columns.items())])
    code = Path(__file__).read_bytes()
    # named by what it was computed from: the same code need not be looked through again
    name = hashlib.sha256(code + state.encode()).hexdigest()[:16]
    folder = warehouse.parent / "ops" / FOLDER
    file = folder / f"{name}.parquet"
    if file.is_file():
        return False
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{name}.writing"
    with duckdb.connect() as connection:
        write(connection, edges(connection, project, columns), temporary)
    others = list(folder.glob("*.parquet"))
    temporary.replace(file)
    for other in others:
        other.unlink(missing_ok=True)
    return True


def as_json(edges: list[Edge]) -> tuple[str, str]:
    """Edges as one text and its shape, for from_json."""
    shape = [{column.name: "varchar" for column in fields(Edge)}]
    return json.dumps([vars(edge) for edge in edges]), json.dumps(shape)


def write(connection: duckdb.DuckDBPyConnection, edges: list[Edge], file: Path) -> None:
    """Write edges as Parquet."""
    # as one text: bound value by value it took ten times as long as finding the edges
    connection.execute(
        "create table edges as select unnest(from_json(?::varchar, ?), recursive := true)",
        [*as_json(edges)],
    )
    place = str(file).replace("'", "''")
    connection.execute(f"copy edges to '{place}' (format parquet)")


def warehouse_columns(connection: duckdb.DuckDBPyConnection) -> dict[Relation, list[str]]:
    """The columns of every relation of a warehouse, in order."""
    rows = connection.execute(
        """
        select schema_name, table_name, list(column_name order by column_index)
        from duckdb_columns()
        where not internal
        group by schema_name, table_name
        """
    ).fetchall()
    return {(schema, table): columns for schema, table, columns in rows}


def edges(
    connection: duckdb.DuckDBPyConnection,
    models: Iterable[Model],
    columns: Mapping[Relation, list[str]],
) -> list[Edge]:
    """Every edge between columns, in order.

    connection: any; only its parser is used. columns: those of every relation, in order.
    """
    aggregates = {
        name
        for (name,) in connection.execute(
            "select distinct function_name from duckdb_functions() "
            "where function_type = 'aggregate'"
        ).fetchall()
    }
    found: set[Edge] = set()
    for model in models:
        targets = columns.get((model.schema, model.table), [])
        try:
            traces = _trace_model(connection, model, columns, aggregates)
        except Untraceable:
            whole = {(*relation, ROWS): UNTRACED for relation in model.depends_on}
            traces = dict.fromkeys(targets, whole)
        found.update(
            Edge(model.schema, model.table, target, *source, TRANSFORMATIONS[step])
            for target in targets
            for source, step in traces.get(target.lower(), traces.get(target, {})).items()
        )
    return sorted(found)


def _trace_model(
    connection: duckdb.DuckDBPyConnection,
    model: Model,
    columns: Mapping[Relation, list[str]],
    aggregates: set[str],
) -> dict[str, Trace]:
    if model.sql is None:
        raise Untraceable("made in Python")
    row = connection.execute("select json_serialize_sql(?::varchar)", [model.sql]).fetchone()
    assert row is not None
    tree = json.loads(row[0])
    if tree["error"] or len(tree["statements"]) != 1:
        raise Untraceable(tree.get("error_message", "not one statement"))
    return _Walk(columns, aggregates).query(tree["statements"][0]["node"], None).columns


@dataclass
class Table:
    """What can stand in a FROM: its columns, and the relations whose rows it holds."""

    columns: dict[str, Trace]
    relations: set[Relation]

    def rows(self, step: int) -> Trace:
        """Its rows as a source."""
        return {(*relation, ROWS): step for relation in self.relations}


@dataclass
class Scope:
    """What names mean inside one SELECT."""

    outer: "Scope | None"
    ctes: dict[str, Table] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)
    # columns of a full join by USING are made from both sides
    merged: dict[str, Trace] = field(default_factory=dict)
    # names that the SELECT gives, for those who use them in the same SELECT
    aliases: dict[str, Trace] = field(default_factory=dict)

    def cte(self, name: str) -> Table | None:
        """The CTE of this name, from the innermost query that defines it."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.ctes:
                return scope.ctes[name]
            scope = scope.outer
        return None


class _Walk:
    """One model: its tree from the top down."""

    def __init__(self, columns: Mapping[Relation, list[str]], aggregates: set[str]) -> None:
        self.known = columns
        self.aggregates = aggregates

    def query(self, node: dict, outer: Scope | None) -> Table:
        """The columns of a query, and whose rows it returns."""
        scope = Scope(outer)
        for entry in node["cte_map"]["map"]:
            value = entry["value"]
            inner = value.get("query_node") or value["query"]["node"]
            table = self.query(inner, scope)
            scope.ctes[entry["key"].lower()] = _renamed(table, value["aliases"])
        match node["type"]:
            case "SELECT_NODE":
                return self.select(node, scope)
            case "SET_OPERATION_NODE":
                parts = node.get("children") or [node["left"], node["right"]]
                by_name = "BY_NAME" in node["setop_type"]
                return _united([self.query(part, scope) for part in parts], by_name)
            case "RECURSIVE_CTE_NODE":
                name = node["cte_name"].lower()
                start = _renamed(self.query(node["left"], scope), node.get("aliases") or [])
                scope.ctes[name] = start
                # a second round carries what the first one found through the recursion
                for _ in range(2):
                    again = self.query(node["right"], scope)
                    scope.ctes[name] = _united([scope.ctes[name], again], by_name=False)
                return scope.ctes[name]
            case "CTE_NODE":
                name = node["ctename"].lower()
                scope.ctes[name] = _renamed(self.query(node["query"], scope), node["aliases"])
                return self.query(node["child"], scope)
            case other:
                raise Untraceable(other)

    def select(self, node: dict, scope: Scope) -> Table:
        self.source(node["from_table"], scope)
        columns: dict[str, Trace] = {}
        for position, expression in enumerate(node["select_list"]):
            if expression["class"] == "STAR":
                columns |= self.star(expression, scope)
                continue
            trace = self.expression(expression, scope)
            name = (_name(expression) or f"column {position}").lower()
            columns[name] = trace
            scope.aliases[name] = trace
        relations = set().union(*(table.relations for table in scope.tables.values()))
        return Table(columns, relations)

    def source(self, node: dict, scope: Scope) -> None:
        """Enter what stands in a FROM into the scope."""
        match node["type"]:
            case "EMPTY":
                return
            case "JOIN":
                before = len(scope.tables)
                self.source(node["left"], scope)
                left = list(scope.tables.values())[before:]
                self.source(node["right"], scope)
                right = list(scope.tables.values())[before + len(left) :]
                # the left side's value, of a full join whichever side has one
                is_full = node["join_type"] in ("FULL", "OUTER")
                for column in map(str.lower, node["using_columns"]):
                    sides = [left, right] if is_full else [left]
                    found = [self.column_of(column, side) for side in sides]
                    scope.merged[column] = _merged(found, COMPUTED if is_full else COPIED)
                return
            case "BASE_TABLE":
                name = node["table_name"].lower()
                table = scope.cte(name) if not node["schema_name"] else None
                table = table or self.relation(node["schema_name"], node["table_name"])
            case "SUBQUERY":
                inner = node.get("subquery_node") or node["subquery"]["node"]
                name, table = "", self.query(inner, scope)
            case "TABLE_FUNCTION":
                trace = self.expression(node["function"], scope)
                name = (_name(node["function"]) or "").lower()
                table = Table(_Any(trace), set())
            case "EXPRESSION_LIST":
                name, table = "", self.values(node, scope)
            case other:
                raise Untraceable(other)
        alias = node["alias"].lower() or name or f"from {len(scope.tables)}"
        scope.tables[alias] = _renamed(table, node.get("column_name_alias") or [])

    @staticmethod
    def column_of(name: str, tables: list[Table]) -> Trace:
        """A column of whichever of these tables has it."""
        return next((table.columns[name] for table in tables if name in table.columns), {})

    def relation(self, schema: str, table: str) -> Table:
        """A relation of the warehouse."""
        columns = self.known.get((schema, table))
        if columns is None:
            raise Untraceable(f"unknown relation {schema}.{table}")
        traces = {column.lower(): {(schema, table, column): COPIED} for column in columns}
        return Table(traces, {(schema, table)})

    def values(self, node: dict, scope: Scope) -> Table:
        rows = [[self.expression(value, scope) for value in row] for row in node["values"]]
        names = node.get("expected_names") or [f"col{i}" for i in range(len(rows[0]))]
        columns = {
            name.lower(): _merged([row[place] for row in rows], COPIED)
            for place, name in enumerate(names)
        }
        return Table(columns, set())

    def star(self, node: dict, scope: Scope) -> dict[str, Trace]:
        """The columns that a star stands for."""
        if node["columns"] or node["expr"]:
            raise Untraceable("COLUMNS(…)")
        only = node["relation_name"].lower()
        left_out = {
            (item if isinstance(item, str) else item["column"]).lower()
            for item in [*node["exclude_list"], *node.get("qualified_exclude_list", [])]
        }
        if node["replace_list"] or node["rename_list"]:
            raise Untraceable("* replace, * rename")
        columns: dict[str, Trace] = {}
        for name, table in scope.tables.items():
            if only in ("", name):
                if isinstance(table.columns, _Any):
                    raise Untraceable("the columns of a table function")
                for column, trace in table.columns.items():
                    if column not in left_out:
                        columns.setdefault(column, scope.merged.get(column, trace))
        return columns

    def expression(self, node: dict, scope: Scope) -> Trace:
        """From what an expression is made."""
        match node["class"]:
            case "COLUMN_REF":
                return self.column([name.lower() for name in node["column_names"]], scope)
            case "SUBQUERY":
                return self.subquery(node, scope)
            case "FUNCTION":
                name = node["function_name"].lower()
                if name in ("count_star", "count") and not _arguments(node):
                    return _merged([table.rows(AGGREGATED) for table in scope.tables.values()])
                step = AGGREGATED if name in self.aggregates else COMPUTED
            case "WINDOW":
                step = WINDOWED
                if not _arguments(node) and not node["partitions"] and not node["orders"]:
                    return _merged([table.rows(WINDOWED) for table in scope.tables.values()])
            case "STAR":
                # count(table.*), struct_pack(*): everything there is
                return _merged(list(self.star(node, scope).values()), COMPUTED)
            case _:
                step = COMPUTED
        parts = [self.expression(part, scope) for part in _parts(node)]
        return _merged(parts, step)

    def column(self, names: list[str], scope: Scope) -> Trace:
        """What a name means, here or in the queries around."""
        place: Scope | None = scope
        while place is not None:
            if len(names) > 1:
                table = place.tables.get(names[-2])
                if table is not None and names[-1] in table.columns:
                    return table.columns[names[-1]]
            elif names[0] in place.merged:
                return place.merged[names[0]]
            for table in place.tables.values() if len(names) == 1 else ():
                if names[0] in table.columns:
                    return table.columns[names[0]]
            if len(names) == 1 and names[0] in place.aliases:
                return place.aliases[names[0]]
            place = place.outer
        raise Untraceable(f"unknown column {'.'.join(names)}")

    def subquery(self, node: dict, scope: Scope) -> Trace:
        inner = node.get("subquery_node") or node["subquery"]["node"]
        table = self.query(inner, scope)
        found = list(table.columns.values())
        if "EXISTS" in node["subquery_type"]:
            found = [table.rows(COMPUTED)]
        child = node["child"]
        children = child if isinstance(child, list) else [child] if child else []
        return _merged([*found, *(self.expression(one, scope) for one in children)], COMPUTED)


class _Any(dict):
    """The columns of a table function: whatever is asked for comes from its arguments."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self.trace = _merged([trace], COMPUTED)

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> Trace:
        return self.trace


def _name(node: dict) -> str:
    """The name that an expression has as a column of a SELECT."""
    if node["alias"]:
        return node["alias"]
    if node["class"] == "COLUMN_REF":
        return node["column_names"][-1]
    return node.get("function_name", "")


def _arguments(node: dict) -> list[dict]:
    """The arguments of a function, which engines call by different names."""
    return node.get("arguments") or node.get("children") or []


def _parts(node: dict) -> Iterator[dict]:
    """The nearest expressions inside of an expression."""
    for value in node.values():
        stack = [value]
        while stack:
            item = stack.pop()
            if isinstance(item, list):
                stack.extend(item)
            elif isinstance(item, dict):
                if "class" in item:
                    yield item
                else:
                    stack.extend(item.values())


def _merged(traces: list[Trace], step: int = COPIED) -> Trace:
    """Traces as one; every way through it takes at least this step."""
    merged: Trace = {}
    for trace in traces:
        for source, before in trace.items():
            merged[source] = max(before, step, merged.get(source, COPIED))
    return merged


def _renamed(table: Table, names: list[str]) -> Table:
    """A table whose first columns get other names."""
    if not names or isinstance(table.columns, _Any):
        return table
    old = list(table.columns)
    new = [*map(str.lower, names), *old[len(names) :]]
    return Table(dict(zip(new, table.columns.values(), strict=True)), table.relations)


def _united(tables: list[Table], by_name: bool) -> Table:
    """The parts of a UNION: columns belong together by place, named by the first part."""
    first, *others = tables
    columns = dict(first.columns)
    for other in others:
        if not by_name and len(other.columns) != len(first.columns):
            raise Untraceable("a union of different widths")
        names = other.columns if by_name else columns
        for name, trace in zip(list(names), other.columns.values(), strict=True):
            columns[name] = _merged([columns.get(name, {}), trace])
    return Table(columns, set().union(*(table.relations for table in tables)))
