"""retour: SQL-first returns analytics on dbt and DuckDB."""
