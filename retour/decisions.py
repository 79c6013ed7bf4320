"""The rule of order_return_scores for lines that are not in the warehouse.

dbt_project/macros/decisions.sql asks dbt for nothing, so the text that dbt compiles can be had
without it: one rule, whoever applies it.
"""

from collections.abc import Sequence

import jinja2

from retour.build import project_root


def decision_query(*, columns: Sequence[str], lines: str, actions: str, rates: str) -> str:
    """SQL: what to do about each row of the relation `lines`, with these of its columns.

    actions and rates are marts.return_actions and marts.return_cost_rates as they are called on
    the connection; what lines must have and what comes out is said in the macro. All of them are
    names, or selects in parentheses for actions and rates.
    """
    text = (project_root() / "dbt_project" / "macros" / "decisions.sql").read_text("utf-8")
    # the one extension of Jinja that dbt's own environment has
    module = jinja2.Environment(extensions=["jinja2.ext.do"]).from_string(text).module
    return module.return_decisions(columns, lines, actions, rates)
