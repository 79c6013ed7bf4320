-- How often each value of each feature occurs in each week, and in each of the last days: all that
-- a comparison needs, in a table whose size does not grow with the lines.

{%- set outcomes = ['deep_discount', 'late_delivery', 'rating'] %}
{%- set numbers = drift_numbers() | reject('in', outcomes) | list %}
{%- set shifts = drift_shifts() %}
{%- set shifted = shifts | map(attribute='feature') | list %}

with features as (

    select * from {{ ref('return_features') }}
    where coalesce(label_return_class, '') not in ('cancelled', 'undelivered')

),

reviews as (

    select * from {{ ref('int_reviews_resolved') }}

),

limits as (

    select
        {{ policy_value('drift_days') }} as judged_days,
        {{ policy_value('drift_deep_discount_percent') }} as deep_discount_percent,
        {{ policy_value('drift_delivery_wait_days') }} as delivery_wait_days,
        {{ policy_value('drift_cells_per_spread') }} as cells,
        {{ policy_value('drift_recent_weeks') }} as recent_weeks,
        {{ policy_value('drift_resamples') }} as resamples,
        {{ policy_value('drift_resample_lines') }} as resample_lines

),

origins as (

    select
        source,
        min(ordered_date) as first_date
    from features
    group by source

),

-- steps are those of the first half year, for ever: later lines change nothing that was counted
first_lines as (

    select features.*
    from features
    inner join origins
        on features.source = origins.source
    where {{ days_between('origins.first_date', 'features.ordered_date') }} < 182

),

quartiles as (

    select
        {%- for feature in numbers %}
        {%- set value = 'cast(cast(is_guest as int) as double)' if feature == 'is_guest'
            else 'cast(' ~ feature ~ ' as double)' %}
        {%- for quartile in [1, 2, 3] %}
        percentile_cont({{ quartile / 4 }}) within group (order by {{ value }})
            as {{ feature }}_{{ quartile }},
        {%- endfor %}
        stddev_pop({{ value }}) as {{ feature }}_deviation,
        {%- endfor %}
        source
    from first_lines
    group by source

),

spreads as (

    select
        {%- for feature in numbers %}
        coalesce({{ feature }}_2, 0) as {{ feature }}_median,
        {{ drift_spread(
            feature ~ '_1', feature ~ '_2', feature ~ '_3', feature ~ '_deviation'
        ) }} as {{ feature }}_spread,
        {%- endfor %}
        source
    from quartiles

),

grids as (

    select
        {%- for feature in numbers %}
        {{ feature }}_spread,
        round({{ feature }}_median / {{ feature }}_spread, 0) * {{ feature }}_spread
            as {{ feature }}_centre,
        {%- endfor %}
        source
    from spreads

),

-- a line counts in its week and, if it is of the last days, in its day
periods as (

    select
        features.*,
        'week' as period_grain,
        {{ week_start('features.ordered_date') }} as period_start,
        {{ dbt.dateadd('day', 6, week_start('features.ordered_date')) }} as period_end
    from features

    union all

    select
        features.*,
        'day' as period_grain,
        features.ordered_date as period_start,
        features.ordered_date as period_end
    from features
    cross join limits
    where
        {{ days_between('features.ordered_date', 'features.as_of_date') }} < limits.judged_days

),

