{#- Words for sentences that an analyst can paste. -#}

{#- May. Every name has nine places in the text. -#}
{% macro month_name(date_column) -%}
    {%- set names = [
        'January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September',
        'October', 'November', 'December',
    ] -%}
    trim(substr(
        '{% for name in names %}{{ '%-9s' | format(name) }}{% endfor %}',
        cast(9 * extract(month from {{ date_column }}) - 8 as int),
        9
    ))
{%- endmacro %}

{#- May 2026; January 2026 to March 2026; 5 May 2026; 1 to 28 June 2026; 4 May to 5 June 2026. -#}
{% macro period_text(first_day, last_day) -%}
    {%- set first_year = 'cast(extract(year from ' ~ first_day ~ ') as string)' -%}
    {%- set last_year = 'cast(extract(year from ' ~ last_day ~ ') as string)' -%}
    {%- set is_same_month = month_start(first_day) ~ ' = ' ~ month_start(last_day) -%}
    {%- set day_after = dbt.dateadd('day', 1, last_day) -%}
    concat(
        case
            when extract(day from {{ first_day }}) = 1 and extract(day from {{ day_after }}) = 1
                then
                case
                    when {{ is_same_month }} then ''
                    else concat({{ month_name(first_day) }}, ' ', {{ first_year }}, ' to ')
                end
            when {{ first_day }} = {{ last_day }}
                then concat(cast(extract(day from {{ last_day }}) as string), ' ')
            else
                concat(
                    cast(extract(day from {{ first_day }}) as string),
                    case
                        when {{ is_same_month }} then ''
                        when {{ first_year }} = {{ last_year }}
                            then concat(' ', {{ month_name(first_day) }})
                        else concat(' ', {{ month_name(first_day) }}, ' ', {{ first_year }})
                    end,
                    ' to ', cast(extract(day from {{ last_day }}) as string), ' '
                )
        end,
        {{ month_name(last_day) }}, ' ', {{ last_year }}
    )
{%- endmacro %}

{#- 32.5, of a share in per cent; 0.32 below one. -#}
{% macro percent_text(share) -%}
    case
        when abs({{ share }}) < 0.00995
            then cast(cast(100 * {{ share }} as decimal(18, 2)) as string)
        else cast(cast(100 * {{ share }} as decimal(18, 1)) as string)
    end
{%- endmacro %}

{#- The same with its sign: 32.5 %. -#}
{% macro share_text(share) -%}
    concat({{ percent_text(share) }}, ' %')
{%- endmacro %}

{#- 12,300 of an amount, 0.42 (percentage points) of a rate, without sign; the row has a measure. -#}
{% macro measured_text(number) -%}
    case measure
        when 'amount' then {{ whole_number_text('abs(' ~ number ~ ')') }}
        else cast(cast(abs(100 * cast({{ number }} as double)) as decimal(18, 2)) as string)
    end
{%- endmacro %}

{#- The same with its sign, none for zero. -#}
{% macro signed_text(number) -%}
    concat(
        case
            when {{ measured_text(number) }} in ('0', '0.00') then ''
            when {{ number }} < 0 then '-'
            else '+'
        end,
        {{ measured_text(number) }}
    )
{%- endmacro %}

{#- rose from 11,675 to 16,446 EUR, of the columns base_x and current_x; `text` is a macro that
    writes one of them, `unit` a text expression. -#}
{% macro change_text(fact, text, unit) -%}
    {%- set base = text('base_' ~ fact) -%}
    {%- set current = text('current_' ~ fact) -%}
    case
        when {{ base }} = {{ current }} then concat('hardly moved from ', {{ base }}, {{ unit }})
        when base_{{ fact }} < current_{{ fact }}
            then concat('rose from ', {{ base }}, ' to ', {{ current }}, {{ unit }})
        else concat('fell from ', {{ base }}, ' to ', {{ current }}, {{ unit }})
    end
{%- endmacro %}

{#- A text with its {places} filled in; what is not known there is a question mark. -#}
{% macro filled_in(text, places) -%}
    {%- set filled = namespace(text=text) -%}
    {%- for name, value in places.items() -%}
        {%- set filled.text = "replace(" ~ filled.text ~ ", '{" ~ name ~ "}', coalesce("
            ~ value ~ ", '?'))" -%}
    {%- endfor -%}
    {{ filled.text }}
{%- endmacro %}

{#- 0.0034: a log loss or a ROC-AUC, or what one gains. -#}
{% macro nats_text(value) -%}
    cast(cast({{ value }} as decimal(9, 4)) as string)
{%- endmacro %}
