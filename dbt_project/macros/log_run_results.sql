{#- What changes the warehouse stands in raw.runs from its first moment, without an end until it has
    one: a warehouse whose run was cut off is half old, half new, and is not published. Only a whole
    build makes good for that. raw.mart_keys: the keys of marts that have no constraint. -#}
{% macro begin_run() -%}
    {%- if execute and target.type == 'duckdb' and flags.WHICH in ('build', 'run', 'seed') -%}
        create schema if not exists raw;
        create table if not exists raw.runs (
            invocation_id varchar, command varchar, started_at timestamp, finished_at timestamp
        );
        insert into raw.runs values (
            {{ sql_text(invocation_id) }}, {{ sql_text(flags.WHICH) }},
            {{ sql_text(run_started_at.strftime('%Y-%m-%d %H:%M:%S.%f')) }}, null
        );
        create or replace table raw.mart_keys (
            schema_name varchar, table_name varchar, position bigint, column_name varchar
        );
        {%- for node in graph.nodes.values() if node.resource_type == 'model' %}
            {%- for column in node.config.get('meta', {}).get('key', []) %}
        insert into raw.mart_keys values (
            {{ sql_text(node.schema) }}, {{ sql_text(node.alias) }}, {{ loop.index }},
            {{ sql_text(column) }}
        );
            {%- endfor %}
        {%- endfor %}
    {%- endif -%}
{%- endmacro %}

{% macro end_run() -%}
    {%- if execute and target.type == 'duckdb' and flags.WHICH in ('build', 'run', 'seed') -%}
        {%- set is_whole = flags.WHICH == 'build' and not invocation_args_dict.get('select')
            and not invocation_args_dict.get('exclude')
            and not invocation_args_dict.get('selector') -%}
        update raw.runs set finished_at = cast(now() at time zone 'UTC' as timestamp)
        where invocation_id = {{ sql_text(invocation_id) }};
        delete from raw.runs
        where invocation_id <> {{ sql_text(invocation_id) }}
            and ({{ is_whole }} or (finished_at is not null and command = {{ sql_text(flags.WHICH) }}))
    {%- endif -%}
{%- endmacro %}

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
