"""The maths behind the Python models: pure numpy functions that know neither dbt nor duckdb."""
