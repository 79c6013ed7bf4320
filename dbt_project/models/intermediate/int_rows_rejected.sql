-- Every landed row that was rejected, with every reason, from whatever layer found it.

with order_lines as (

    select * from {{ ref('int_order_lines_resolved') }} where disposition = 'rejected'

),

returns as (

    select * from {{ ref('int_returns_resolved') }} where disposition = 'rejected'

),

matched as (

    select * from {{ ref('int_returns_matched') }}
    where disposition = 'rejected' and not is_from_status

),

final as (

    select
        source,
        'order_lines' as input_table,
        file,
        row_number,
        reject_reasons,
        original_amount as amount
    from order_lines

    union all

    select
        source,
        'returns' as input_table,
        file,
        row_number,
        reject_reasons,
        original_amount as amount
    from returns

    union all

    select
        source,
        'returns' as input_table,
        file,
        row_number,
        reject_reasons,
        original_refund_amount as amount
    from matched

    {%- for entity in ['customers', 'products', 'sellers', 'reviews'] %}

    union all

    select
        source,
        '{{ entity }}' as input_table,
        file,
        row_number,
        reject_reasons,
        cast(0 as decimal(18, 4)) as amount
    from {{ ref('stg_canonical__' ~ entity) }}
    where reject_reasons is not null
    {%- endfor %}

)

select * from final
