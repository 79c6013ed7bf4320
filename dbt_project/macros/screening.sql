{#- Names every column of a landed row that could not be read, comma-separated; NULL if all could.
    A column `x` was read from the cleaned text `x_text`. An empty optional value is fine; a filled
    one that cannot be read rejects the row, so that no value is ever dropped silently. -#}
{% macro reading_errors(required=[], timestamps=[], numbers=[], whole_numbers=[]) -%}
    {%- set parsed = timestamps + numbers + whole_numbers -%}
    nullif(concat_ws(', '
        {%- for column in required %},
        case
            when {{ column }}{{ '_text' if column in parsed }} is null then '{{ column }}_missing'
        end
        {%- endfor %}
        {%- for column in parsed %},
        case
            when {{ column }}_text is not null and {{ column }} is null
                then '{{ column }}_not_a_
                    {{- 'timestamp' if column in timestamps
                        else 'whole_number' if column in whole_numbers else 'number' }}'
        end
        {%- endfor %}
    ), '')
{%- endmacro %}

{#- Joins the reasons whose condition holds, comma-separated; NULL if none does.
    `checks` maps a reason to a condition; `also` is an expression that already holds reasons. -#}
{% macro reasons(checks, also='null') -%}
    nullif(concat_ws(', ', {{ also }}
        {%- for reason, condition in checks.items() %},
        case when {{ condition }} then '{{ reason }}' end
        {%- endfor %}
    ), '')
{%- endmacro %}

{#- The landed columns of a raw table, in the order of its source YAML. -#}
{% macro landed_columns(table_name) -%}
    {%- set found = [] -%}
    {%- if execute -%}
        {%- for node in graph.sources.values() if node.name == table_name -%}
            {%- for column in node.columns.values()
                if column.name not in ('source', 'file', 'row_number') -%}
                {%- do found.append(column) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(found) }}
{%- endmacro %}

{#- Two JSON columns for a rejected row: whole, and with its personal columns pseudonymised. -#}
{% macro rejected_row_json(table_name) -%}
    {%- set columns = landed_columns(table_name) -%}
    {%- set names = columns | map(attribute='name') | list -%}
    {%- set personal = [] -%}
    {%- for column in columns if column.config.meta.get('pii') -%}
        {%- do personal.append(column.name) -%}
    {%- endfor -%}
    {{ row_as_json(names) }} as whole_row,
    {{ row_as_json(names, personal) }} as original_row
{%- endmacro %}

{#- One number from seeds/policy/policy_parameters.csv, as a scalar. -#}
{% macro policy_value(policy_name) -%}
    (
        select cast(value as bigint)
        from {{ ref('policy_parameters') }}
        where policy_name = '{{ policy_name }}'
    )
{%- endmacro %}

{#- When a return counts: a date without a time means some time that day, after that day's sales;
    no date at all sorts after everything known. -#}
{% macro return_moment(column) -%}
    case
        when {{ column }} is null then cast('9999-12-31 00:00:00' as timestamp)
        when {{ column }} = cast(cast({{ column }} as date) as timestamp)
            then {{ column }} + interval '86399' second
        else {{ column }}
    end
{%- endmacro %}

{#- Score 1 to 5 by value: the fifth of the ranking in which the lowest equal value stands. -#}
{% macro fifth(rank, row_count) -%}
    case
        when {{ row_count }} = 1 then 5
        else least(5, 1 + cast(floor(5.0 * ({{ rank }} - 1) / ({{ row_count }} - 1)) as bigint))
    end
{%- endmacro %}

{#- True for a date outside the history of its source. -#}
{% macro outside_history(moment) -%}
    coalesce(
        cast({{ moment }} as date) < sources.first_event_date
        or cast({{ moment }} as date) > sources.last_event_date,
        false
    )
{%- endmacro %}

{#- Three columns: where a screened row goes once repeats and the calendar are known, and why. That a
    date is impossible says more than that its month has no rate. -#}
{% macro final_disposition(accepted, moment) -%}
    {%- set no_rate = 'no_fx_rate_for_currency_and_month' -%}
    case
        when disposition <> '{{ accepted }}' then disposition
        when is_implausible then 'rejected'
        when is_later then 'excluded'
        when is_repeat then 'excluded'
        when is_conflict then 'rejected'
        else disposition
    end as disposition,
        case
            when disposition <> '{{ accepted }}' then excluded_by
            when is_implausible then null
            when is_later then 'after_as_of_date'
            when is_repeat then 'duplicate_delivery'
        end as excluded_by,
        case
            when is_implausible and coalesce(reject_reasons, '{{ no_rate }}') = '{{ no_rate }}'
                and disposition <> 'excluded'
                then '{{ moment }}_implausible'
            when disposition <> '{{ accepted }}' then reject_reasons
            when is_conflict and not is_later then 'superseded_by_later_delivery'
        end as reject_reasons
{%- endmacro %}

{#- A name of a category, country or marketplace. The marts call everything `all` (or `*`), what is too
    small for a row of its own `(small)` and what nobody says `unknown`: a source's own members of
    these names get brackets, and its unknown is none. -#}
{% macro member_name(column) -%}
    case
        when lower({{ column }}) = 'unknown' then null
        when lower({{ column }}) in ('*', 'all', '(small)') then '[' || {{ column }} || ']'
        else {{ column }}
    end
{%- endmacro %}
