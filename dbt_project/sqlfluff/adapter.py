"""`adapter` for sqlfluff, which renders the models without dbt: dispatch finds DuckDB's form."""

from collections.abc import Callable

from jinja2 import pass_context
from jinja2.runtime import Context


@pass_context
def dispatch(context: Context, name: str, package: str | None = None) -> Callable[..., str]:
    """The macro `default__<name>`, as dbt's `adapter.dispatch` would return it."""
    return context.resolve(f"default__{name}")
