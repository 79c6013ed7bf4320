-- What volume, mix, rate and timing of each member changed in the returned amount, and mix, rate
-- and timing in the returned amount per sales (the event rate). DECISIONS has the formulas.

{%- set sums = [
    'sales_amount', 'exposure_amount', 'lines_without_maturity', 'returned_amount',
    'own_returned_amount',
] %}

with comparisons as (

    select * from {{ ref('int_comparisons_dated') }} where is_covered and has_returns

),

members as (

    select * from {{ ref('int_comparisons_measured') }}

),

sides as (

    {%- for period in ['base', 'current'] %}

    select
        comparisons.source,
        comparisons.comparison,
        comparisons.current_end,
        members.dimension,
        members.member,
        {%- for side in ['base', 'current'] %}
        {%- for column in sums %}
        {{ 'members.' ~ column if side == period else 0 }} as {{ side }}_{{ column }},
        {%- endfor %}
        {{ 'members.final_rate' if side == period else 'cast(null as double)' }}
            as {{ side }}_final_rate
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from comparisons
    inner join members
        on
            comparisons.source = members.source
            and comparisons.{{ period }}_start = members.period_start
            and comparisons.{{ period }}_end = members.period_end
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

-- without sales in one period a member takes the rate of the other: its coming or going is mix
paired as (

    select
        source,
        comparison,
        current_end,
        dimension,
        member,
        {%- for side, other in [('base', 'current'), ('current', 'base')] %}
        {%- for column in sums %}
        sum({{ side }}_{{ column }}) as {{ side }}_{{ column }},
        {%- endfor %}
        coalesce(max({{ side }}_final_rate), max({{ other }}_final_rate))
            as {{ side }}_rate
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from sides
    group by source, comparison, current_end, dimension, member

),

-- money that comes back of the sales of the period in the end, and running totals over members
valued as (

    select
        paired.*,
        {%- for side in ['base', 'current'] %}
        cast(
            paired.{{ side }}_sales_amount * coalesce(paired.{{ side }}_rate, 0) as decimal(28, 10)
        ) as {{ side }}_final_amount,
        {%- for column in ['sales_amount', 'returned_amount'] %}
        sum(paired.{{ side }}_{{ column }}) over (
            partition by paired.source, paired.comparison, paired.current_end, paired.dimension
            order by paired.member
            rows between unbounded preceding and current row
        ) as {{ side }}_{{ column }}_so_far,
        {%- endfor %}
        {%- endfor %}
        cast(comparisons.base_sales_amount as double) as base_total_sales,
        cast(comparisons.current_sales_amount as double) as current_total_sales
    from paired
    inner join comparisons
        on
            paired.source = comparisons.source
            and paired.comparison = comparisons.comparison
            and paired.current_end = comparisons.current_end

),

shared as (

    select
        *,
        {%- for side in ['base', 'current'] %}
        coalesce({{ side }}_rate, 0) as {{ side }}_known_rate,
        {{ side }}_sales_amount / {{ side }}_total_sales as {{ side }}_share,
        {{ side }}_sales_amount_so_far / {{ side }}_total_sales as {{ side }}_share_so_far,
        ({{ side }}_sales_amount_so_far - {{ side }}_sales_amount) / {{ side }}_total_sales
            as {{ side }}_share_before,
        least(
            1,
            sum({{ side }}_final_amount) over (
                partition by source, comparison, current_end, dimension
            ) / {{ side }}_total_sales
        ) as {{ side }}_average_rate,
        -- differences of a rounded running total: the members add up to the total exactly
        cast({{ side }}_returned_amount_so_far / {{ side }}_total_sales as decimal(28, 10))
        - cast(
            ({{ side }}_returned_amount_so_far - {{ side }}_returned_amount)
            / {{ side }}_total_sales as decimal(28, 10)
        ) as {{ side }}_event_rate,
        {%- endfor %}
        base_total_sales / 3 + current_total_sales / 6 as base_weight,
        base_total_sales / 6 + current_total_sales / 3 as current_weight
    from valued

),

-- Shapley: the mean over all orders in which volume, shares and rates could have changed
averaged as (

    select
        *,
        (base_weight * base_known_rate + current_weight * current_known_rate)
        / (base_weight + current_weight) as member_rate,
        (base_weight * base_average_rate + current_weight * current_average_rate)
        / (base_weight + current_weight) as average_rate,
        (base_known_rate + current_known_rate) / 2 as mean_member_rate,
        (base_average_rate + current_average_rate) / 2 as mean_average_rate
    from shared

),

-- decimals, so that sums are exact; a share counts at what the member's rate is above the average,
-- again as differences of a rounded running total: over all members the average counts nothing
effects as (

    select
        *,
        cast(
            (current_total_sales - base_total_sales) * (
                (base_share * base_known_rate + current_share * current_known_rate) / 3
                + (base_share * current_known_rate + current_share * base_known_rate) / 6
            ) as decimal(28, 10)
        ) as amount_volume,
        cast(
            (base_weight + current_weight) * member_rate * (current_share - base_share)
            as decimal(28, 10)
        ) as amount_shift,
        cast(
            (base_weight + current_weight) * average_rate
            * (current_share_so_far - base_share_so_far) as decimal(28, 10)
        )
        - cast(
            (base_weight + current_weight) * average_rate
            * (current_share_before - base_share_before) as decimal(28, 10)
        ) as amount_shift_at_average,
        cast(
            (current_known_rate - base_known_rate)
            * (base_weight * base_share + current_weight * current_share) as decimal(28, 10)
        ) as amount_rate,
        cast(mean_member_rate * (current_share - base_share) as decimal(28, 10)) as rate_shift,
        cast(
            mean_average_rate * (current_share_so_far - base_share_so_far) as decimal(28, 10)
        )
        - cast(
            mean_average_rate * (current_share_before - base_share_before) as decimal(28, 10)
        ) as rate_shift_at_average,
        cast(
            (current_known_rate - base_known_rate) * (base_share + current_share) / 2
            as decimal(28, 10)
        ) as rate_rate
    from averaged

),

final as (

    select
        source,
        comparison,
        current_end,
        dimension,
        member,
        {%- for side in ['base', 'current'] %}
        {{ side }}_sales_amount,
        {{ side }}_share,
        {{ side }}_exposure_amount,
        {{ side }}_lines_without_maturity,
        {{ side }}_rate,
        {{ side }}_average_rate,
        {{ side }}_returned_amount,
        {{ side }}_returned_amount - {{ side }}_own_returned_amount as {{ side }}_earlier_amount,
        {{ side }}_final_amount - {{ side }}_own_returned_amount as {{ side }}_later_amount,
        {{ side }}_event_rate,
        {%- endfor %}
        member_rate as amount_mix_rate,
        average_rate as amount_mix_average_rate,
        mean_member_rate as rate_mix_rate,
        mean_average_rate as rate_mix_average_rate,
        amount_volume,
        amount_shift - amount_shift_at_average as amount_mix,
        amount_rate,
        current_returned_amount - base_returned_amount
        - amount_volume - amount_shift - amount_rate as amount_timing,
        rate_shift - rate_shift_at_average as rate_mix,
        rate_rate,
        current_event_rate - base_event_rate - rate_shift - rate_rate as rate_timing
    from effects

)

select * from final
