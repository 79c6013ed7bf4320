-- What sellers, products and all together sold in each window and cell of the case mix, what came
-- back of it so far and how much of the returns has come.

with lines as (

    select * from {{ ref('int_risk_lines') }} where comparable_lines = 1

),

case_mix_cells as (

    select * from {{ ref('int_case_mix_cells') }}

),

windows as (

    select * from {{ ref('policy_risk_windows') }} where compared_with = 'peers'

),

-- whole millionths add up in a fraction of the time that decimals take
placed as (

    select
        lines.seller_id,
        lines.product_id,
        lines.age_days,
        lines.returned_lines,
        cast(round(1000000 * cast(lines.maturity as double)) as bigint) as maturity_millionths,
        case_mix_cells.cell_id
    from lines
    inner join case_mix_cells
        on
            lines.source = case_mix_cells.source
            and lines.category = case_mix_cells.category
            and lines.price_band = case_mix_cells.price_band
            and lines.season = case_mix_cells.season
            and lines.country = case_mix_cells.country
            and lines.customer_group = case_mix_cells.customer_group

),

entity_cells as (

    {%- for entity_type, entity_id in [
        ('all', "'all'"), ('seller', 'placed.seller_id'), ('product', 'placed.product_id')
    ] %}

    select
        '{{ entity_type }}' as entity_type,
        {{ entity_id }} as entity_id,
        windows.window_days,
        placed.cell_id,
        count(*) as compared_lines,
        sum(placed.returned_lines) as returned_lines,
        sum(placed.maturity_millionths) as exposure,
        sum(placed.maturity_millionths * placed.maturity_millionths) as squares
    from placed
    inner join windows
        on placed.age_days < windows.window_days
    where {{ entity_id }} is not null
    group by
        {%- if entity_type != 'all' %}
        {{ entity_id }},
        {%- endif %}
        windows.window_days,
        placed.cell_id
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

final as (

    select
        case_mix_cells.source,
        entity_cells.entity_type,
        entity_cells.entity_id,
        entity_cells.window_days,
        case_mix_cells.category,
        case_mix_cells.stratum_1,
        case_mix_cells.stratum_2,
        case_mix_cells.stratum_3,
        cast(entity_cells.compared_lines as bigint) as compared_lines,
        cast(entity_cells.returned_lines as bigint) as returned_lines,
        cast(cast(entity_cells.exposure as double) / 1000000 as decimal(18, 6)) as exposure,
        cast(
            cast(entity_cells.squares as double) / 1000000 / 1000000 as decimal(18, 6)
        ) as squares
    from entity_cells
    inner join case_mix_cells
        on entity_cells.cell_id = case_mix_cells.cell_id

)

select * from final
