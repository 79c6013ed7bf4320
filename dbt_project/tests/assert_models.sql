-- model_runs and what was found of the models: every source says of churn and of value what is in
-- use or why nothing is, and counts agree between the tables

with runs as (

    select * from {{ ref('model_runs') }}

),

metrics as (

    select * from {{ ref('model_metrics') }}

),

confusion as (

    select * from {{ ref('model_confusion') }}

),

calibration as (

    select * from {{ ref('model_calibration') }}

),

backtests as (

    select * from {{ ref('model_backtests') }}

),

cut_offs as (

    select * from {{ ref('int_cut_offs') }}

),

tasks as (

    select distinct task from runs

),

unexplained as (

    select
        'one champion, or a reason' as claim,
        cut_offs.source,
        tasks.task as example
    from cut_offs
    cross join tasks
    left join runs
        on
            cut_offs.source = runs.source
            and tasks.task = runs.task
            and cut_offs.as_of_date = runs.trained_on
    where cut_offs.is_current
    group by cut_offs.source, tasks.task
    having
        sum(case when runs.is_champion then 1 else 0 end) <> 1
        and count(runs.reason) = 0

),

reasonless as (

    select
        'no model without a reason' as claim,
        source,
        model_version as example
    from runs
    where status is null or (status = 'no model' and reason is null)

),

unequal_rates as (

    select
        'recall is that of the confusion matrix' as claim,
        confusion.source,
        confusion.task || ' ' || confusion.model as example
    from confusion
    inner join metrics
        on
            confusion.source = metrics.source
            and confusion.task = metrics.task
            and confusion.model = metrics.model
            and confusion.entity_type = metrics.entity_type
            and confusion.entity_id = metrics.entity_id
            and metrics.metric = 'recall'
    where
        abs(
            metrics.value * (confusion.true_positives + confusion.false_negatives)
            - confusion.true_positives
        ) > 0.000001

),

uncounted as (

    select
        'the bins hold every row once' as claim,
        confusion.source,
        confusion.task || ' ' || confusion.model as example
    from confusion
    left join calibration
        on
            confusion.source = calibration.source
            and confusion.task = calibration.task
            and confusion.model = calibration.model
    where confusion.entity_type = 'all'
    group by confusion.source, confusion.task, confusion.model, confusion.n
    having coalesce(sum(calibration.n), 0) <> confusion.n

),

-- churn pools its cut-offs, value has one
untested as (

    select
        'what is tested together is tested by cut-off' as claim,
        metrics.source,
        metrics.task || ' ' || metrics.model as example
    from metrics
    left join backtests
        on
            metrics.source = backtests.source
            and metrics.task = backtests.task
            and metrics.model = backtests.model
            and metrics.entity_id = backtests.entity_id
            and metrics.metric = backtests.metric
    where metrics.entity_type = 'all' and metrics.metric in ('base_rate', 'expected_purchases')
    group by metrics.source, metrics.task, metrics.model, metrics.n
    having coalesce(sum(backtests.n), 0) <> metrics.n

),

final as (

    select * from unexplained

    union all

    select * from reasonless

    union all

    select * from unequal_rates

    union all

    select * from uncounted

    union all

    select * from untested

)

select * from final
