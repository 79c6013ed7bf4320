"""The documentation site: dbt's own pages, and column lineage beside them, opened from disk.

dbt's site has no lineage of columns; lineage.html shows it from the same edges that
marts.column_lineage holds. Both are single files without a server or a network.
"""

import html
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

from retour import lineage

HERE = Path(__file__).resolve().parent
# the order in which data flow; what people query last
LAYERS = ("raw", "policy", "staging", "intermediate", "private", "reports", "marts")
# the line of the overview that stands for the table of all marts
GRAIN = "*`make docs` lists them here.*"


def grain_table(manifest: Mapping[str, Any]) -> str:
    """Every public table with what a row of it is, as Markdown."""
    marts = sorted(
        (node["schema"], node["original_file_path"].split("/")[-2], node["name"], node)
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["schema"] in ("marts", "reports")
    )
    lines = ["| Area | Table | One row per |", "|---|---|---|"]
    for schema, area, name, node in marts:
        grain = re.split(r"[.:;]", node["description"])[0].removeprefix("One row per ")
        area = area if schema == "marts" else "shown by pages"
        link = f"[{schema}.{name}](#!/model/{node['unique_id']})"
        lines.append(f"| {area} | {link} | {' '.join(grain.split())} |")
    return "\n".join(lines)


def quiet(index: str) -> str:
    """dbt's page without what a browser asks the disk for in vain, once for each icon of the tree.

    The templates name icons as {{ … }}: the browser takes that for an address before the page's
    script has put the name of the icon there. ng-attr- lets the script write it first.
    """
    index = index.replace('<use xlink:href="{{', '<use ng-attr-href="{{')
    return re.sub(
        r'<link rel="shortcut icon" href="\$\{[^"]*"', '<link rel="icon" href="data:,"', index
    )


def layer(schema: str) -> int:
    """How far down the flow of data a schema is."""
    return LAYERS.index(schema) if schema in LAYERS else 0


def write_site(static_index: Path, manifest_file: Path, warehouse: Path, target: Path) -> None:
    """Write the site into the folder `target`, replacing what is there.

    static_index, manifest_file: what `dbt docs generate --static` wrote.
    """
    manifest = json.loads(manifest_file.read_text(encoding="utf-8"))
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        columns = lineage.warehouse_columns(connection)
        edges = lineage.edges(connection, lineage.models(manifest), columns)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{target.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    index = quiet(static_index.read_text(encoding="utf-8"))
    # inside a JSON text of the page
    grain = json.dumps(grain_table(manifest))[1:-1]
    (temporary / "index.html").write_text(index.replace(GRAIN, grain), encoding="utf-8")
    page = lineage_page(columns, edges, manifest)
    (temporary / "lineage.html").write_text(page, encoding="utf-8")
    shutil.rmtree(target, ignore_errors=True)
    temporary.replace(target)


def lineage_page(
    columns: Mapping[lineage.Relation, list[str]],
    edges: list[lineage.Edge],
    manifest: Mapping[str, Any],
) -> str:
    """The page of column lineage as one HTML text."""
    nodes = {
        (node["schema"], node.get("alias") or node["name"]): node
        for node in [*manifest["nodes"].values(), *manifest["sources"].values()]
        if node["resource_type"] in ("model", "seed", "source")
    }
    tables = sorted(
        (name for name in columns if name in nodes),
        key=lambda name: (layer(name[0]), name),
    )
    readers: dict[str, list[str]] = {}
    for exposure in manifest.get("exposures", {}).values():
        for read in exposure["depends_on"]["nodes"]:
            readers.setdefault(read, []).append(exposure["label"])
    place: dict[tuple[str, str, str], int] = {}
    listed = []
    for schema, table in tables:
        node = nodes[schema, table]
        described = {name.lower(): column for name, column in node["columns"].items()}
        own = []
        for name in [*columns[schema, table], lineage.ROWS]:
            place[schema, table, name] = len(place)
            text = described.get(name.lower(), {}).get("description", "")
            own.append([name, " ".join(text.split())])
        listed.append(
            {
                "schema": schema,
                "layer": layer(schema),
                "name": table,
                "id": node["unique_id"],
                "kind": node["resource_type"],
                "description": " ".join(node["description"].split()),
                "columns": own,
                "readers": sorted(readers.get(node["unique_id"], [])),
            }
        )
    found = [
        [
            place[edge.source_schema, edge.source_table, edge.source_column],
            place[edge.target_schema, edge.target_table, edge.target_column],
            lineage.TRANSFORMATIONS.index(edge.transformation),
        ]
        for edge in edges
        if (edge.source_schema, edge.source_table, edge.source_column) in place
        and (edge.target_schema, edge.target_table, edge.target_column) in place
    ]
    data = {"tables": listed, "edges": found, "steps": lineage.TRANSFORMATIONS}
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
    page = (HERE / "lineage.html").read_text(encoding="utf-8")
    for name in ("lineage.css", "lineage.js"):
        page = page.replace(f"/* {name} */", (HERE / name).read_text(encoding="utf-8"))
    page = page.replace("PROJECT", html.escape(str(manifest["metadata"].get("project_name", ""))))
    return page.replace('"DATA"', text)
