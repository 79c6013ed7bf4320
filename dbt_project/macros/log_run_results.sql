{#- Leaves one small file per run in the ops folder beside the warehouse; the next build lands it
    as marts.run_results. Files and not a table: a warehouse may be thrown away, history not. -#}
{% macro log_run_results(results) -%}
    {%- if execute and results and target.type == 'duckdb'
        and flags.WHICH in ('build', 'run', 'test', 'seed') -%}
        {%- set warehouse = var('warehouse', 'data/warehouse.duckdb') -%}
        {%- set folder = warehouse.rsplit('/', 1)[0] if '/' in warehouse else '.' -%}
        copy (
            select *
            from (
                values
                {%- for result in results %}
                (
                    {{ sql_text(invocation_id) }},
                    {{ sql_text(flags.WHICH) }},
                    {{ sql_text(result.node.unique_id) }},
                    {{ sql_text(result.node.resource_type) }},
                    {{ sql_text(result.status) }},
                    cast({{ result.execution_time }} as double),
                    cast({{ result.failures if result.failures is not none else 'null' }} as bigint),
                    {{ sql_text(result.message) if result.message else 'null' }},
                    {{ sql_text(run_started_at.strftime('%Y-%m-%d %H:%M:%S')) }},
                    {{ sql_text(dbt_version) }},
                    {{ sql_text(target.type) }}
                ){{ ',' if not loop.last }}
                {%- endfor %}
            ) as results (
                invocation_id, command, node_id, resource_type, status, execution_seconds,
                failures, message, started_at, dbt_version, adapter_type
            )
        ) to {{ sql_text(folder ~ '/ops/run_results/' ~ invocation_id ~ '.parquet') }} (format parquet)
    {%- endif -%}
{%- endmacro %}
