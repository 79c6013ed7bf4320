-- What became of the rows of each file, counted where they ended up and added up in the currency
-- they were written in. `read` is counted and valued on the raw text, apart from staging.

with canonical_lines as (

    select * from {{ source('canonical', 'canonical__order_lines') }}

),

canonical_returns as (

    select * from {{ source('canonical', 'canonical__returns') }}

),

online_retail_lines as (

    select * from {{ source('online_retail', 'online_retail__lines') }}

),

order_lines as (

    select * from {{ ref('order_lines') }}

),

returns as (

    select * from {{ ref('returns') }} where match_method <> 'line_status'

),

screened_lines as (

    select * from {{ ref('int_order_lines_resolved') }} where disposition = 'excluded'

),

screened_returns as (

    select * from {{ ref('int_returns_resolved') }} where disposition = 'excluded'

),

matched_returns as (

    select * from {{ ref('int_returns_matched') }} where disposition = 'excluded'

),

rejected as (

    select * from {{ ref('int_rows_rejected') }}

),

rejected_lines as (

    select * from {{ source('landing', 'rejected_lines') }}

),

values_read as (

    select
        source,
        file,
        {{ line_value(
            parse_whole_number(clean_text('quantity')),
            parse_decimal(clean_text('unit_price')),
            clean_text('unit_price'),
        ) }} - coalesce({{ parse_decimal(clean_text('discount_amount')) }}, 0) as amount
    from canonical_lines

    union all

    select
        source,
        file,
        {{ parse_decimal(clean_text('refund_amount')) }} as amount
    from canonical_returns

    union all

    select
        source,
        file,
        {{ line_value(
            parse_whole_number(clean_text('quantity')),
            parse_decimal(clean_text('price')),
            clean_text('price'),
        ) }} * case when upper(trim(invoice)) like 'C%' then -1 else 1 end as amount
    from online_retail_lines

),

counted as (

    select
        source,
        file,
        'read' as fate,
        count(*) as row_count,
        sum(amount) as amount
    from values_read
    group by source, file

    union all

    select
        source,
        file,
        'order_line' as fate,
        count(*) as row_count,
        sum(original_amount) as amount
    from order_lines
    group by source, file

    union all

    select
        source,
        file,
        'return' as fate,
        count(distinct row_number) as row_count,
        sum(original_refund_amount) as amount
    from returns
    group by source, file

    union all

    select
        source,
        file,
        'excluded' as fate,
        count(*) as row_count,
        sum(original_amount) as amount
    from screened_lines
    group by source, file

    union all

    select
        source,
        file,
        'excluded' as fate,
        count(*) as row_count,
        sum(original_amount) as amount
    from screened_returns
    group by source, file

    union all

    select
        source,
        file,
        'excluded' as fate,
        count(*) as row_count,
        sum(original_refund_amount) as amount
    from matched_returns
    where not is_from_status
    group by source, file

    union all

    select
        source,
        file,
        'rejected' as fate,
        count(*) as row_count,
        sum(amount) as amount
    from rejected
    group by source, file

    union all

    select
        source,
        file,
        'rejected' as fate,
        count(*) as row_count,
        cast(0 as decimal(18, 4)) as amount
    from rejected_lines
    group by source, file

    {%- for entity in ['customers', 'products', 'sellers', 'reviews'] %}

    union all

    select
        source,
        file,
        'entity' as fate,
        count(*) as row_count,
        cast(0 as decimal(18, 4)) as amount
    from {{ ref('stg_canonical__' ~ entity) }}
    where reject_reasons is null
    group by source, file
    {%- endfor %}

),

final as (

    select
        source,
        file,
        fate,
        sum(row_count) as row_count,
        sum(coalesce(amount, 0)) as amount
    from counted
    group by source, file, fate

)

select * from final
