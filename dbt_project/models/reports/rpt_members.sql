with order_lines as (

    select * from {{ ref('order_lines') }}
    where is_sale and age_days < {{ policy_value('report_days') }}

),

sellers as (

    select * from {{ ref('sellers') }}

),

flagged_sellers as (

    select
        source,
        seller_id
    from {{ ref('seller_risk') }}
    where is_flagged
    group by source, seller_id

),

sold as (

    select
        source,
        marketplace,
        seller_id,
        category,
        count(*) as lines,
        sum(net_amount) as net_amount,
        max(as_of_date) as as_of_date
    from order_lines
    group by source, marketplace, seller_id, category

),

members as (

    {% for dimension, column in [
        ('marketplace', 'marketplace'), ('seller', 'seller_id'), ('category', 'category')
    ] %}
    select
        sold.source,
        '{{ dimension }}' as dimension,
        sold.{{ column }} as member_id,
        count(*) as combinations,
        cast(sum(sold.lines) as bigint) as lines,
        sum(sold.net_amount) as net_amount,
        max(sold.as_of_date) as as_of_date
    from sold
    group by sold.source, sold.{{ column }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

-- who is flagged is listed whatever it sells; then the largest
ranked as (

    select
        members.*,
        flagged_sellers.seller_id is not null as is_flagged,
        row_number() over (
            partition by members.source, members.dimension
            order by
                case when members.member_id is null then 1 else 0 end,
                case when flagged_sellers.seller_id is null then 1 else 0 end,
                members.net_amount desc,
                members.member_id
        ) as member_rank
    from members
    left join flagged_sellers
        on
            members.source = flagged_sellers.source
            and members.dimension = 'seller'
            and members.member_id = flagged_sellers.seller_id

),

counted as (

    select
        *,
        sum(combinations) over (
            partition by source, dimension
            order by member_rank
            rows between unbounded preceding and current row
        ) as combinations_so_far
    from ranked

),

listed as (

    select
        *,
        case
            when member_id is null then -1
            when
                dimension = 'seller'
                and combinations_so_far > {{ policy_value('report_combinations') }}
                then -2
            when
                dimension <> 'seller' and member_rank > {{ policy_value('report_members') }}
                then -2
            else member_rank
        end as member_key
    from counted

),

named as (

    select
        listed.source,
        listed.dimension,
        listed.member_key,
        listed.member_id,
        case when listed.dimension = 'seller' then sellers.seller_name end as member_name,
        listed.lines,
        listed.net_amount,
        listed.as_of_date
    from listed
    left join sellers
        on
            listed.source = sellers.source
            and listed.dimension = 'seller'
            and listed.member_id = sellers.seller_id

),

final as (

    select
        source,
        dimension,
        member_key,
        coalesce(member_id, '') as member_id,
        member_name,
        lines,
        {{ money('net_amount') }} as net_amount,
        as_of_date
    from named

)

select * from final
