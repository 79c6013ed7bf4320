with facts as (

    select * from {{ ref('int_source_facts') }}

),

requirements as (

    select * from {{ ref('policy_mart_requirements') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

-- nothing at all empties a mart, a share below the least acceptable one makes it partial
compared as (

    select
        facts.source,
        requirements.mart,
        requirements.fact,
        requirements.reason,
        facts.fact_share,
        case
            when facts.fact_count = 0 and facts.fact_share < 1 then requirements.status_if_none
            when facts.fact_share < requirements.complete_share then 'partial'
            else 'complete'
        end as status
    from facts
    inner join requirements
        on facts.fact = requirements.fact

),

ranked as (

    select
        *,
        row_number() over (
            partition by source, mart
            order by
                case status when 'empty' then 1 when 'partial' then 2 else 3 end,
                fact_share,
                fact
        ) as severity_rank
    from compared

),

final as (

    select
        ranked.source,
        ranked.mart,
        ranked.status,
        case when ranked.status <> 'complete' then ranked.reason end as reason,
        ranked.fact,
        ranked.fact_share,
        sources.as_of_date
    from ranked
    left join sources
        on ranked.source = sources.source
    where ranked.severity_rank = 1

)

select * from final
