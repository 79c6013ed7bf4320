with attributed as (

    select * from {{ ref('int_comparisons_attributed') }}

),

sources as (

    select * from {{ ref('int_sources') }}

),

named as (

    select
        attributed.*,
        sources.reporting_currency as currency,
        case
            when attributed.member <> 'unknown'
                then concat(
                    upper(substr(attributed.dimension, 1, 1)),
                    substr(attributed.dimension, 2),
                    ' ',
                    case
                        when attributed.dimension = 'seller' then attributed.member
                        else replace(attributed.member, '_', ' ')
                    end
                )
            when attributed.member_count = 1
                then concat('The whole shop (', attributed.dimension, ' unknown)')
            else concat('Unknown ', attributed.dimension)
        end as subject,
        {%- for side in ['base', 'current'] %}
        case
            when attributed.{{ side }}_lines_without_maturity = 0
                then
                attributed.{{ side }}_exposure_amount
                / nullif(attributed.{{ side }}_sales_amount, 0)
        end as {{ side }}_maturity,
        {%- for part in ['earlier', 'later'] %}
        attributed.{{ side }}_{{ part }}_amount / case attributed.measure
            when 'amount' then 1
            else attributed.{{ side }}_total_sales_amount
        end as {{ side }}_{{ part }}_value,
        {%- endfor %}
        {%- endfor %}
        concat(' ', sources.reporting_currency) as money_unit,
        case attributed.measure
            when 'amount' then concat(' ', sources.reporting_currency)
            else ' % of all sales'
        end as value_unit,
        case attributed.measure
            when 'amount' then concat(' ', sources.reporting_currency)
            else ' percentage points'
        end as change_unit
    from attributed
    left join sources
        on attributed.source = sources.source

),

-- how much, when, and why
phrased as (

    select
        *,
        {%- for period in ['current', 'base'] %}
        concat(
            case
                when {{ period }}_start = {{ period }}_end then 'on '
                when {{ period }}_period like '% to %' then 'from '
                else 'in '
            end,
            {{ period }}_period
        ) as in_{{ period }}_period,
        {%- endfor %}
        {{ measured_text('contribution') }} as contribution_text,
        {{ measured_text('total_change') }} as total_text,
        case driver
            when 'volume'
                then concat(
                    'total sales ',
                    {{ change_text('total_sales_amount', whole_number_text, 'money_unit') }}
                )
            when 'mix'
                then concat(
                    'its share of sales ', {{ change_text('share', percent_text, "' %'") }},
                    ' and ', {{ percent_text('mix_rate') }},
                    ' % of it comes back in the end (average ',
                    {{ percent_text('mix_average_rate') }}, ' %)'
                )
            when 'rate'
                then concat(
                    case
                        when current_lines_without_maturity = 0
                            then 'its final return rate by value '
                        else 'its return rate by value so far '
                    end,
                    {{ change_text('rate', percent_text, "' %'") }},
                    case
                        when current_maturity < 0.9995
                            then concat(
                                ' (projected: ', {{ percent_text('current_maturity') }},
                                ' % of the returns have come)'
                            )
                        else ''
                    end
                )
            when 'timing'
                then concat(
                    'of timing: returns of earlier ',
                    case when member = 'unknown' then 'or unknown ' else '' end, 'sales ',
                    {{ change_text('earlier_value', measured_text, 'value_unit') }},
                    ', and returns still to come at the end of the period ',
                    {{ change_text('later_value', measured_text, 'value_unit') }}
                )
        end as reason
    from named

),

worded as (

    select
        *,
        case
            when driver = 'residual'
                then concat(
                    case measure
                        when 'amount'
                            then concat(
                                {{ measured_text('current_value') }}, money_unit, ' came back '
                            )
                        else
                            concat(
                                'Returns were ',
                                {{ measured_text('current_value') }},
                                ' % of sales '
                            )
                    end,
                    in_current_period, ', ',
                    case
                        when total_text in ('0', '0.00') then 'as much as '
                        when total_change > 0 then concat(total_text, change_unit, ' more than ')
                        else concat(total_text, change_unit, ' less than ')
                    end,
                    in_base_period, '. By ', dimension, ': ',
                    case measure
                        when 'amount'
                            then concat('volume ', {{ signed_text('volume_contribution') }}, ', ')
                        else ''
                    end,
                    'mix ', {{ signed_text('mix_contribution') }}, ', rate ',
                    {{ signed_text('rate_contribution') }}, ', timing ',
                    {{ signed_text('timing_contribution') }}, change_unit, '.'
                )
            when contribution_text in ('0', '0.00')
                then concat(
                    subject, ': the effect of ', driver, ', ', current_period, ' against ',
                    base_period, ', is close to nothing.'
                )
            when measure = 'amount'
                then concat(
                    subject, ': ', contribution_text, change_unit,
                    case when contribution > 0 then ' more' else ' less' end, ' came back ',
                    in_current_period, ' than ', in_base_period, ' because ', reason, '.'
                )
            else
                concat(
                    subject, ' made the event-date return rate ', contribution_text, change_unit,
                    case when contribution > 0 then ' higher ' else ' lower ' end,
                    in_current_period, ' than ', in_base_period, ' because ', reason, '.'
                )
        end as sentence
    from phrased

),

final as (

    select
        source,
        comparison,
        current_start,
        current_end,
        base_start,
        base_end,
        current_period,
        base_period,
        is_latest,
        measure,
        dimension,
        driver,
        member,
        currency,
        cast(contribution as decimal(28, 10)) as contribution,
        cast(
            case
                when driver <> 'residual'
                    then
                    row_number() over (
                        partition by source, comparison, current_end, measure, dimension
                        order by
                            case driver when 'residual' then 2 else 1 end,
                            abs(contribution) desc,
                            driver,
                            member
                    )
            end as bigint
        ) as contribution_rank,
        cast(base_value as decimal(28, 10)) as base_value,
        cast(current_value as decimal(28, 10)) as current_value,
        cast(total_change as decimal(28, 10)) as total_change,
        {%- for fact, type in {
            'sales_amount': 'decimal(18, 4)',
            'share': 'double',
            'rate': 'double',
            'maturity': 'double',
            'returned_amount': 'decimal(18, 4)',
            'earlier_amount': 'decimal(18, 4)',
            'later_amount': 'decimal(18, 4)',
        }.items() %}
        {%- for side in ['base', 'current'] %}
        cast({{ side }}_{{ fact }} as {{ type }}) as {{ side }}_{{ fact }},
        {%- endfor %}
        {%- endfor %}
        sentence,
        as_of_date
    from worded

)

select * from final
