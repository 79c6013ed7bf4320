{#-
  A table in one statement and one transaction: drop, create, fill, describe. The adapter's own way
  writes a table of another name, renames two and drops one, and asks the catalog for columns that the
  contract names: a fifth of what dbt itself cost a build. What is kept: contracts, hooks,
  descriptions as comments, and that a table that fails leaves the one before it in place. Not kept,
  for no model has any: indexes, grants, foreign keys.
-#}
{% materialization table, adapter="duckdb", supported_languages=["sql", "python"] %}
    {%- set target_relation = this.incorporate(type="table") -%}
    {%- set existing_relation = load_cached_relation(this) -%}
    {%- set replaced_type = existing_relation.type if existing_relation is not none else "table" -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- if model["language"] == "sql" %}
    {%- call statement("main") %}
        drop {{ replaced_type }} if exists {{ target_relation }};
        {{ create_table_as(False, target_relation, compiled_code) }};
        {{ descriptions_as_comments(target_relation) }}
    {%- endcall %}
    {%- else %}
    {#- Python writes outside of any transaction, so not into the table that is read -#}
    {%- set new_relation = make_intermediate_relation(target_relation) -%}
    {{ drop_relation_if_exists(load_cached_relation(new_relation)) }}
    {%- call statement("main", language="python") %}
        {{- create_table_as(False, new_relation, compiled_code, "python") }}
    {%- endcall %}
    {%- call statement("swapped") %}
        drop {{ replaced_type }} if exists {{ target_relation }};
        alter table {{ new_relation }} rename to {{ target_relation.identifier }};
        {{ descriptions_as_comments(target_relation) }}
    {%- endcall %}
    {%- endif %}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({"relations": [target_relation]}) }}
{% endmaterialization %}

{#- The statements that write a model's descriptions into the warehouse, where persist_docs says so. -#}
{% macro descriptions_as_comments(relation) -%}
    {%- if config.persist_relation_docs() and model.description %}
    comment on table {{ relation }} is {{ duckdb_escape_comment(model.description) }};
    {%- endif %}
    {%- if config.persist_column_docs() %}
    {%- for column in model.columns.values() if column.description %}
    comment on column {{ relation }}.{{ column.name }} is {{ duckdb_escape_comment(column.description) }};
    {%- endfor %}
    {%- endif %}
{%- endmacro %}
