-- Permuted outcomes, features alone and planted leaks come from the fits. known_then counts again,
-- another way, what was known of each customer at the last tested cut-off: from lines and returns
-- up to that day, nothing else; int_return_leaks does the same for lines.

with records as (

    select * from {{ ref('int_model_records') }}
    where
        record = 'leak'
        or (
            task = 'return'
            and record = 'metric'
            and name = 'roc_auc'
            and slice_type = 'all'
            and tested_on is null
        )

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
        case when name = 'single_feature' then detail else model end as subject,
        value,
        n,
        case name
            when 'permuted_labels'
                then
                'ROC-AUC on shuffled outcomes, tested on ' || cast(tested_on as string) || ', '
                || detail
            when 'single_feature'
                then
                'ROC-AUC of the feature that says most by itself, on lines up to '
                || cast(tested_on as string)
            when 'planted_leak'
                then 'ROC-AUC of a feature that was made of the outcome: it has to be noticed'
            when 'random_minus_time'
                then 'ROC-AUC on random lines less that on later ones, same lines and model'
            else 'ROC-AUC out of time'
        end as detail
    from records

    union all

    select
        source,
        'churn' as task,
        'known_then' as check_name,
        'features' as subject,
        cast(differing as double) as value,
        n,
        'customers who look different when counted from nothing but what had happened by '
        || cast(known_on as string) as detail
    from recounted

    union all

    select
        source,
        'return' as task,
        check_name,
        'features' as subject,
        value,
        n,
        detail
    from {{ ref('int_return_leaks') }}

),

thresholds as (

    select
        {{ policy_value('leak_permuted_auc_permille') }} / 1000 as permuted,
        {{ policy_value('leak_random_split_permille') }} / 1000 as random_split,
        {{ policy_value('leak_auc_warn_permille') }} / 1000 as warn,
        {{ policy_value('leak_auc_stop_permille') }} / 1000 as stop

),

-- what may be looks too good, unless somebody has said why it is right
limited as (

    select
        checks.*,
        case
            when checks.check_name = 'permuted_labels' then 0.5 - thresholds.permuted
            when checks.check_name = 'planted_leak' then thresholds.stop
            when checks.check_name = 'random_minus_time' then -1
            else 0
        end as lo,
        case
            when checks.check_name = 'permuted_labels' then 0.5 + thresholds.permuted
            when checks.check_name = 'planted_leak' then 1
            when checks.check_name = 'random_minus_time' then thresholds.random_split
            when checks.check_name in ('roc_auc', 'single_feature')
                then
                case
                    when accepted.largest_permille > 1000 * thresholds.stop
                        then accepted.largest_permille / 1000
                    else thresholds.stop
                end
            else 0
        end as hi,
        case when checks.check_name in ('roc_auc', 'single_feature') then thresholds.warn end
            as warn_above,
        accepted.largest_permille / 1000 as accepted_up_to
    from checks
    cross join thresholds
    left join {{ ref('policy_accepted_leaks') }} as accepted
        on
            checks.source = accepted.source
            and checks.task = accepted.task
            and checks.check_name = accepted.check_name
            and checks.subject = accepted.subject

),

sources as (

    select * from {{ ref('int_sources') }}

),

final as (

    select
        limited.source,
        limited.task,
        limited.check_name,
        limited.subject,
        limited.value,
        cast(limited.lo as double) as lo,
        cast(limited.hi as double) as hi,
        limited.value between limited.lo and limited.hi as has_passed,
        case
            when limited.value not between limited.lo and limited.hi then 'failed'
            when limited.value > limited.warn_above
                then
                case
                    when limited.value <= limited.accepted_up_to then 'accepted'
                    else 'suspicious'
                end
            else 'passed'
        end as outcome,
        cast(limited.n as bigint) as n,
        limited.detail,
        sources.as_of_date
    from limited
    inner join sources
        on limited.source = sources.source

)

select * from final
