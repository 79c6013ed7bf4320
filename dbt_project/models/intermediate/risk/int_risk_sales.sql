-- What everybody sold in each window, whether it can be compared with anything or not.

with lines as (

    select * from {{ ref('int_risk_lines') }}

),

windows as (

    select * from {{ ref('policy_risk_windows') }}

),

lines_of_windows as (

    select
        lines.*,
        windows.compared_with,
        windows.window_days
    from lines
    inner join windows
        on lines.age_days < windows.window_days

),

final as (

    {%- for entity_type, entity_id, compared_with in [
        ('seller', 'seller_id', 'peers'), ('product', 'product_id', 'peers'),
        ('category', 'category', 'own past'), ('marketplace', 'marketplace', 'own past'),
        ('all', none, 'peers'), ('all', none, 'own past'),
    ] %}

    select
        source,
        '{{ entity_type }}' as entity_type,
        {{ entity_id or "'all'" }} as entity_id,
        compared_with,
        window_days,
        cast(count(*) as bigint) as lines,
        cast(sum(comparable_lines) as bigint) as comparable_lines,
        cast(sum(returned_lines) as bigint) as returned_lines,
        cast(sum(maturity) as decimal(18, 6)) as exposure,
        cast(sum(net_amount) as decimal(18, 4)) as net_amount
    from lines_of_windows
    where compared_with = '{{ compared_with }}' and {{ entity_id or 'source' }} is not null
    group by source, {{ entity_id ~ ', ' if entity_id }}compared_with, window_days
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

)

select * from final
