"""Which columns of an exported table get an index, by rule."""

from collections.abc import Sequence

from retour.export.contract import Table


def indexes(tables: Sequence[Table]) -> dict[str, list[tuple[str, ...]]]:
    """The indexes of each table beside its key: one for each way to join it to another table.

    A table whose key is (source, x) is an entity; whoever has a column x refers to it.
    """
    entities = {table.key for table in tables if len(table.key) == 2 and table.key[0] == "source"}
    found = {}
    for table in tables:
        names = {column.name for column in table.columns if column.is_text}
        found[table.qualified] = sorted(
            key for key in entities if set(key) <= names and table.key[:2] != key
        )
    return found
