-- How often each value of each feature occurs in each week, and in each of the last days: all that
-- a comparison needs, in a table whose size does not grow with the lines.

{%- set outcomes = ['late_delivery', 'rating'] %}

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
        {{ policy_value('drift_cells_per_sd') }} as cells_per_sd,
        {{ policy_value('drift_recent_weeks') }} as recent_weeks,
        {{ policy_value('drift_resamples') }} as resamples,
        {{ policy_value('drift_resample_lines') }} as resample_lines

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
        periods.*,
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
    cross join limits

),

-- whole numbers with a small spread and shares with few values stay as they are
steps as (

    select
        features.source,
    {%- for feature in drift_numbers() if feature not in outcomes + ['deep_discount'] %}
        {{ drift_step(
            'stddev_pop(cast(cast(features.' ~ feature ~ ' as int) as double))'
            if feature == 'is_guest'
            else 'stddev_pop(cast(features.' ~ feature ~ ' as double))',
            'max(limits.cells_per_sd)'
        ) }} as {{ feature }}_step
    {{- ',' if not loop.last }}
    {%- endfor %}
    from features
    cross join limits
    group by features.source

),

stepped as (

    select
        monitored.source,
        monitored.order_line_id,
        monitored.period_grain,
        monitored.period_start,
        monitored.as_of_date,
        {%- for feature in drift_categories() %}
        monitored.{{ feature }},
        {%- endfor %}
        {%- for feature in drift_numbers() if feature not in outcomes + ['deep_discount'] %}
        {%- set value = 'monitored.' ~ feature -%}
        {%- if feature == 'is_guest' -%}
        {%- set value = 'cast(monitored.is_guest as int)' -%}
        {%- endif %}
        cast(round({{ value }} / steps.{{ feature }}_step, 0) as bigint) as {{ feature }}_no,
        cast({{ value }} as double) as {{ feature }},
        steps.{{ feature }}_step,
        {%- endfor %}
        monitored.deep_discount,
        monitored.late_delivery,
        monitored.is_delivery_known
    from monitored
    inner join steps
        on monitored.source = steps.source

),

-- quiet data to try the alarms on: the last weeks whose deliveries are known ...
pooled as (

    select
        stepped.*,
        row_number() over (partition by stepped.source order by stepped.order_line_id) - 1
            as line_no,
        count(*) over (partition by stepped.source) as pool_lines,
        min(stepped.category) over (partition by stepped.source) as first_category
    from stepped
    cross join limits
    where
        stepped.period_grain = 'week'
        and stepped.is_delivery_known
        and {{ days_between('stepped.period_start', 'stepped.as_of_date') }}
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

{%- set columns = drift_categories() + ['deep_discount', 'late_delivery'] -%}
{%- for feature in drift_numbers() if feature not in outcomes + ['deep_discount'] -%}
{%- do columns.extend([feature ~ '_no', feature, feature ~ '_step']) -%}
{%- endfor %}

laid_out as (

    select
        source,
        period_grain,
        period_start,
        {%- for column in columns %}
        {{ column }},
        {%- endfor %}
        is_delivery_known,
        cast(null as string) as first_category
    from stepped

    union all

    select
        source,
        'pool' as period_grain,
        cast('2000-01-01' as date) as period_start,
        {%- for column in columns %}
        {{ column }},
        {%- endfor %}
        is_delivery_known,
        first_category
    from pooled

    union all

    select
        pooled.source,
        'resample' as period_grain,
        {{ date_of('draws.run_no') }} as period_start,
        {%- for column in columns %}
        pooled.{{ column }},
        {%- endfor %}
        pooled.is_delivery_known,
        pooled.first_category
    from draws
    inner join pooled
        on
            draws.source = pooled.source
            and draws.line_no = pooled.line_no

),

counted as (

    {%- for feature in drift_numbers() if feature not in outcomes + ['deep_discount'] %}

    select
        source,
        period_grain,
        period_start,
        '{{ feature }}' as feature,
        'number' as kind,
        cast({{ feature }}_no as double) * max({{ feature }}_step) as value,
        cast(null as string) as member,
        cast(count(*) as double) as lines,
        cast(sum({{ exact(feature) }}) as double) as value_total
    from laid_out
    {%- if feature == 'delivery_days' %}
    where is_delivery_known
    {%- endif %}
    group by source, period_grain, period_start, {{ feature }}_no

    union all
    {%- endfor %}
    {%- for feature in ['deep_discount', 'late_delivery'] %}

    select
        source,
        period_grain,
        period_start,
        '{{ feature }}' as feature,
        'number' as kind,
        {{ feature }} as value,
        cast(null as string) as member,
        cast(count(*) as double) as lines,
        cast(sum({{ feature }}) as double) as value_total
    from laid_out
    where {{ feature }} is not null
    group by source, period_grain, period_start, {{ feature }}

    union all
    {%- endfor %}
    {%- for feature in drift_categories() %}

    select
        source,
        period_grain,
        period_start,
        '{{ feature }}' as feature,
        'category' as kind,
        cast(null as double) as value,
        {{ feature }} as member,
        cast(count(*) as double) as lines,
        cast(null as double) as value_total
    from laid_out
    group by source, period_grain, period_start, {{ feature }}
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

-- the same draws after something happened: what has to be found
shifted as (

    {%- for shift in drift_shifts() %}

    select
        source,
        '{{ shift.period_grain }}' as period_grain,
        period_start,
        '{{ shift.feature }}' as feature,
        '{{ shift.kind }}' as kind,
        {%- if shift.kind == 'number' %}
        {{ shift.value }} as value,
        cast(null as string) as member,
        {%- else %}
        cast(null as double) as value,
        {{ shift.value }} as member,
        {%- endif %}
        cast(count(*) as double) as lines,
        cast(null as double) as value_total
    from laid_out
    where
        period_grain = 'resample'
        and {{ shift.feature }} is not null
    group by source, period_start, {{ shift.value }}
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

    select * from shifted

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
