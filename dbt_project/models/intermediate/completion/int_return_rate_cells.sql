-- What each member of each dimension sold in each week and month, what came back of it, how mature
-- it is, and what was booked back in the period for whatever sale: everything that return_rates
-- divides. Sources that record no returns are left out: their rates are unknown, not zero.

with sources as (

    select * from {{ ref('int_sources') }} where has_returns

),

order_lines as (

    select * from {{ ref('order_lines') }} where is_sale

),

returns as (

    select * from {{ ref('returns') }}

),

customers as (

    select
        source,
        customer_id,
        rfm_segment
    from {{ ref('customer_rfm') }}

),

slices as (

    select * from {{ ref('policy_return_rate_slices') }}

),

reference_rates as (

    select * from {{ ref('int_reference_rates') }} where is_current

),

stratified_lines as (

    select
        *,
        {{ completion_stratum(1) }} as stratum_1
    from order_lines

),

sale_rows as (

    select
        lines.source,
        lines.ordered_date as day,
        lines.marketplace,
        lines.category,
        lines.country,
        lines.seller_id as seller,
        lines.product_id as product,
        lines.customer_id,
        1 as lines_sold,
        case when lines.returned_quantity > 0 then 1 else 0 end as lines_returned,
        lines.quantity as units_sold,
        lines.returned_quantity as units_returned,
        lines.net_amount as value_sold,
        lines.refund_amount as value_returned,
        case when lines.is_mature then 1 else 0 end as mature_weight,
        coalesce(lines.maturity, 1) as maturity,
        coalesce(lines.maturity_se, 0) as maturity_se,
        -- only ratios of it matter: a source without a curve may take any
        cast(
            coalesce(reference_rates.reference_rate, 1) * coalesce(lines.maturity, 1)
            as decimal(9, 6)
        ) as expected_rate,
        cast(
            coalesce(reference_rates.reference_rate, 1) * (1 - coalesce(lines.maturity, 1))
            as decimal(9, 6)
        ) as open_rate,
        case when lines.maturity is null then 1 else 0 end as lines_without_maturity,
        0 as lines_booked,
        0 as units_booked,
        cast(0 as decimal(18, 4)) as value_booked
    from stratified_lines as lines
    inner join sources
        on lines.source = sources.source
    left join reference_rates
        on
            lines.source = reference_rates.source
            and lines.stratum_1 = reference_rates.stratum_1

),

-- a line that comes back in two parcels is booked with the first
numbered_returns as (

    select
        *,
        row_number() over (
            partition by source, order_line_id order by booked_date, return_id, allocation_number
        ) as return_number
    from returns

),

return_rows as (

    select
        source,
        booked_date as day,
        marketplace,
        category,
        country,
        seller_id as seller,
        product_id as product,
        customer_id,
        0 as lines_sold,
        0 as lines_returned,
        0 as units_sold,
        0 as units_returned,
        cast(0 as decimal(18, 4)) as value_sold,
        cast(0 as decimal(18, 4)) as value_returned,
        0 as mature_weight,
        cast(0 as decimal(9, 6)) as maturity,
        cast(0 as decimal(9, 6)) as maturity_se,
        cast(0 as decimal(9, 6)) as expected_rate,
        cast(0 as decimal(9, 6)) as open_rate,
        0 as lines_without_maturity,
        case when order_line_id is null or return_number = 1 then 1 else 0 end as lines_booked,
        quantity as units_booked,
        refund_amount + excess_refund_amount as value_booked
    from numbered_returns

),

all_rows as (

    select * from sale_rows
    union all
    select * from return_rows

),

