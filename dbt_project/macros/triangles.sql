{#- Age of a return in whole weeks since the sale; the last age has no end, -1 is no age at all. -#}
{% macro age_week(days_to_return, last_age_week) -%}
    case
        when {{ days_to_return }} is null then -1
        else least(cast(floor({{ days_to_return }} / 7.0) as bigint), {{ last_age_week }})
    end
{%- endmacro %}
