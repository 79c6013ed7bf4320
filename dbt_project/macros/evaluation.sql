{#- A number that can be added up in any order with the same result: to nine decimals. -#}
{% macro exact(number) -%}
    cast(round({{ number }}, 9) as decimal(28, 9))
{%- endmacro %}

{#- An end of the interval of a share (Wilson 1927), of so many hits among so many; `z` is negative
    for the lower end. 0 or 1 where there is nothing. -#}
{% macro wilson(hits, count, z) -%}
    case
        when {{ count }} > 0
            then
                greatest(0, least(1, (
                    {{ hits }} / {{ count }}
                    + {{ z }} * {{ z }} / (2 * {{ count }})
                    + {{ z }} * sqrt(greatest(0, (
                        {{ hits }} / {{ count }} * (1 - {{ hits }} / {{ count }})
                        / {{ count }}
                        + {{ z }} * {{ z }} / (4 * {{ count }} * {{ count }})
                    )))
                ) / (1 + {{ z }} * {{ z }} / {{ count }})))
        when {{ z }} < 0 then 0
        else 1
    end
{%- endmacro %}
