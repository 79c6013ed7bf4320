{#- A date so many months or weeks later; earlier if the number is negative. -#}
{% macro grains_later(grain, number, date_column) -%}
    case {{ grain }}
        when 'month' then cast({{ dbt.dateadd('month', number, date_column) }} as date)
        when 'week' then cast({{ dbt.dateadd('day', '7 * ' ~ number, date_column) }} as date)
    end
{%- endmacro %}

{#- The dimensions that changes are split by, and the column of each. -#}
{% macro compared_dimensions() -%}
    {{ return({
        'category': 'category', 'seller': 'seller_id', 'country': 'country', 'channel': 'channel',
    }) }}
{%- endmacro %}
