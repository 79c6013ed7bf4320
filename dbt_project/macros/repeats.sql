{#- The values that tell one row from another, as one text; used where rows carry no id. -#}
{% macro content_of(columns) -%}
    concat_ws('|'
        {%- for column in columns %}, coalesce(cast({{ column }} as string), ''){% endfor %}
    )
{%- endmacro %}

{#-
  Decides which accepted rows of `screened` are the same thing delivered more than once; one row
  for every row whose key occurs more than once, with

    occurrence     1, 2, … for rows without an id that repeat inside one file: genuine repeats
    is_repeat      the same row was delivered again; another one is kept
    is_conflict    the same thing was delivered with other values; the latest delivery is kept

  The last file in name order wins, then the latest date, then the greatest values. Rows without
  an id are numbered in each file: the n-th repeat in one file is the n-th repeat in another, so overlapping files count
  once and a line that really stands twice in an invoice counts twice. Only rows that are good by
  themselves and in time take part: a bad one must not displace a good one. `columns` are all that
  a row says; `moment` is the column that dates it.
-#}
{% macro repeated_rows(screened, accepted, moment, columns) -%}
with screened as (

    select * from {{ screened }} where disposition = '{{ accepted }}'

),

sources as (

    select * from {{ ref('int_sources') }}

),

repeated_keys as (

    select
        source,
        row_key
    from screened
    group by source, row_key
    having count(*) > 1

),

repeated as (

    select screened.*
    from screened
    inner join repeated_keys
        on
            screened.source = repeated_keys.source
            and screened.row_key = repeated_keys.row_key
    left join sources
        on screened.source = sources.source
    where
        screened.{{ moment }} is null
        or cast(screened.{{ moment }} as date)
        between sources.first_event_date and sources.last_event_date

),

described as (

    select
        source,
        file,
        row_number,
        has_id,
        row_key,
        {{ content_of(columns) }} as content
    from repeated

),

numbered as (

    select
        *,
        case
            when has_id then 1
            else row_number() over (
                partition by source, row_key, file order by content, row_number
            )
        end as occurrence
    from described

),

ranked as (

    select
        *,
        row_number() over (
            partition by source, row_key, occurrence order by file desc, content desc, row_number
        ) as delivery_rank,
        first_value(content) over (
            partition by source, row_key, occurrence order by file desc, content desc, row_number
        ) as kept_content
    from numbered

),

final as (

    select
        source,
        file,
        row_number,
        cast(occurrence as bigint) as occurrence,
        delivery_rank > 1 and content = kept_content as is_repeat,
        delivery_rank > 1 and content <> kept_content as is_conflict
    from ranked

)

select * from final
{%- endmacro %}

{#- The id of a row, or for a row without one the document it stands in plus a hash of its values. -#}
{% macro row_key(id, document, content_columns) -%}
    coalesce(
        {{ id }}, {{ document }} || '-' || substr(md5({{ content_of(content_columns) }}), 1, 8)
    )
{%- endmacro %}

{#- One row per key of a staged entity; of several deliveries the last file in name order wins. -#}
{% macro latest_delivery(staged, key, columns) -%}
with staged as (

    select * from {{ staged }} where reject_reasons is null

),

repeated_keys as (

    select
        source,
        {{ key }}
    from staged
    group by source, {{ key }}
    having count(*) > 1

),

ranked as (

    select
        staged.*,
        row_number() over (
            partition by staged.source, staged.{{ key }}
            order by
                staged.file desc,
                {%- for column in columns %}
                staged.{{ column }} desc,
                {%- endfor %}
                staged.row_number
        ) as delivery_rank
    from staged
    inner join repeated_keys
        on
            staged.source = repeated_keys.source
            and staged.{{ key }} = repeated_keys.{{ key }}

),

final as (

    select
        staged.source,
        staged.{{ key }},
        {%- for column in columns %}
        staged.{{ column }}{% if not loop.last %},{% endif %}
        {%- endfor %}
    from staged
    left join repeated_keys
        on
            staged.source = repeated_keys.source
            and staged.{{ key }} = repeated_keys.{{ key }}
    where repeated_keys.{{ key }} is null

    union all

    select
        source,
        {{ key }},
        {%- for column in columns %}
        {{ column }}{% if not loop.last %},{% endif %}
        {%- endfor %}
    from ranked
    where delivery_rank = 1

)

select * from final
{%- endmacro %}

{#- What tells the lines, or the returns, of one document apart where they have no id. -#}
{% macro order_line_content() -%}
    {{ return([
        'order_id', 'product_id', 'ordered_at', 'quantity', 'unit_price', 'discount_amount',
        'customer_id', 'seller_id', 'size', 'colour',
    ]) }}
{%- endmacro %}
{% macro return_content() -%}
    {{ return([
        'order_line_id', 'order_id', 'product_id', 'customer_id', 'returned_at', 'quantity',
        'refund_amount', 'reason', 'condition',
    ]) }}
{%- endmacro %}

{#- The columns that screened lines and returns carry through unchanged. -#}
{% macro order_line_columns() -%}
    {{ return([
        'order_id', 'customer_id', 'product_id', 'seller_id', 'marketplace', 'category', 'brand',
        'size', 'colour', 'country', 'channel', 'payment_method', 'customer_type', 'return_status',
        'ordered_at', 'promised_at', 'delivered_at', 'cancelled_at', 'quantity',
        'original_currency', 'fx_rate', 'unit_price', 'discount_amount', 'tax_amount',
        'shipping_amount', 'ordered_amount',
    ]) }}
{%- endmacro %}
{% macro return_columns() -%}
    {{ return([
        'order_line_id', 'order_id', 'product_id', 'customer_id', 'country', 'reason', 'condition',
        'returned_at', 'quantity', 'currency', 'fx_rate', 'refund_amount', 'original_amount',
    ]) }}
{%- endmacro %}