-- what is added up, multiplied once per line and exactly: rounding would cost more than it saves
entities as (

    select
        all_rows.source,
        all_rows.lines_without_maturity
        {%- for unit in ['lines', 'units', 'value'] %},
        all_rows.{{ unit }}_sold,
        all_rows.{{ unit }}_returned,
        all_rows.{{ unit }}_sold * all_rows.mature_weight as {{ unit }}_mature,
        all_rows.{{ unit }}_returned * all_rows.mature_weight as {{ unit }}_mature_returned,
        all_rows.{{ unit }}_booked,
        {%- for column, share in [
            ('exposure', 'maturity'), ('exposure_error', 'maturity_se'),
            ('expected', 'expected_rate'), ('open', 'open_rate'),
        ] %}
        {{ weighted('all_rows.' ~ unit ~ '_sold', 'all_rows.' ~ share) }}
            as {{ unit }}_{{ column }},
        {%- endfor %}
        {%- if unit == 'lines' %}
        all_rows.lines_sold as lines_squared
        {%- else %}
        {{ crossed('all_rows.' ~ unit ~ '_sold', 'all_rows.' ~ unit ~ '_sold') }}
            as {{ unit }}_squared
        {%- endif %}
        {%- endfor %},
        'all' as entity_all,
        coalesce(all_rows.marketplace, 'unknown') as entity_marketplace,
        coalesce(all_rows.category, 'unknown') as entity_category,
        coalesce(all_rows.country, 'unknown') as entity_country,
        coalesce(all_rows.seller, 'unknown') as entity_seller,
        coalesce(all_rows.product, 'unknown') as entity_product,
        {{ customer_segment_of('all_rows.customer_id', 'customers.rfm_segment') }}
            as entity_customer_segment,
        {{ week_start('all_rows.day') }} as week_start,
        {{ month_start('all_rows.day') }} as month_start
    from all_rows
    left join customers
        on
            all_rows.source = customers.source
            and all_rows.customer_id = customers.customer_id

),

{%- set entity_types = [
    'all', 'marketplace', 'category', 'country', 'seller', 'product', 'customer_segment'
] %}
{%- set sums = ['lines_without_maturity'] %}
{%- for unit in ['lines', 'units', 'value'] %}
{%- for sum in [
    'sold', 'returned', 'mature', 'mature_returned', 'booked', 'exposure', 'exposure_error',
    'expected', 'open', 'squared',
] %}
{%- do sums.append(unit ~ '_' ~ sum) %}
{%- endfor %}
{%- endfor %}

-- weeks that lie in two months are two rows here, so that both grains add up from these
parts as (

    {%- for entity_type in entity_types %}

    select
        source,
        '{{ entity_type }}' as entity_type,
        entity_{{ entity_type }} as entity_id,
        week_start,
        month_start,
        {%- for sum in sums %}
        sum({{ sum }}) as {{ sum }}
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from entities
    group by source, entity_{{ entity_type }}, week_start, month_start
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

-- members too small for rows of their own are counted together
sizes as (

    select
        parts.source,
        parts.entity_type,
        parts.entity_id,
        slices.period_grain,
        case
            when
                sum(parts.lines_sold) >= slices.min_lines
                or parts.entity_id in ('unknown', 'guest')
                then parts.entity_id
            else '(small)'
        end as shown_entity_id
    from parts
    inner join slices
        on parts.entity_type = slices.entity_type
    group by
        parts.source, parts.entity_type, parts.entity_id, slices.period_grain, slices.min_lines

),

final as (

    select
        parts.source,
        parts.entity_type,
        sizes.shown_entity_id as entity_id,
        sizes.period_grain,
        {%- for sum in sums %}
        sum(parts.{{ sum }}) as {{ sum }},
        {%- endfor %}
        case sizes.period_grain
            when 'month' then parts.month_start else parts.week_start
        end as period_start
    from parts
    inner join sizes
        on
            parts.source = sizes.source
            and parts.entity_type = sizes.entity_type
            and parts.entity_id = sizes.entity_id
    group by
        parts.source,
        parts.entity_type,
        sizes.shown_entity_id,
        sizes.period_grain,
        case sizes.period_grain
            when 'month' then parts.month_start else parts.week_start
        end

)

select * from final
