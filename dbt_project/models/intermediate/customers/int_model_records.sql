{{ config(materialized='view') }}

-- What the fits found, all tasks in one form: another task is another branch.

with churn as (

    select
        source,
        'churn' as task,
        record,
        model,
        trained_on,
        tested_on,
        slice_type,
        slice_id,
        name,
        value,
        lo,
        hi,
        n,
        detail
    from {{ ref('ml_churn') }}
    where record not in ('score', 'coefficient')

),

lifetime_value as (

    select
        source,
        'value' as task,
        record,
        model,
        trained_on,
        tested_on,
        slice_type,
        slice_id,
        name,
        value,
        lo,
        hi,
        n,
        detail
    from {{ ref('ml_lifetime_value') }}
    where record <> 'expectation'

),

returns as (

    select
        source,
        'return' as task,
        case when record in ('intercept', 'rival') then 'run' else record end as record,
        model,
        trained_on,
        tested_on,
        slice_type,
        slice_id,
        name,
        value,
        lo,
        hi,
        n,
        detail
    from {{ ref('ml_return_models') }}
    where record not in ('bin', 'pair')

),

-- who scores in place of the table, if anybody
rivals as (

    select
        source,
        max(model) as model
    from {{ ref('ml_return_models') }}
    where record = 'rival'
    group by source

),

-- the same model by part of what it scored
slices as (

    select
        slices.source,
        'return' as task,
        slices.record,
        coalesce(rivals.model, 'table') as model,
        cast(null as date) as trained_on,
        cast(null as date) as tested_on,
        slices.slice_type,
        slices.slice_id,
        slices.name,
        slices.value,
        slices.lo,
        slices.hi,
        slices.n,
        cast(null as string) as detail
    from {{ ref('int_return_slices') }} as slices
    left join rivals
        on slices.source = rivals.source

),

sellers as (

    select
        source,
        'return' as task,
        record,
        model,
        trained_on,
        tested_on,
        slice_type,
        slice_id,
        name,
        value,
        lo,
        hi,
        n,
        detail
    from {{ ref('int_return_seller_models') }}

),

final as (

    select * from churn

    union all

    select * from lifetime_value

    union all

    select * from returns

    union all

    select * from slices

    union all

    select * from sellers

)

select * from final