-- as known when the period ends: late is what was promised by then and was not there; delivery
-- times are known later
monitored as (

    select
        periods.source,
        periods.order_line_id,
        periods.period_grain,
        periods.period_start,
        periods.as_of_date,
        periods.label_is_returned,
        periods.label_maturity,
        {%- for feature in drift_categories() %}
        periods.{{ feature }},
        {%- endfor %}
        {%- for feature in numbers if feature != 'is_guest' %}
        cast(periods.{{ feature }} as double) as {{ feature }},
        {%- endfor %}
        cast(cast(periods.is_guest as int) as double) as is_guest,
        {%- for feature in numbers %}
        {{ drift_cell(
            'cast(cast(periods.is_guest as int) as double)' if feature == 'is_guest'
            else 'cast(periods.' ~ feature ~ ' as double)',
            'grids.' ~ feature ~ '_centre', 'grids.' ~ feature ~ '_spread', 'limits.cells'
        ) }} as {{ feature }}_cell,
        {%- endfor %}
        case
            when 100 * periods.discount_share >= limits.deep_discount_percent then 1.0
            when periods.discount_share is not null then 0.0
        end as deep_discount,
        case
            when
                {{ days_between('periods.ordered_date', 'periods.period_end') }}
                >= periods.promised_days
                then case when coalesce(periods.is_late, true) then 1.0 else 0.0 end
        end as late_delivery,
        {{ days_between('periods.period_end', 'periods.as_of_date') }} >= limits.delivery_wait_days
            as is_delivery_known
    from periods
    inner join grids
        on periods.source = grids.source
    cross join limits

),

-- quiet data to try the alarms on: the last weeks whose deliveries are known ...
pooled as (

    select
        monitored.*,
        row_number() over (partition by monitored.source order by monitored.order_line_id) - 1
            as line_no,
        count(*) over (partition by monitored.source) as pool_lines,
        min(monitored.category) over (partition by monitored.source) as first_category
    from monitored
    cross join limits
    where
        monitored.period_grain = 'week'
        and monitored.is_delivery_known
        and {{ days_between('monitored.period_start', 'monitored.as_of_date') }}
        < 7 * limits.recent_weeks + limits.delivery_wait_days

),

pools as (

    select
        pooled.source,
        max(pooled.pool_lines) as pool_lines,
        max(limits.resamples * limits.resample_lines) as draws,
        max(limits.resample_lines) as resample_lines
    from pooled
    cross join limits
    group by pooled.source

),

numbered_draws as (

    select
        source,
        pool_lines,
        resample_lines,
        {{ each_number('0', 'draws') }} as draw_no
    from pools

),

-- ... drawn from again and again, with replacement
draws as (

    select
        source,
        cast(floor(draw_no / resample_lines) as int) as run_no,
        cast(
            floor(
                pool_lines * {{ hash_share("concat(source, ' drift ', cast(draw_no as string))") }}
            )
            as bigint
        ) as line_no
    from numbered_draws

),

drawn as (

    select
        pooled.*,
        {{ date_of('draws.run_no') }} as drawn_start
    from draws
    inner join pooled
        on
            draws.source = pooled.source
            and draws.line_no = pooled.line_no

),

{%- set columns = drift_categories() + ['deep_discount', 'late_delivery'] + numbers %}
{%- for feature in numbers %}
{%- do columns.append(feature ~ '_cell') %}
{%- endfor %}

