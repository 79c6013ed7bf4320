-- model_runs and what was found of the models: every source says of every task what is in
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
    where status is null or (status <> 'fitted' and reason is null)

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

-- a card for every model that was trained, and no other figures in it
cardless as (

    select
        'a card for every model' as claim,
        runs.source,
        runs.model_version as example
    from runs
    left join {{ ref('model_cards') }} as cards
        on
            runs.source = cards.source
            and runs.task = cards.task
            and runs.model = cards.model
            and runs.trained_on = cards.trained_on
    left join metrics
        on
            runs.source = metrics.source
            and runs.task = metrics.task
            and runs.model = metrics.model
            and runs.trained_on = runs.as_of_date
            and metrics.entity_type = 'all'
            and metrics.metric = 'roc_auc'
    where
        cards.sentence is null
        or (
            not cards.is_tested_itself
            and coalesce(cards.roc_auc, -1) <> coalesce(metrics.value, -1)
        )

),

-- a feature that says much alone is not more than what leak_checks names
unnamed as (

    select
        'leak_checks names the feature that says most by itself' as claim,
        importance.source,
        importance.feature as example
    from {{ ref('model_feature_importance') }} as importance
    inner join {{ ref('leak_checks') }} as checks
        on
            importance.source = checks.source
            and importance.task = checks.task
            and checks.check_name = 'single_feature'
    where importance.auc_alone > checks.value

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

    union all

    select * from cardless

    union all

    select * from unnamed

)

select * from final
