{% set counts = ['line_count', 'return_count', 'begun_returns'] -%}
{% set sums = ['expected_final', 'expected_returns', 'begun_due', 'begun_variance'] -%}

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

-- by the week of the sale and by the week in which returns came, of each marketplace and of all
placed as (

    {%- for basis in ['sale', 'arrival'] %}
    {%- for marketplace in ["marketplace", "'all'"] %}

    select
        source,
        {{ marketplace }} as marketplace,
        '{{ basis }}' as basis,
        {{ basis }}_week as week_start,
        {%- for name in counts %}
        cast(sum({{ name }}) as bigint) as {{ name }},
        {%- endfor %}
        {%- for name in sums %}
        cast(sum({{ name }}) as double) as {{ name }}
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from cells
    group by source, {{ 'marketplace, ' if loop.first }}{{ basis }}_week
    {%- if not (loop.last and basis == 'arrival') %}

    union all
    {%- endif %}
    {%- endfor %}
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
            when usual_ratio + usual_half < 1 and 100 * usual_ratio < 100 - change_percent
                then 'fewer returns'
            when usual_ratio - usual_half > 1 and 100 * usual_ratio > 100 + change_percent
                then 'more returns'
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
        greatest(0, usual_ratio - usual_half) as observed_to_expected_lo,
        usual_ratio + usual_half as observed_to_expected_hi,
        case when basis = 'sale' then round(expected_final, 6) end as expected_final_returns,
        case
            when basis = 'sale' then least(1, expected_returns / nullif(expected_final, 0))
        end as expected_share_arrived,
        begun_returns,
        round(begun_due, 6) as begun_due_returns,
        due_ratio as observed_to_due,
        greatest(0, due_ratio - due_half) as observed_to_due_lo,
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
                        when 'fewer returns' then 'The pace is as usual: the return rate is lower.'
                        when 'more returns' then 'The pace is as usual: the return rate is higher.'
                        else 'All as usual.'
                    end
                )
        end as sentence,
        as_of_date
    from found

)

select * from final
