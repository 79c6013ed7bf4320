"""The SQL of models and macros as dbt compiles it for DuckDB, without dbt.

Scoring runs the very models that the warehouse was built with on tables of a few lines, where
starting dbt would take seconds. What they ask dbt for is little: ref, source, var, config,
adapter.dispatch, macros that return a list, and one of dbt's own (a test compares the result with
what dbt compiled).
"""

import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2

from retour.errors import RetourError

MODELS = "dbt_project/models"
MACROS = "dbt_project/macros"
# a macro that is nothing but a value: dbt's `return` hands it over as it is
VALUE = re.compile(
    r"{%-? macro (?P<name>\w+)\(\) -?%}\s*{{ return\((?P<value>[\[{].*?[\]}])\) }}\s*"
    r"{%-? endmacro -?%}",
    re.DOTALL,
)
# how dbt writes a table is nobody else's business, and no word of Jinja
MATERIALIZATION = re.compile(r"{%-? materialization .*?{%-? endmaterialization -?%}", re.DOTALL)


class Project:
    """The models and macros below the root of a project, with the values of its vars."""

    def __init__(self, root: Path, variables: Mapping[str, Any]) -> None:
        self.environment = jinja2.Environment(extensions=["jinja2.ext.do"])
        self.models = {path.stem: path for path in (root / MODELS).rglob("*.sql")}
        files = sorted((root / MACROS).glob("*.sql"))
        if not files or not self.models:
            raise RetourError(f"The models of the project in {root} are missing.")
        given: dict[str, Any] = {
            "ref": lambda name: name,
            "source": lambda _, name: name,
            "var": lambda name, default=None: variables.get(name, default),
            "config": lambda *_, **__: "",
            "return": lambda value: value,
            "adapter": SimpleNamespace(dispatch=self._dispatch),
            "dbt": SimpleNamespace(dateadd=_dateadd),
            "execute": False,
        }
        text = "\n".join(file.read_text("utf-8") for file in files)
        text = MATERIALIZATION.sub("", text)
        for found in VALUE.finditer(text):
            given[found["name"]] = self._value(found["value"])
        module = self.environment.from_string(VALUE.sub("", text)).make_module(given)
        self.names = given | {
            name: macro for name, macro in vars(module).items() if not name.startswith("_")
        }

    def model(self, name: str) -> str:
        """The SQL of a model; what it reads is named without a schema."""
        return self.text(self.models[name].read_text("utf-8"))

    def text(self, template: str) -> str:
        """The SQL of a template that calls the project's macros."""
        return self.environment.from_string(template).render(self.names).strip()

    def _dispatch(self, name: str, package: str) -> Any:
        """adapter.dispatch('x', 'retour') is the macro default__x, which is DuckDB's."""
        return self.names[f"default__{name}"]

    def _value(self, expression: str) -> Any:
        value = self.environment.compile_expression(expression)
        return lambda: value(**self.names) if hasattr(self, "names") else value()


def _dateadd(datepart: str, interval: str, from_date: str) -> str:
    return f"({from_date} + cast({interval} as bigint) * interval 1 {datepart})"
