{#- What the models of churn learn from, by what it says about the customer; ml/churn.py names the same
    columns of int_churn_features. -#}
{% macro churn_driver_features(driver) -%}
    {{ return({
        'recency': ['recency', 'recency_months', 'overdue'],
        'frequency': ['frequency', 'purchases_30', 'purchases_90'],
        'tenure': ['tenure'],
        'basket': ['purchase_amount', 'purchase_lines'],
        'returns': ['return_share'],
    }[driver]) }}
{%- endmacro %}

{#- All of them. -#}
{% macro churn_features() -%}
    {%- set features = [] -%}
    {%- for driver in ['recency', 'frequency', 'tenure', 'basket', 'returns'] -%}
        {%- do features.extend(churn_driver_features(driver)) -%}
    {%- endfor -%}
    {{ return(features) }}
{%- endmacro %}

{#- P(alive) of BG/NBD (`parameters` has first = 0) or MBG/NBD (1): the probability that somebody
    who bought `repeat_count` times after the first, last after `last_repeat_days`, will buy again,
    `tenure_days` after the first time. Without repeats BG/NBD says 1, by its construction. -#}
{% macro probability_alive(repeat_count, last_repeat_days, tenure_days, parameters) -%}
    case
        when {{ repeat_count }} + {{ parameters }}.first = 0 then 1
        else
            1 / (
                1
                + {{ parameters }}.a
                / ({{ parameters }}.b + {{ repeat_count }} + {{ parameters }}.first - 1)
                * power(
                    ({{ parameters }}.alpha + {{ tenure_days }})
                    / ({{ parameters }}.alpha + {{ last_repeat_days }}),
                    {{ parameters }}.r + {{ repeat_count }}
                )
            )
    end
{%- endmacro %}

{#- Select list: parameters of a fit, side by side. -#}
{% macro parameter_columns(names) -%}
    {%- for name in names %}
    max(case when name = '{{ name }}' then value end) as {{ name }}
    {%- if not loop.last %},{% endif %}
    {%- endfor %}
{%- endmacro %}
