"""Scores that no SQL gives: lines go through an estimator in batches, never all at once."""

from typing import Any

from ml.candidates import Rival
from ml.evaluation import Floats

ROWS = 200_000


def score(connection: Any, rival: Rival, *, lines: str, where: str, into: str) -> None:
    """Add source, order_line_id and margin of the lines (a relation of features) to a table.

    A batch is a share of the lines by hash: how many there are decides nothing but the memory.
    """
    (count,) = connection.execute(f"select count(*) from {lines} where {where}").fetchall()[0]
    batches = -(-count // ROWS)
    names = ", ".join(feature.name for feature in rival.features)
    for number in range(batches):
        columns = connection.execute(
            f"select source, order_line_id, {names} from {lines}"
            f" where {where} and hash(order_line_id) % {batches} = {number}"
        ).fetchnumpy()
        _add(connection, columns, rival.margin(columns), into)


def _add(connection: Any, columns: dict, margin: Floats, into: str) -> None:
    if len(margin):
        scored = {
            "source": columns["source"],
            "order_line_id": columns["order_line_id"],
            "margin": margin,
        }
        connection.register("scored_batch", scored)
        connection.execute(f"insert into {into} select * from scored_batch")
        connection.unregister("scored_batch")
