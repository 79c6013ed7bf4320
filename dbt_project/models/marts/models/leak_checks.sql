-- Permuted outcomes come from the fits. The other check counts again, another way, what was known
-- of each customer at the last tested cut-off: from lines and returns up to that day, nothing else.

with records as (

    select * from {{ ref('int_model_records') }} where record = 'leak'

),

cut_offs as (

    select
        source,
        max(known_on) as known_on
    from {{ ref('int_cut_offs') }}
    where is_tested
    group by source

),

order_lines as (

    select
        order_lines.*,
        cut_offs.known_on
    from {{ ref('order_lines') }} as order_lines
    inner join cut_offs
        on
            order_lines.source = cut_offs.source
            and order_lines.ordered_date <= cut_offs.known_on
    where
        order_lines.customer_id is not null
        and (order_lines.is_sale or cast(order_lines.cancelled_at as date) > cut_offs.known_on)

),

returned as (

    select
        returns.source,
        returns.order_line_id,
        sum(returns.quantity) as quantity
    from {{ ref('returns') }} as returns
    inner join cut_offs
        on
            returns.source = cut_offs.source
            and returns.booked_date <= cut_offs.known_on
    where returns.order_line_id is not null
    group by returns.source, returns.order_line_id

),

counted as (

    select
        order_lines.source,
        order_lines.customer_id,
        count(distinct order_lines.ordered_date) as purchase_day_count,
        max(order_lines.ordered_date) as last_date,
        min(order_lines.ordered_date) as first_date
    from order_lines
    left join returned
        on
            order_lines.source = returned.source
            and order_lines.order_line_id = returned.order_line_id
    where coalesce(returned.quantity, 0) < order_lines.ordered_quantity
    group by order_lines.source, order_lines.customer_id

),

features as (

    select
        histories.source,
        histories.known_on,
        histories.customer_id,
        histories.purchase_day_count,
        histories.recency_days,
        histories.tenure_days
    from {{ ref('int_customer_histories') }} as histories
    inner join cut_offs
        on
            histories.source = cut_offs.source
            and histories.known_on = cut_offs.known_on

),

recounted as (

    select
        features.source,
        features.known_on,
        sum(
            case
                when
                    counted.purchase_day_count = features.purchase_day_count
                    and {{ days_between('counted.last_date', 'features.known_on') }}
                    = features.recency_days
                    and {{ days_between('counted.first_date', 'features.known_on') }}
                    = features.tenure_days
                    then 0
                else 1
            end
        ) as differing,
        count(*) as n
    from features
    left join counted
        on
            features.source = counted.source
            and features.customer_id = counted.customer_id
    group by features.source, features.known_on

),

checks as (

    select
        source,
        task,
        name as check_name,
        model as subject,
        value,
        0.5 - {{ policy_value('leak_permuted_auc_permille') }} / 1000.0 as lo,
        0.5 + {{ policy_value('leak_permuted_auc_permille') }} / 1000.0 as hi,
        n,
        'ROC-AUC on shuffled outcomes, tested on ' || cast(tested_on as string) || ', '
        || detail as detail
    from records

    union all

    select
        source,
        'churn' as task,
        'known_then' as check_name,
        'features' as subject,
        cast(differing as double) as value,
        0.0 as lo,
        0.0 as hi,
        n,
        'customers who look different when counted from nothing but what had happened by '
        || cast(known_on as string) as detail
    from recounted

),

sources as (

    select * from {{ ref('int_sources') }}

),

final as (

    select
        checks.source,
        checks.task,
        checks.check_name,
        checks.subject,
        checks.value,
        cast(checks.lo as double) as lo,
        cast(checks.hi as double) as hi,
        checks.value between checks.lo and checks.hi as has_passed,
        cast(checks.n as bigint) as n,
        checks.detail,
        sources.as_of_date
    from checks
    inner join sources
        on checks.source = sources.source

)

select * from final
