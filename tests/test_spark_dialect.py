"""The same model files must run on Spark: what sqlglot can read in its dialect, and plain SQL only.

Engine differences sit in dbt_project/macros, which is not searched here.
"""

import re

import pytest
import sqlglot
from sqlglot import expressions

from tests.support import ROOT, Build

pytestmark = pytest.mark.one_engine

# model -> why its compiled SQL needs not parse as Spark SQL
NOT_SPARK: dict[str, str] = {}

# what to write instead is in the name of each rule
FORBIDDEN = {
    "qualify: filter a window in a CTE of its own": r"\bqualify\b",
    "group by all: name the columns": r"\bgroup\s+by\s+all\b",
    "order by all: name the columns": r"\border\s+by\s+all\b",
    "a :: b: cast(a as b)": r"::",
    "a // b: floor(a / b)": r"//",
    "lists, structs and maps: rows": (
        r"\b(list|array|struct|map)_\w+\s*\(|\bunnest\s*\(|\blist\s*\(|\[\s*\]|\{\s*'"
    ),
    "lambda: a CTE": r"\blambda\b|->",
    "select * exclude/replace: name the columns": r"\*\s*(exclude|replace)\b",
    "asof or positional join: a window": r"\b(asof|positional)\s+(left\s+|inner\s+)?join\b",
    "pivot: case when": r"\b(un)?pivot\b",
    "files: landing reads them": r"\bread_(csv|parquet|json)\w*\s*\(",
    "strptime and strftime: a macro": r"\b(try_)?str[pf]time\s*\(",
    "date_diff and datediff: days_between": r"\bdate_?diff\s*\(",
    "epoch: a macro": r"\bepoch(_\w+)?\s*\(",
}

FILES = sorted(
    path
    for folder in ("models", "tests", "analyses")
    for path in (ROOT / "dbt_project" / folder).rglob("*.sql")
)


def plain_sql(text: str) -> str:
    """SQL without comments, Jinja and the inside of strings, line numbers kept."""
    for pattern in (r"\{#.*?#\}", r"\{%.*?%\}", r"\{\{.*?\}\}", r"/\*.*?\*/", r"--[^\n]*"):
        text = re.sub(pattern, lambda found: "\n" * found[0].count("\n"), text, flags=re.DOTALL)
    return re.sub(r"'[^'\n]*'", "''", text)


@pytest.mark.parametrize("rule", FORBIDDEN)
def test_sql_sources_are_plain_sql(rule: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in FILES
        for number, line in enumerate(plain_sql(path.read_text()).splitlines(), start=1)
        if re.search(FORBIDDEN[rule], line, flags=re.IGNORECASE)
    ]
    assert not found, "\n".join([rule, *found])


@pytest.mark.parametrize(
    "sql",
    [
        "select a from b qualify a > 1",
        "select a from b group by all",
        "select a::date from b",
        "select list_sum(a) from b",
        "select {'a': 1} from b",
        "select * exclude (a) from b",
        "select date_diff('day', a, b) from b",
    ],
)
def test_the_rules_find_what_they_name(sql: str) -> None:
    assert any(re.search(rule, plain_sql(sql)) for rule in FORBIDDEN.values())


def test_every_compiled_model_parses_in_the_spark_dialect(demo: Build) -> None:
    models = {
        node["name"]: node["compiled_code"]
        for node in demo.manifest["nodes"].values()
        if node["resource_type"] == "model" and node["language"] == "sql"
    }
    assert models
    failures = {name: error for name, sql in models.items() if (error := spark_error(sql))}
    unexpected = {name: error for name, error in failures.items() if name not in NOT_SPARK}
    assert not unexpected
    assert not set(NOT_SPARK) - set(failures), "these parse now: remove them from the list"


def spark_error(sql: str) -> str | None:
    """Why sqlglot cannot read this as one Spark query, None if it can."""
    try:
        parsed = sqlglot.parse(sql, read="spark")
    except sqlglot.errors.ParseError as error:
        return str(error)
    if len(parsed) != 1 or not isinstance(parsed[0], expressions.Query):
        return "not one query"
    return None
