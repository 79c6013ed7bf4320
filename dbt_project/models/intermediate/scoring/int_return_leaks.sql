-- Histories counted again, another way, for the lines of one day: from lines and returns before
-- that day, nothing else. And events that are known too early.

{% set window_days = var('return_window_days') | int -%}
{% set entities = {
    'customer': 'customer_id', 'product': 'product_id', 'seller': 'seller_id',
    'category': 'category',
} -%}

with order_lines as (

    select * from {{ ref('order_lines') }}

),

features as (

    select * from {{ ref('return_features') }}

),

tests as (

    select * from {{ ref('int_return_tests') }}

),

-- the first day that the last tested model was tested on
last_models as (

    select
        source,
        max(trained_on) as trained_on
    from tests
    group by source

),

days as (

    select
        tests.source,
        min(tests.ordered_date) as day
    from tests
    inner join last_models
        on
            tests.source = last_models.source
            and tests.trained_on = last_models.trained_on
    group by tests.source

),

line_returns as (

    select
        source,
        order_line_id,
        min(cast(returned_at as date)) as returned_date,
        max(case when match_method in ('order_line', 'line_status') then 1 else 0 end)
            as names_its_line
    from {{ ref('returns') }}
    where order_line_id is not null
    group by source, order_line_id

),

-- what had been ordered and had not been called off, and what of it had come back
before as (

    select
        order_lines.source,
        order_lines.customer_id,
        order_lines.product_id,
        order_lines.seller_id,
        order_lines.category,
        case
            when
                order_lines.cancelled_at is not null
                and cast(order_lines.cancelled_at as date) < days.day
                then 0
            when
                order_lines.cancelled_at is null
                and not order_lines.is_sale
                and {{ days_between('order_lines.ordered_date', 'days.day') }} > {{ window_days }}
                then 0
            else 1
        end as line_count,
        case
            when line_returns.returned_date < days.day then 1
            when
                line_returns.returned_date is null
                and line_returns.names_its_line = 1
                and {{ days_between('order_lines.ordered_date', 'days.day') }} > {{ window_days }}
                then 1
            else 0
        end as returned_count
    from order_lines
    inner join days
        on
            order_lines.source = days.source
            and order_lines.ordered_date < days.day
    left join line_returns
        on
            order_lines.source = line_returns.source
            and order_lines.order_line_id = line_returns.order_line_id

),

looked_at as (

    select
        order_lines.source,
        order_lines.order_line_id,
        order_lines.customer_id,
        order_lines.product_id,
        order_lines.seller_id,
        order_lines.category
    from order_lines
    inner join days
        on
            order_lines.source = days.source
            and order_lines.ordered_date = days.day

),

source_counts as (

    select
        source,
        sum(line_count) as line_count,
        sum(returned_count) as returned_count
    from before
    group by source

),

{% for entity_type, column in entities.items() %}
{{ entity_type }}_members as (

    select
        source,
        {{ column }}
    from looked_at
    where {{ column }} is not null
    group by source, {{ column }}

),

{{ entity_type }}_counts as (

    select
        before.source,
        before.{{ column }},
        sum(before.line_count) as line_count,
        sum(before.returned_count) as returned_count
    from before
    inner join {{ entity_type }}_members
        on
            before.source = {{ entity_type }}_members.source
            and before.{{ column }} = {{ entity_type }}_members.{{ column }}
    group by before.source, before.{{ column }}

),
{% endfor %}

counted as (

    select
        looked_at.*,
        {%- for entity_type in entities %}
        coalesce({{ entity_type }}_counts.line_count, 0) as {{ entity_type }}_lines,
        coalesce({{ entity_type }}_counts.returned_count, 0) as {{ entity_type }}_returned,
        {%- endfor %}
        case
            when source_counts.returned_count > 0
                then cast(source_counts.returned_count as double) / source_counts.line_count
        end as usual_rate
    from looked_at
    left join source_counts
        on looked_at.source = source_counts.source
    {%- for entity_type, column in entities.items() %}
    left join {{ entity_type }}_counts
        on
            looked_at.source = {{ entity_type }}_counts.source
            and looked_at.{{ column }} = {{ entity_type }}_counts.{{ column }}
    {%- endfor %}

),

