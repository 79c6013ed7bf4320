with records as (

    select * from {{ ref('int_model_records') }} where record in ('importance', 'alone')

),

features as (

    select * from {{ ref('policy_model_features') }} where feature_set = 'checkout'

),

sources as (

    select * from {{ ref('int_sources') }}

),

measured as (

    select
        source,
        task,
        model,
        name as feature,
        max(case when record = 'importance' then trained_on end) as trained_on,
        max(case when record = 'importance' then value end) as auc_loss,
        max(case when record = 'importance' then lo end) as auc_loss_lo,
        max(case when record = 'importance' then hi end) as auc_loss_hi,
        max(case when record = 'importance' then cast(detail as bigint) end) as repeats,
        max(case when record = 'importance' then n end) as n,
        max(case when record = 'alone' then value end) as auc_alone,
        max(case when record = 'alone' then lo end) as auc_alone_lo,
        max(case when record = 'alone' then hi end) as auc_alone_hi
    from records
    group by source, task, model, name

),

final as (

    select
        measured.source,
        measured.task,
        measured.model,
        measured.feature,
        features.feature_group,
        measured.trained_on,
        row_number() over (
            partition by measured.source, measured.task, measured.model
            order by measured.auc_loss desc, measured.feature
        ) as importance_rank,
        measured.auc_loss,
        measured.auc_loss_lo,
        measured.auc_loss_hi,
        measured.repeats,
        measured.n,
        measured.auc_alone,
        measured.auc_alone_lo,
        measured.auc_alone_hi,
        features.description as meaning,
        sources.as_of_date
    from measured
    inner join sources
        on measured.source = sources.source
    left join features
        on measured.feature = features.feature
    where measured.auc_loss is not null

)

select * from final
