-- model_promotions is one chain of decisions, and scores are said by the model it names

with promotions as (

    select * from {{ ref('model_promotions') }}

),

chained as (

    select
        *,
        {{ dbt.split_part('champion_version', "'@'", 2) }} as champion_day,
        {{ dbt.split_part(
            'lag(in_use_version) over (partition by source, task order by decided_on)', "'@'", 2
        ) }} as day_before,
        lag(decided_on) over (partition by source, task order by decided_on) as decided_before
    from promotions

),

broken as (

    select
        'what is in use after one decision is the champion of the next' as claim,
        source,
        cast(decided_on as string) as example
    from chained
    where
        decided_before is not null
        and coalesce(day_before, '') <> coalesce(champion_day, '')

),

-- of lines that were scored out of sample, from the first decision on
scores as (

    select
        source,
        ordered_date,
        model_version,
        count(*) as lines
    from {{ ref('order_return_scores') }}
    where is_out_of_sample
    group by source, ordered_date, model_version

),

latest as (

    select
        scores.source,
        scores.ordered_date,
        scores.model_version,
        max(promotions.decided_on) as decided_on
    from scores
    inner join promotions
        on
            scores.source = promotions.source
            and promotions.task = 'return'
            and scores.ordered_date > promotions.decided_on
    group by scores.source, scores.ordered_date, scores.model_version

),

unlike as (

    select
        'lines are scored by the model in use' as claim,
        latest.source,
        latest.model_version || ' on ' || cast(latest.ordered_date as string) as example
    from latest
    inner join promotions
        on
            latest.source = promotions.source
            and latest.decided_on = promotions.decided_on
            and promotions.task = 'return'
    where latest.model_version <> promotions.in_use_version

),

silent as (

    select
        'every month-end is decided' as claim,
        source,
        cast(min(decided_on) as string) as example
    from promotions
    where is_month_end
    group by source, task
    having
        max({{ month_index('decided_on') }}) - min({{ month_index('decided_on') }}) + 1 <> count(*)

),

final as (

    select * from broken

    union all

    select * from unlike

    union all

    select * from silent

)

select * from final