with_category as (

    select
        *,
        case
            when category is not null
                then
                    {{ smoothed(
                        'category_returned', 'category_lines', 'usual_rate',
                        policy_value('category_prior_lines'),
                    ) }}
        end as category_rate
    from counted

),

expected as (

    select
        *,
        {{ smoothed(
            'product_returned', 'product_lines', 'coalesce(category_rate, usual_rate)',
            policy_value('product_prior_lines'),
        ) }} as product_rate,
        case
            when customer_id is not null
                then
                    {{ smoothed(
                        'customer_returned', 'customer_lines', 'usual_rate',
                        policy_value('customer_prior_lines'),
                    ) }}
        end as customer_rate,
        case
            when seller_id is not null
                then
                    {{ smoothed(
                        'seller_returned', 'seller_lines', 'usual_rate',
                        policy_value('seller_prior_lines'),
                    ) }}
        end as seller_rate
    from with_category

),

recounted as (

    select
        features.source,
        features.ordered_date,
        case
            when
                features.product_lines_before <> expected.product_lines
                or coalesce(features.customer_lines_before, 0)
                <> case
                    when expected.customer_id is not null then expected.customer_lines else 0
                end
                or coalesce(features.customer_returned_lines_before, 0)
                <> case
                    when expected.customer_id is not null then expected.customer_returned else 0
                end
                or coalesce(features.seller_lines_before, 0)
                <> case when expected.seller_id is not null then expected.seller_lines else 0 end
                or abs(
                    coalesce(features.customer_return_rate, -1)
                    - coalesce(expected.customer_rate, -1)
                )
                + abs(
                    coalesce(features.product_return_rate, -1)
                    - coalesce(expected.product_rate, -1)
                )
                + abs(
                    coalesce(features.seller_return_rate, -1) - coalesce(expected.seller_rate, -1)
                )
                + abs(
                    coalesce(features.category_return_rate, -1)
                    - coalesce(expected.category_rate, -1)
                ) > 0.000000001
                then 1
            else 0
        end as differs
    from features
    inner join expected
        on
            features.source = expected.source
            and features.order_line_id = expected.order_line_id

),

too_early as (

    select
        source,
        sum(
            case
                when
                    customer_days_since_first_order <= 0
                    or customer_days_since_order <= 0
                    or customer_days_since_return <= 0
                    or product_days_since_first_sale <= 0
                    or label_returned_date < ordered_date
                    then 1
                else 0
            end
        ) as differing,
        count(*) as n
    from features
    group by source

),

-- what a model learns from was known on the day of training
learnt_too_early as (

    select
        source,
        sum(
            case
                when
                    {{ days_between('cast(detail as date)', 'trained_on') }} < {{ window_days }}
                    then 1
                else 0
            end
        ) as differing
    from {{ ref('ml_return_models') }}
    where record = 'run' and name in ('fit_to', 'calibrated_on')
    group by source

),

final as (

    select
        source,
        'known_then' as check_name,
        cast(sum(differs) as double) as value,
        count(*) as n,
        'lines whose histories differ when they are counted from nothing but what had happened'
        || ' before ' || cast(ordered_date as string) as detail
    from recounted
    group by source, ordered_date

    union all

    select
        too_early.source,
        'event_times' as check_name,
        cast(too_early.differing + coalesce(learnt_too_early.differing, 0) as double) as value,
        too_early.n,
        'lines that know of an event of their own day or later; models that learnt from a line'
        || ' whose return window was open' as detail
    from too_early
    left join learnt_too_early
        on too_early.source = learnt_too_early.source

)

select * from final
