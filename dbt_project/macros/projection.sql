{#-
  The one formula behind every adjusted rate. A slice sold `denominator`, of which `numerator` came
  back so far; its effective exposure is the sum of the completion of its lines. Returns so far over
  effective exposure is the rate (Cape Cod); a prior worth `prior_exposure` keeps tiny exposures at
  the prior rate (Bornhuetter-Ferguson).
-#}

{#- The rate of what was sold, prior included; at most 1. -#}
{% macro exposure_rate(numerator, exposure, prior_rate, prior_exposure) -%}
    least(
        1,
        (cast({{ numerator }} as double) + {{ prior_exposure }} * {{ prior_rate }})
        / nullif({{ exposure }} + {{ prior_exposure }}, 0)
    )
{%- endmacro %}

{#- The final rate of the slice: what came back plus what is expected of the rest; at most 1. -#}
{% macro projected_rate(numerator, denominator, exposure, prior_rate, prior_exposure) -%}
    case
        when {{ denominator }} > 0
            then
            least(
                1,
                (
                    cast({{ numerator }} as double)
                    + {{ exposure_rate(numerator, exposure, prior_rate, prior_exposure) }}
                    * (cast({{ denominator }} as double) - {{ exposure }})
                ) / cast({{ denominator }} as double)
            )
    end
{%- endmacro %}
