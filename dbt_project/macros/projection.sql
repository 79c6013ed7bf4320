{#-
  The one formula behind every adjusted rate. A slice sold `denominator`, of which `numerator` came
  back so far; its effective exposure is the sum of the completion of its lines. Returns so far over
  effective exposure is the rate (Cape Cod); a prior worth `prior_exposure` keeps tiny exposures at
  the prior rate (Bornhuetter-Ferguson).

  Slices that mix strata weigh every line with the reference rate of its stratum, because strata that
  return more also return faster: then `exposure` is the expected number of returns so far, the
  "rate" is observed over expected, and `open_exposure` what is expected of the rest. In one stratum
  both say the same.
-#}

{#- Returns so far over exposure, prior included. -#}
{% macro exposure_ratio(numerator, exposure, prior_ratio, prior_exposure) -%}
    (cast({{ numerator }} as double) + {{ prior_exposure }} * {{ prior_ratio }})
    / nullif({{ exposure }} + {{ prior_exposure }}, 0)
{%- endmacro %}

{#- The rate of what was sold, prior included; at most 1. -#}
{% macro exposure_rate(numerator, exposure, prior_rate, prior_exposure) -%}
    least(1, {{ exposure_ratio(numerator, exposure, prior_rate, prior_exposure) }})
{%- endmacro %}

{#- The value of a row in the dimension that policy_completion_strata names at this level; `*`
    where it names none. -#}
{% macro completion_stratum(level) -%}
    coalesce(
        case (
            select max(dimension) from {{ ref('policy_completion_strata') }} where level = {{ level }}
        )
            when 'category' then coalesce(category, 'unknown')
            when 'country' then coalesce(country, 'unknown')
            when 'marketplace' then coalesce(marketplace, 'unknown')
        end,
        '*'
    )
{%- endmacro %}

{#- Half the width of an interval of the policy's confidence, in standard deviations. -#}
{% macro interval_z() -%}
    (
        select max(levels.z)
        from {{ ref('policy_confidence_levels') }} as levels
        inner join {{ ref('policy_parameters') }} as parameters
            on levels.confidence_percent = parameters.value
        where parameters.policy_name = 'interval_confidence_percent'
    )
{%- endmacro %}

{#- An end of the interval of something that cannot be negative, by its mean and variance: the
    gamma distribution in the approximation of Wilson and Hilferty. `sign` is `-` or `+`. Its upper
    end falls again where the standard deviation exceeds one and a half z times the mean, so more
    than that is not used. -#}
{% macro gamma_bound(mean, variance, z, sign) -%}
    case
        when {{ mean }} <= 0 then 0
        when {{ variance }} <= 0 then {{ mean }}
        else
            {{ mean }} * power(
                greatest(
                    0,
                    1 - {{ gamma_spread(mean, variance, z) }} * {{ gamma_spread(mean, variance, z) }} / 9
                    {{ sign }} {{ z }} * {{ gamma_spread(mean, variance, z) }} / 3
                ),
                3
            )
    end
{%- endmacro %}

{#- Standard deviation over mean, at most where the approximation holds. -#}
{% macro gamma_spread(mean, variance, z) -%}
    least(sqrt({{ variance }}) / {{ mean }}, 1.5 * {{ z }})
{%- endmacro %}

{#-
  Variance of the final numerator of a slice around its projection: of the returns still to come, of
  the rate they are expected at, and of the curve. `squares` is the sum of squared line weights,
  `exposure_error` the sum of line weights times the standard error of their maturity.
-#}
{% macro projection_variance(
    rate, denominator, exposure, prior_exposure, squares, dispersion, exposure_error
) -%}
    (
        {{ rate }} * (1 - {{ rate }}) * {{ dispersion }} * {{ squares }}
        / nullif(cast({{ denominator }} as double), 0)
        * (cast({{ denominator }} as double) - {{ exposure }})
        * (
            1 + (cast({{ denominator }} as double) - {{ exposure }})
            / nullif({{ exposure }} + {{ prior_exposure }}, 0)
        )
        + power(
            {{ rate }} * (cast({{ denominator }} as double) + {{ prior_exposure }})
            / nullif({{ exposure }} + {{ prior_exposure }}, 0) * {{ exposure_error }},
            2
        )
    )
{%- endmacro %}

{#- An end of the interval of a final rate: what came back is certain, the rest is not. With so few
    lines still expected that perhaps none comes, the lower end is what came back. Reads the columns
    numerator, denominator, line_count, remaining and variance. -#}
{% macro projected_bound(sign) -%}
    least(
        1,
        (
            cast(numerator as double)
            + {% if sign == '-' -%}
            case
                when
                    remaining * line_count / cast(denominator as double)
                    < -ln(0.5 - cast({{ policy_value('interval_confidence_percent') }} as double) / 200)
                    then 0
                else least(remaining, {{ gamma_bound('remaining', 'variance', interval_z(), '-') }})
            end
            {%- else -%}
            greatest(remaining, {{ gamma_bound('remaining', 'variance', interval_z(), '+') }})
            {%- endif %}
        ) / cast(denominator as double)
    )
{%- endmacro %}

{#- The member of a row in the dimension that a column names. -#}
{% macro entity_of(relation, entity_type) -%}
    case {{ entity_type }}
        when 'marketplace' then {{ relation }}.marketplace
        when 'category' then {{ relation }}.category
        when 'country' then {{ relation }}.country
        else 'all'
    end
{%- endmacro %}

{#- The segment of a customer as return_rates names it: guests cannot be followed, and who bought
    nothing in the look-back of RFM has no segment. -#}
{% macro customer_segment_of(customer_id, rfm_segment) -%}
    case
        when {{ customer_id }} is null then 'guest'
        else coalesce({{ rfm_segment }}, 'before the look-back')
    end
{%- endmacro %}

{#- Reversed hazard of a stratum, given so many returns of the level above as the policy says. -#}
{% macro pooled_hazard(counts, above) -%}
    ({{ counts }}.return_count
    + {{ policy_value('completion_pooling_returns') }} * {{ above }}.hazard)
    / ({{ counts }}.at_risk_count + {{ policy_value('completion_pooling_returns') }})
{%- endmacro %}

{#- An amount or count times a share, exactly. The cast comes first: DuckDB keeps a product of two
    short decimals short, and large amounts overflow. -#}
{% macro weighted(amount, share) -%}
    cast({{ amount }} as decimal(28, 4)) * {{ share }}
{%- endmacro %}

{#- The product of two amounts or counts, exactly to cents. -#}
{% macro crossed(one, other) -%}
    cast({{ one }} as decimal(19, 2)) * cast({{ other }} as decimal(18, 2))
{%- endmacro %}