laid_out as (

    {%- for period_grain, period_start, relation in [
        ('period_grain', 'period_start', 'monitored'),
        ("'pool'", "cast('2000-01-01' as date)", 'pooled'),
        ("'resample'", 'drawn_start', 'drawn'),
    ] %}

    select
        source,
        {{ period_grain }} as period_grain,
        {{ period_start }} as period_start,
        {%- for column in columns %}
        {{ column }},
        {%- endfor %}
        is_delivery_known
    from {{ relation }}
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

{%- for feature in shifted | unique %}

-- ... also after something happened, which has to be found
lines_of_{{ feature }} as (

    {%- set columns = ['source', 'period_grain', 'period_start', 'is_delivery_known', feature] %}
    {%- if feature in numbers %}
    {%- do columns.append(feature ~ '_cell') %}
    {%- endif %}

    select
        {{ columns | join(',\n        ') }}
    from laid_out

    union all

    select
        source,
        'shift pool' as period_grain,
        period_start,
        {{ columns[3:] | join(',\n        ') }}
    from laid_out
    where period_grain = 'pool'

    {%- for shift in shifts if shift.feature == feature %}
    {%- set shown = [shift.value ~ ' as ' ~ feature] %}
    {%- if feature in numbers %}
    {%- do shown.append(
        drift_cell(
            shift.value, 'grids.' ~ feature ~ '_centre', 'grids.' ~ feature ~ '_spread',
            'limits.cells'
        ) ~ ' as ' ~ feature ~ '_cell'
    ) %}
    {%- endif %}

    union all

    select
        drawn.source,
        '{{ shift.period_grain }}' as period_grain,
        drawn.drawn_start as period_start,
        drawn.is_delivery_known,
        {{ shown | join(',\n        ') }}
    from drawn
    inner join grids
        on drawn.source = grids.source
    cross join limits
    {%- endfor %}

),

{%- endfor %}

-- a step stands for the mean of the lines that fall into it
counted as (

    {%- for feature in numbers + ['deep_discount', 'late_delivery'] + drift_categories() %}
    {%- set is_number = feature not in drift_categories() %}
    {%- set cell = feature ~ '_cell' if feature in numbers else feature %}

    select
        source,
        period_grain,
        period_start,
        '{{ feature }}' as feature,
        {%- if feature in numbers %}
        'number' as kind,
        cast(sum(sum({{ exact(feature) }})) over (partition by source, {{ cell }}) as double)
        / sum(count({{ feature }})) over (partition by source, {{ cell }}) as value,
        cast(null as string) as member,
        {%- elif is_number %}
        'number' as kind,
        {{ feature }} as value,
        cast(null as string) as member,
        {%- else %}
        'category' as kind,
        cast(null as double) as value,
        {{ feature }} as member,
        {%- endif %}
        cast(count(*) as double) as lines,
        {{ 'cast(sum(' ~ exact(feature) ~ ') as double)' if is_number else 'cast(null as double)' }}
            as value_total
    from {{ 'lines_of_' ~ feature if feature in shifted else 'laid_out' }}
    {%- if feature == 'delivery_days' %}
    where is_delivery_known
    {%- elif feature in outcomes %}
    where {{ feature }} is not null
    {%- endif %}
    group by source, period_grain, period_start, {{ cell }}
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

-- ratings count when they are given
rated as (

    select
        source,
        'week' as period_grain,
        {{ week_start('reviewed_date') }} as period_start,
        rating
    from reviews

    union all

    select
        reviews.source,
        'day' as period_grain,
        reviews.reviewed_date as period_start,
        reviews.rating
    from reviews
    cross join limits
    where
        {{ days_between('reviews.reviewed_date', 'reviews.as_of_date') }} < limits.judged_days

),

-- what has come back, against what would have come of as many lines that all came back; in whole
-- 1024ths, of which doubles are added up exactly in any order
returned as (

    select
        source,
        period_grain,
        period_start,
        cast(sum(case when label_is_returned then 1 else 0 end) as double) as returned_lines,
        round(1024 * cast(sum({{ exact('label_maturity') }}) as double)) / 1024 as exposure
    from monitored
    where label_is_returned is not null
    group by source, period_grain, period_start
    having
        100 * sum(label_maturity)
        >= {{ policy_value('drift_min_maturity_percent') }} * count(*)

),

final as (

    select * from counted

    union all

    select
        source,
        period_grain,
        period_start,
        'rating' as feature,
        'number' as kind,
        cast(rating as double) as value,
        cast(null as string) as member,
        cast(count(*) as double) as lines,
        cast(rating as double) * count(*) as value_total
    from rated
    group by source, period_grain, period_start, rating

    union all

    {%- for value in ['1', '0'] %}

    select
        source,
        period_grain,
        period_start,
        'return_rate' as feature,
        'number' as kind,
        {{ value }}.0 as value,
        cast(null as string) as member,
        {%- if value == '1' %}
        least(returned_lines, exposure) as lines,
        least(returned_lines, exposure) as value_total
        {%- else %}
        greatest(exposure - returned_lines, 0) as lines,
        0.0 as value_total
        {%- endif %}
    from returned
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

)

select * from final
