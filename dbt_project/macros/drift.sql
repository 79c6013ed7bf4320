{#-
  Comparing two sets of values: distributions that the tests of drift need, in plain arithmetic.
  Compared with scipy in tests/test_drift.py.
-#}

{#- What is known of a line at checkout and watched as a number; flags count as 0 and 1. The calendar
    is left out: that it is another month is no news. -#}
{% macro drift_numbers() -%}
    {{ return([
        'is_guest', 'customer_orders_before', 'customer_lines_before',
        'customer_returned_lines_before', 'customer_return_rate',
        'customer_days_since_first_order', 'customer_days_since_order',
        'customer_days_since_return', 'customer_rating', 'product_lines_before',
        'product_return_rate', 'product_days_since_first_sale', 'product_rating',
        'category_return_rate', 'brand_return_rate', 'seller_lines_before', 'seller_return_rate',
        'seller_rating', 'basket_lines', 'basket_units', 'basket_value', 'basket_share',
        'same_product_lines', 'same_product_variants', 'same_category_lines', 'quantity',
        'unit_price', 'discount_share', 'price_to_product', 'price_to_category',
        'price_to_customer', 'order_hour', 'seller_late_share', 'promised_days', 'delivery_days',
        'deep_discount', 'late_delivery', 'rating'
    ]) }}
{%- endmacro %}

{#- What is known when a week ends and says nothing of the past: that moves with a shop's age. -#}
{% macro drift_steady() -%}
    {{ return([
        'is_guest', 'basket_lines', 'basket_units', 'basket_value', 'basket_share', 'quantity',
        'same_product_lines', 'same_category_lines', 'unit_price', 'discount_share', 'order_hour',
        'promised_days', 'category', 'marketplace', 'country', 'channel', 'payment_method',
        'deep_discount', 'late_delivery', 'rating'
    ]) }}
{%- endmacro %}

{#- What all lines of an order have in common. -#}
{% macro drift_of_orders() -%}
    {{ return([
        'is_guest', 'customer_orders_before', 'customer_lines_before',
        'customer_returned_lines_before', 'customer_return_rate',
        'customer_days_since_first_order', 'customer_days_since_order',
        'customer_days_since_return', 'customer_rating', 'basket_lines', 'basket_units',
        'basket_value', 'order_hour', 'promised_days', 'customer_type', 'country', 'channel',
        'payment_method', 'late_delivery', 'delivery_days'
    ]) }}
{%- endmacro %}

{#- The same as a category. -#}
{% macro drift_categories() -%}
    {{ return([
        'customer_type', 'category', 'marketplace', 'country', 'channel', 'payment_method'
    ]) }}
{%- endmacro %}

{#-
  The chi-square distribution in two steps, so that the tail of the normal is written once: the
  standard normal deviate (Peizer and Pratt 1968; exact for 1 to 3 degrees of freedom, the error of
  the tail is below 0.0006 from 4 and below 0.0001 from 9 on) ...
-#}
{% macro chi_square_deviate(x, df) -%}
    case
        when {{ df }} in (1, 3) then sqrt({{ x }})
        when {{ x }} <= 0 then -30
        when abs({{ x }} - {{ df }} + 1) < 1e-6 * {{ df }}
            then ({{ x }} - {{ df }} + 2.0 / 3 - 0.08 / {{ df }}) / sqrt(2 * ({{ df }} - 1))
        when {{ df }} > 1
            then
                ({{ x }} - {{ df }} + 2.0 / 3 - 0.08 / {{ df }}) / abs({{ x }} - {{ df }} + 1)
                * sqrt(
                    greatest(
                        ({{ df }} - 1) * ln(({{ df }} - 1) / {{ x }}) + {{ x }} - {{ df }} + 1, 0
                    )
                )
    end
{%- endmacro %}

{#- ... and the probability that x is exceeded, given that deviate in a column. NULL without a
    degree of freedom. -#}
{% macro chi_square_tail(deviate, x, df) -%}
    case
        when {{ df }} < 1 then null
        when {{ df }} = 2 then exp(-{{ x }} / 2)
        else
            {{ normal_tail(deviate) }} * case when {{ df }} in (1, 3) then 2 else 1 end
            + case
                when {{ df }} = 3 then sqrt(2 * {{ x }} / 3.141592653589793) * exp(-{{ x }} / 2)
                else 0
            end
    end
{%- endmacro %}

{#- Probability that the largest distance of a Brownian bridge from 0 exceeds x (Kolmogorov 1933). -#}
{% macro kolmogorov_tail(x) -%}
    case
        when {{ x }} < 0.2 then 1
        when {{ x }} < 1
            then
                1 - 2.506628274631 / {{ x }} * (
                    {%- for k in [1, 3, 5, 7] %}
                    {{ '+ ' if not loop.first }}exp(-{{ k * k }} * 1.2337005501361697 / ({{ x }} * {{ x }}))
                    {%- endfor %}
                )
        else
            2 * (
                exp(-2 * {{ x }} * {{ x }}) - exp(-8 * {{ x }} * {{ x }})
                + exp(-18 * {{ x }} * {{ x }}) - exp(-32 * {{ x }} * {{ x }})
            )
    end
{%- endmacro %}

{#-
  The same where the bridge is seen up to the share `t` only (Koziol and Byar 1975, first term), given
  the deviate x / sqrt(t (1 - t)): what follows is one value that many have in common, so nothing can
  be told apart there. An upper bound.
-#}
{% macro kolmogorov_cut_tail(x, deviate, turned) -%}
    2 * ({{ normal_tail(deviate) }} + exp(-2 * {{ x }} * {{ x }}) * (1 - {{ normal_tail(turned) }}))
{%- endmacro %}

{#- A p-value turned into a Cauchy variable. What is above 0.95 is 0.95: p-values that allow for restless
    weeks are near 1 more often than chance, and a few of them would hide what moved. -#}
{% macro cauchy_score(p_value) -%}
    case
        when {{ p_value }} is not null
            then
                tan(3.141592653589793 * (0.5 - greatest(least({{ p_value }}, 0.95), 1e-15)))
    end
{%- endmacro %}

{#- The p-value of the mean of p-values that were turned into Cauchy variables: that mean is one
    again, whatever their dependence, so nearly right at small p (Liu and Xie 2020). -#}
{% macro cauchy_p_value(score) -%}
    case
        when {{ score }} is not null
            then greatest(0, least(1, 0.5 - atan({{ score }}) / 3.141592653589793))
    end
{%- endmacro %}

{#-
  Values are counted in steps that are fine where values are and wider further out: so many to each
  doubling of 1 + the distance from the centre in spreads. Spread: the smaller of the distances of
  the quartiles from the median (of what the lower or the upper half has in common, the other one),
  as a power of two, so that a few more lines seldom change it ...
-#}
{% macro drift_spread(quartile_1, median, quartile_3, deviation) -%}
    {%- set spread -%}
    coalesce(
        least(
            coalesce(nullif({{ quartile_3 }} - {{ median }}, 0), {{ median }} - {{ quartile_1 }}),
            coalesce(nullif({{ median }} - {{ quartile_1 }}, 0), {{ quartile_3 }} - {{ median }})
        ),
        0
    )
    {%- endset -%}
    power(
        cast(2 as double),
        floor(
            round(
                log2(
                    case
                        when {{ spread }} > 0 then {{ spread }}
                        when {{ deviation }} > 0 then {{ deviation }}
                        else 1
                    end
                ), 9
            )
        )
    )
{%- endmacro %}

{#- ... and the number of the step that a value falls into. -#}
{% macro drift_cell(value, centre, spread, cells) -%}
    cast(
        round(
            {{ cells }} * sign({{ value }} - {{ centre }})
            * log2(1 + abs({{ value }} - {{ centre }}) / {{ spread }}), 0
        ) as bigint
    )
{%- endmacro %}

{#- 15.0 % of a share or of percent, else 1,234 or 4.56: a mean of a row of drift_features with its
    unit. -#}
{% macro drift_text(number) -%}
    case
        when scored.unit = 'share' then concat({{ percent_text(number) }}, ' %')
        when scored.unit = 'percent' then concat({{ percent_text('(' ~ number ~ ' / 100)') }}, ' %')
        when abs({{ number }}) >= 1000 then {{ whole_number_text(number) }}
        else cast(cast({{ number }} as decimal(18, 2)) as string)
    end
{%- endmacro %}

{#-
  Shifts that drift_false_alarms injects into quiet lines: prices up by a tenth against the product's
  own past, one line in ten of another category, discounts of 61 % on average, deliveries three days
  later, one line in twenty of a category that was never sold. Which lines is drawn by their hash, so
  that no two engines differ.
-#}
{% macro drift_shifts() -%}
    {%- set chance = hash_share("concat('shift ', order_line_id)") -%}
    {{ return([
        {
            'shift': 'price up by 10 %', 'period_grain': 'shift one',
            'feature': 'price_to_product', 'value': 'round(1.1 * price_to_product, 9)',
        },
        {
            'shift': 'discount to 61 %', 'period_grain': 'shift one',
            'feature': 'discount_share', 'value': 'round(0.41 + 0.4 * ' ~ chance ~ ', 2)',
        },
        {
            'shift': 'delivery 3 days later', 'period_grain': 'shift one',
            'feature': 'delivery_days', 'value': 'delivery_days + 3',
        },
        {
            'shift': 'other category mix', 'period_grain': 'shift one',
            'feature': 'category',
            'value': "case when " ~ chance ~ " < 0.1 then first_category else category end",
        },
        {
            'shift': 'a new category', 'period_grain': 'shift two',
            'feature': 'category',
            'value': "case when " ~ chance ~ " < 0.05 then '(never sold before)' else category end",
        },
    ]) }}
{%- endmacro %}
