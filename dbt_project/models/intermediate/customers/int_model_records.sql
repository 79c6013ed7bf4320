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
        case when record = 'intercept' then 'run' else record end as record,
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

-- the same model by part of what it scored
slices as (

    select
        source,
        'return' as task,
        record,
        'table' as model,
        cast(null as date) as trained_on,
        cast(null as date) as tested_on,
        slice_type,
        slice_id,
        name,
        value,
        lo,
        hi,
        n,
        cast(null as string) as detail
    from {{ ref('int_return_slices') }}

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
