"""`dbt` for sqlfluff, which renders the models without dbt: a call for any of its SQL macros."""

from collections.abc import Callable


def __getattr__(name: str) -> Callable[..., str]:
    """`dbt.dateadd('day', 1, 'x')` renders as `dbt_dateadd(day, 1, x)`: enough to judge style."""
    return lambda *arguments: f"dbt_{name}({', '.join(map(str, arguments))})"
