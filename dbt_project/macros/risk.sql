{#-
  Distributions that the risk marts need, in plain arithmetic: no engine has all of them. Compared
  with scipy in tests/test_sellers.py.
-#}

{#- Probability that a standard normal exceeds z: Hart (1968); nine digits, also far out. -#}
{% macro normal_tail(z) -%}
    case
        when abs({{ z }}) > 37 then case when {{ z }} > 0 then 0 else 1 end
        when {{ z }} < 0 then 1 - {{ normal_far_tail('abs(' ~ z ~ ')') }}
        else {{ normal_far_tail(z) }}
    end
{%- endmacro %}

{#- The same for z from 0 to 37. -#}
{% macro normal_far_tail(z) -%}
    {%- set above = [
        '3.52624965998911e-2', '0.700383064443688', '6.37396220353165', '33.912866078383',
        '112.079291497871', '221.213596169931', '220.206867912376',
    ] -%}
    {%- set below = [
        '8.83883476483184e-2', '1.75566716318264', '16.064177579207', '86.7807322029461',
        '296.564248779674', '637.333633378831', '793.826512519948', '440.413735824752',
    ] -%}
    exp(-{{ z }} * {{ z }} / 2) * case
        when {{ z }} < 7.07106781186547
            then ({{ polynomial(z, above) }}) / ({{ polynomial(z, below) }})
        else
            1 / (2.506628274631 * (
                {{ z }} + 1 / ({{ z }} + 2 / ({{ z }} + 3 / ({{ z }} + 4 / ({{ z }} + 0.65))))
            ))
    end
{%- endmacro %}

{#- A polynomial by Horner's rule, the coefficient of the highest power first. -#}
{% macro polynomial(x, coefficients) -%}
    {%- set text = namespace(value="cast(" ~ coefficients[0] ~ " as double)") -%}
    {%- for coefficient in coefficients[1:] -%}
        {%- set text.value = '(' ~ text.value ~ ') * ' ~ x ~ ' + ' ~ coefficient -%}
    {%- endfor -%}
    {{ text.value }}
{%- endmacro %}

{#-
  The standard normal deviate with the same probability below it as `x` has in Beta(a, b): Peizer
  and Pratt (1968), for a and b of at least 1; the error is below 0.001 from 5 on. The tail of a
  binomial is the same thing: P(Binomial(n, x) >= k) = P(Beta(k, n - k + 1) <= x).
-#}
{% macro beta_deviate(x, a, b) -%}
    {%- set difference -%}
    ({{ a }} - 0.5 - ({{ a }} + {{ b }} - 1) * {{ x }})
    {%- endset -%}
    {%- set corrected -%}
    (
        ({{ a }} + {{ b }} - 0.6666666666666667) * {{ x }} - ({{ a }} - 0.3333333333333333)
        - 0.02 * (
            (1 - {{ x }}) / {{ a }} - {{ x }} / {{ b }} + (0.5 - {{ x }}) / ({{ a }} + {{ b }})
        )
    )
    {%- endset -%}
    {{ corrected }} * case
        when abs({{ difference }}) < 1e-6 * ({{ a }} + {{ b }})
            then 1 / sqrt({{ x }} * (1 - {{ x }}) * ({{ a }} + {{ b }} - 0.8333333333333333))
        else
            sqrt(
                2 / (1 + 1 / (6 * ({{ a }} + {{ b }} - 1)))
                * greatest(
                    0,
                    ({{ a }} - 0.5) * ln(({{ a }} - 0.5) / (({{ a }} + {{ b }} - 1) * {{ x }}))
                    + ({{ b }} - 0.5)
                    * ln(({{ b }} - 0.5) / (({{ a }} + {{ b }} - 1) * (1 - {{ x }})))
                )
            ) / abs({{ difference }})
    end
{%- endmacro %}

{#- Logarithm of the gamma function by Stirling's series, moved up by three; seven digits from 1. -#}
{% macro log_gamma(x) -%}
    (
        ({{ x }} + 2.5) * ln({{ x }} + 3) - {{ x }} - 2.0810614667953272
        + 1 / (12 * ({{ x }} + 3)) - 1 / (360 * power({{ x }} + 3, 3))
        + 1 / (1260 * power({{ x }} + 3, 5))
        - ln({{ x }} * ({{ x }} + 1) * ({{ x }} + 2))
    )
{%- endmacro %}

{#- The value of a row of order_lines in a dimension of policy_case_mix, where that splits the level;
    empty where it does not. -#}
{% macro case_mix_member(dimension, level) -%}
    case
        when (
            select max(level) from {{ ref('policy_case_mix') }} where dimension = '{{ dimension }}'
        ) = {{ level }}
            then {{ dimension }}
        else ''
    end
{%- endmacro %}

{#- The funnel's limits: pairs of policy_funnel_limits. -#}
{% macro funnel_z(limit) -%}
    (select max(z) from {{ ref('policy_funnel_limits') }} where funnel_limit = '{{ limit }}')
{%- endmacro %}

{#- Select list that the marts on sellers, products and categories share, of a row of
    int_risk_assessed. -#}
{% macro risk_columns(row, sources) -%}
    {{ sources }}.reporting_currency as currency,
        {{ row }}.main_category,
        {{ row }}.lines,
        {{ row }}.compared_lines,
        {{ row }}.observed,
        round({{ row }}.expected, 6) as expected,
        round({{ row }}.expected_final, 6) as expected_final,
        round({{ row }}.effective_exposure, 6) as effective_exposure,
        case
            when {{ row }}.comparable_lines > 0
                then round(cast({{ row }}.returned_lines as double) / {{ row }}.comparable_lines, 9)
        end as observed_rate,
        round({{ row }}.adjusted_rate, 9) as adjusted_rate,
        round({{ row }}.ratio, 9) as o_e_ratio,
        round({{ row }}.shrunk_ratio, 9) as shrunk_ratio,
        round({{ row }}.lo, 9) as lo,
        round({{ row }}.hi, 9) as hi,
        round({{ row }}.shrunk_ratio_with_one_more, 9) as shrunk_ratio_with_one_more,
        {{ row }}.peer_group,
        round({{ row }}.peer_ratio, 9) as peer_ratio,
        round({{ row }}.peer_spread, 9) as peer_spread,
        round({{ row }}.null_spread, 9) as null_spread,
        {%- for limit in ['inner', 'outer'] %}
        {%- for side, sign in [('lo', '-'), ('hi', '+')] %}
        round(
            {{ gamma_bound('1', row ~ '.funnel_variance', funnel_z(limit), sign) }}, 9
        ) as funnel_{{ limit }}_{{ side }},
        {%- endfor %}
        {%- endfor %}
        {{ row }}.p_value,
        {{ row }}.q_value,
        round({{ row }}.excess_returns, 6) as excess_returns,
        {{ money(row ~ '.cost_per_return') }} as cost_per_return,
        {{ row }}.excess_cost,
        {{ row }}.excess_cost_lo,
        {{ row }}.excess_cost_hi,
        {{ row }}.risk_tier,
        {{ row }}.insufficient_reason,
        {{ row }}.risk_tier = 'high' as is_flagged,
        {{ row }}.risk_rank,
        {{ sources }}.as_of_date
{%- endmacro %}

{#- 3.87 of a rating, 12.3 % of any other factor of policy_risk_factors. -#}
{% macro factor_text(number) -%}
    case
        when factor = 'rating' then cast(cast({{ number }} as decimal(9, 2)) as string)
        else concat({{ percent_text(number) }}, ' %')
    end
{%- endmacro %}

{#- How far the value of a part of policy_health_parts is from bad on the way to good, 0 to 1. -#}
{% macro health_share(part) -%}
    greatest(
        0,
        least(
            1,
            (policies.{{ part }}_bad - valued.{{ part }}_value)
            / (policies.{{ part }}_bad - policies.{{ part }}_good)
        )
    )
{%- endmacro %}

{#- Weeks since 1900, Monday to Sunday: alerts count in weeks, so that a day of knowledge is a Sunday
    and the same in every build. -#}
{% macro week_number(date_column) -%}
    cast(floor({{ days_between("cast('1900-01-01' as date)", date_column) }} / 7) as int)
{%- endmacro %}

{#- The Sunday that ends a week of week_number. -#}
{% macro week_end(week_number) -%}
    cast({{ dbt.dateadd('day', '7 * ' ~ week_number ~ ' + 6', "cast('1900-01-01' as date)") }} as date)
{%- endmacro %}

{#- So many weeks after its week a sale is complete: the return window. -#}
{% macro alert_lags() -%}
    {{ return((((var('return_window_days') | int) + 6) // 7)) }}
{%- endmacro %}

{#- Probability that so many or more come back by chance: the upper tail of the binomial of
    int_risk_tests, of a row with observed, expected, chance, dispersion and spread_variance. -#}
{% macro excess_z() -%}
    -(
        {{ beta_deviate(
            'chance', 'observed', 'greatest(expected / chance - observed + 1, 1)'
        ) }}
    )
    / sqrt(dispersion + spread_variance * expected / (1 - chance))
{%- endmacro %}

{#- What holds of seller_risk, product_risk and category_risk alike: one row per key, every sold line
    of a window is judged, ratios and excesses follow from what stands beside them, ranks are a
    count. `sold` is the condition of the ledger's lines. -#}
{% macro risk_claims(mart, id_column, sold) -%}
    with risk as (

    select * from {{ ref(mart) }}

),

windows as (

    select distinct
        source,
        window_days
    from risk

),

ledger as (

    select
        order_lines.source,
        windows.window_days,
        count(*) as lines
    from {{ ref('order_lines') }} as order_lines
    inner join windows
        on
            order_lines.source = windows.source
            and order_lines.age_days < windows.window_days
    where {{ sold }}
    group by order_lines.source, windows.window_days

),

sums as (

    select
        source,
        window_days,
        sum(lines) as lines,
        count(risk_rank) as ranked,
        max(risk_rank) as last_rank,
        count(distinct risk_rank) as ranks
    from risk
    group by source, window_days

)

select
    'the lines of all are those of the ledger' as claim,
    ledger.source,
    cast(ledger.window_days as string) as example
from ledger
left join sums
    on
        ledger.source = sums.source
        and ledger.window_days = sums.window_days
where sums.lines is null or sums.lines <> ledger.lines

union all

select
    'ranks count the judged' as claim,
    source,
    cast(window_days as string) as example
from sums
where ranked > 0 and (ranked <> last_rank or ranked <> ranks)

union all

select
    'o_e_ratio = observed / expected, and the excess follows from the shrunk ratio' as claim,
    source,
    {{ id_column }} as example
from risk
where
    abs(o_e_ratio * expected - observed) > 1e-4 * (1 + observed)
    or abs(greatest(shrunk_ratio - 1, 0) * expected_final - excess_returns)
    > 1e-4 * (1 + excess_returns)
    or abs(cast(excess_cost as double) - excess_returns * cast(cost_per_return as double))
    > 1e-3 * (1 + excess_returns)
    or (insufficient_reason is null) <> (risk_tier <> 'insufficient data')

union all

select
    'one row per key' as claim,
    source,
    {{ id_column }} as example
from risk
group by source, {{ id_column }}, window_days
having count(*) > 1
{%- endmacro %}

{#- Whether the day on which a line was promised has passed: what is late or cancelled is asked of
    such lines only, or the lines of a young window, which can still become either, would make it
    look good. Lines without a promise are taken as they are. -#}
{% macro is_due(lines) -%}
    ({{ lines }}.promised_at is null or cast({{ lines }}.promised_at as date) < {{ lines }}.as_of_date)
{%- endmacro %}

{#- Whether it is known of a line that is due if it came in time: it was delivered, or is overdue and
    not so long that its delivery was probably just not recorded. -#}
{% macro has_known_delivery(lines) -%}
    (
        cast({{ lines }}.promised_at as date) < {{ lines }}.as_of_date
        and (
            {{ lines }}.delivered_at is not null
            or (
                {{ lines }}.is_sale
                and {{ days_between(lines ~ '.promised_at', lines ~ '.as_of_date') }}
                <= {{ policy_value('risk_overdue_days') }}
            )
        )
    )
{%- endmacro %}
