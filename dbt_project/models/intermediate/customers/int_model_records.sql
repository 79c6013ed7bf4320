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

final as (

    select * from churn

    union all

    select * from lifetime_value

    union all

    select * from returns

)

select * from final
