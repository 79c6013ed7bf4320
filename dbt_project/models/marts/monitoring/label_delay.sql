{% set counts = ['line_count', 'return_count', 'begun_returns'] -%}
{% set sums = ['expected_final', 'expected_returns', 'begun_due', 'begun_variance'] -%}
{% set sales = 'partition by source, marketplace, sale_week' -%}

with cells as (

    select * from {{ ref('int_label_arrivals') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

levels as (

    select levels.z
    from {{ ref('policy_confidence_levels') }} as levels
    inner join {{ ref('policy_parameters') }} as parameters
        on levels.confidence_percent = parameters.value
    where parameters.policy_name = 'label_delay_confidence_percent'

),

-- of each marketplace, and of all
scoped as (

    {%- for marketplace in ["marketplace", "'all'"] %}

    select
        source,
        {{ marketplace }} as marketplace,
        sale_week,
        arrival_week,
        {%- for name in counts %}
        sum({{ name }}) as {{ name }},
        {%- endfor %}
        {%- for name in sums %}
        sum({{ name }}) as {{ name }}
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from cells
    group by source, {{ 'marketplace, ' if loop.first }}sale_week, arrival_week
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

-- what has come of a week's sales by now: of sales of before the weeks looked at all has
dated as (

    select
        *,
        cast(sum(return_count) over ({{ sales }}) as double)
        / nullif(cast(sum(expected_returns) over ({{ sales }}) as double), 0) as sales_ratio,
        coalesce(
            cast(sum(expected_returns) over ({{ sales }}) as double)
            / nullif(cast(sum(expected_final) over ({{ sales }}) as double), 0),
            1
        ) as sales_share
    from scoped

),

-- by the week of the sale and by the week in which returns came; since: of the sales whose returns
-- were to come in the week, by as many as were
placed as (

    {%- for basis in ['sale', 'arrival'] %}

    select
        source,
        marketplace,
        '{{ basis }}' as basis,
        {{ basis }}_week as week_start,
        {%- for name in counts %}
        cast(sum({{ name }}) as bigint) as {{ name }},
        {%- endfor %}
        {%- for name in sums %}
        cast(sum({{ name }}) as double) as {{ name }},
        {%- endfor %}
        cast(sum({{ exact('expected_returns * sales_ratio') }}) as double)
        / nullif(cast(sum(expected_returns) as double), 0) as since_ratio,
        cast(sum({{ exact('expected_returns * least(1, sales_share)') }}) as double)
        / nullif(cast(sum(expected_returns) as double), 0) as share_arrived
    from dated
    group by source, marketplace, {{ basis }}_week
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

-- what had begun to come back comes on at a pace of its own, since what is quick weighs more in it
paces as (

    select
        source,
        marketplace,
        median(begun_returns / begun_due) as pace
    from placed
    where basis = 'arrival' and begun_due >= {{ policy_value('label_delay_min_returns') }}
    group by source, marketplace

),

paced as (

    select
        placed.source,
        placed.marketplace,
        placed.basis,
        placed.week_start,
        placed.line_count,
        placed.return_count,
        placed.expected_returns,
        placed.expected_final,
        placed.since_ratio,
        placed.share_arrived,
        placed.begun_returns,
        coalesce(paces.pace, 1) * placed.begun_due as begun_due,
        coalesce(paces.pace, 1) * placed.begun_variance as begun_variance
    from placed
    left join paces
        on
            placed.source = paces.source
            and placed.marketplace = paces.marketplace

),

-- how much more than by chance weeks vary: the median of the squares, which a crisis does not move,
-- over that of a normal variable
squared as (

    select
        *,
        power(begun_returns - begun_due, 2) / begun_variance as begun_square,
        power(return_count - expected_returns, 2) / expected_returns as square
    from paced
    where begun_due >= {{ policy_value('label_delay_min_returns') }}

),

dispersions as (

    select
        source,
        marketplace,
        basis,
        greatest(1, median(begun_square) / 0.4549) as begun_dispersion,
        greatest(1, median(square) / 0.4549) as dispersion
    from squared
    group by source, marketplace, basis

),

compared as (

    select
        paced.source,
        paced.marketplace,
        paced.basis,
        paced.week_start,
        paced.line_count,
        paced.return_count,
        paced.expected_returns,
        paced.expected_final,
        paced.since_ratio,
        paced.share_arrived,
        paced.begun_returns,
        paced.begun_due,
        paced.begun_returns / nullif(paced.begun_due, 0) as due_ratio,
        levels.z * sqrt(paced.begun_variance * coalesce(dispersions.begun_dispersion, 1))
        / nullif(paced.begun_due, 0) as due_half,
        paced.return_count / nullif(paced.expected_returns, 0) as usual_ratio,
        levels.z * sqrt(paced.expected_returns * coalesce(dispersions.dispersion, 1))
        / nullif(paced.expected_returns, 0) as usual_half,
        {{ days_between('paced.week_start', 'sources.as_of_date') }} >= 6 as is_complete,
        sources.as_of_date
    from paced
    inner join sources
        on paced.source = sources.source
    left join dispersions
        on
            paced.source = dispersions.source
            and paced.marketplace = dispersions.marketplace
            and paced.basis = dispersions.basis
    cross join levels
    -- sales of which the first weeks are not watched are left out
    where
        paced.basis = 'arrival'
        or {{ days_between('paced.week_start', 'sources.as_of_date') }}
        < 7 * {{ policy_value('label_delay_weeks') }}

),

judged as (

    select
        *,
        {{ policy_value('label_delay_change_percent') }} as change_percent,
        100 * share_arrived >= {{ policy_value('label_delay_told_percent') }} as is_told,
        begun_due >= {{ policy_value('label_delay_min_returns') }} as is_enough
    from compared

),

found as (

    select
        *,
        case
            when basis = 'arrival' and not is_complete then 'unfinished'
            when not is_enough then 'too little'
            when due_ratio + due_half < 1 and 100 * due_ratio < 100 - change_percent
                then 'labels late'
            when due_ratio - due_half > 1 and 100 * due_ratio > 100 + change_percent
                then 'backlog arriving'
            -- sales that had not begun may be late: what has come of them since says whether
            when usual_ratio + usual_half < 1 and 100 * usual_ratio < 100 - change_percent
                then
                case
                    when is_told and 100 * since_ratio < 100 - change_percent
                        then 'fewer returns'
                    else 'late or fewer'
                end
            when usual_ratio - usual_half > 1 and 100 * usual_ratio > 100 + change_percent
                then
                case
                    when is_told and 100 * since_ratio > 100 + change_percent
                        then 'more returns'
                    else 'early or more'
                end
            else 'as usual'
        end as finding
    from judged

),

final as (

    select
        source,
        marketplace,
        basis,
        week_start,
        is_complete,
        case when basis = 'sale' then line_count end as lines,
        return_count as observed_returns,
        round(expected_returns, 6) as expected_returns,
        usual_ratio as observed_to_expected,
        case when usual_ratio is not null then greatest(0, usual_ratio - usual_half) end
            as observed_to_expected_lo,
        usual_ratio + usual_half as observed_to_expected_hi,
        case when basis = 'sale' then round(expected_final, 6) end as expected_final_returns,
        case
            when basis = 'sale' then least(1, expected_returns / nullif(expected_final, 0))
            else share_arrived
        end as expected_share_arrived,
        since_ratio as observed_to_expected_since,
        begun_returns,
        round(begun_due, 6) as begun_due_returns,
        due_ratio as observed_to_due,
        case when due_ratio is not null then greatest(0, due_ratio - due_half) end
            as observed_to_due_lo,
        due_ratio + due_half as observed_to_due_hi,
        finding,
        finding in ('labels late', 'backlog arriving') as is_alarm,
        case finding
            when 'unfinished' then 'The week is not over.'
            when 'too little' then 'Too few returns were due to tell.'
            else
                concat(
                    case basis
                        when 'sale' then 'Of what was sold in this week '
                        else 'In this week '
                    end,
                    {{ whole_number_text('return_count') }}, ' returns came, ',
                    {{ whole_number_text('expected_returns') }},
                    ' at the usual rate and pace; of sales that had begun to come back ',
                    {{ whole_number_text('begun_returns') }}, ' came and ',
                    {{ whole_number_text('begun_due') }}, ' were due. ',
                    case finding
                        when 'labels late'
                            then 'Labels are late: do not read this as fewer returns.'
                        when 'backlog arriving'
                            then 'They come later than usual: what was late arrives now.'
                        when 'fewer returns'
                            then 'The pace was as usual: the return rate of these sales is lower.'
                        when 'more returns'
                            then 'The pace was as usual: the return rate of these sales is higher.'
                        when 'as usual' then 'All as usual.'
                        else
                            case
                                when is_told
                                    then concat(
                                        'By now ', {{ percent_text('since_ratio') }},
                                        ' % of the usual number has come of the same sales:',
                                        ' what is beyond that is their pace, not their rate.'
                                    )
                                when finding = 'late or fewer'
                                    then 'Late or fewer: it cannot be told before more has come.'
                                else 'Early or more: it cannot be told before more has come.'
                            end
                    end
                )
        end as sentence,
        as_of_date
    from found

)

select * from final
