-- What somebody should know of a model before using it, in one row.

{% set texts = {
    'return': {
        'purpose': 'How likely something of an order line comes back within the return window',
        'intended_use': 'To choose which lines to look at before shipping, and to add up to'
        ~ ' expected returns and costs; by people or rules that weigh what an action costs',
        'not_intended_use': 'To refuse a customer, set a price for a person or judge a seller;'
        ~ ' as a cause of returns',
        'limits': 'Knows what was known when the line was ordered, nothing of its delivery or of'
        ~ ' the product itself; new customers, products and sellers are taken to be usual ones; takes'
        ~ ' the level of the last days it was calibrated on for that of the days to come',
    },
    'churn': {
        'purpose': 'How likely a customer buys nothing for as long as horizon_days',
        'intended_use': 'To choose whom to write to, and to add up to expected customers',
        'not_intended_use': 'To end a relation or withhold a service',
        'limits': 'Knows purchases and returns only; guests are nobody; one horizon for all',
    },
    'value': {
        'purpose': 'How often and for how much a customer will buy',
        'intended_use': 'To compare groups of customers and to limit what winning one may cost',
        'not_intended_use': 'To forecast revenue by the day or to judge a single customer',
        'limits': 'Takes each customer to buy at a steady rate until stopping for good; no season',
    },
} -%}

with runs as (

    select * from {{ ref('model_runs') }}

),

backtests as (

    select * from {{ ref('model_backtests') }} where entity_type in ('all', 'own_models')

),

metrics as (

    select * from {{ ref('model_metrics') }} where entity_type in ('all', 'own_models')

),

{%- set figures = ['base_rate', 'roc_auc', 'pr_auc', 'brier', 'log_loss', 'calibration_error'] %}

-- what the version itself said of later rows
own as (

    select
        source,
        task,
        model,
        trained_on,
        {%- for figure in figures %}
        max(case when metric = '{{ figure }}' then value end) as {{ figure }},
        {%- endfor %}
        max(case when metric = 'roc_auc' then lo end) as roc_auc_lo,
        max(case when metric = 'roc_auc' then hi end) as roc_auc_hi,
        max(case when metric = 'pr_auc' then lo end) as pr_auc_lo,
        max(case when metric = 'pr_auc' then hi end) as pr_auc_hi,
        max(n) as tested_rows
    from backtests
    group by source, task, model, trained_on

),

-- what its kind said at all tests together: for the one of today, which nothing came after yet
of_kind as (

    select
        source,
        task,
        model,
        {%- for figure in figures %}
        max(case when metric = '{{ figure }}' then value end) as {{ figure }},
        {%- endfor %}
        max(case when metric = 'roc_auc' then lo end) as roc_auc_lo,
        max(case when metric = 'roc_auc' then hi end) as roc_auc_hi,
        max(case when metric = 'pr_auc' then lo end) as pr_auc_lo,
        max(case when metric = 'pr_auc' then hi end) as pr_auc_hi,
        max(n) as tested_rows
    from metrics
    group by source, task, model

),

leaks as (

    select
        source,
        task,
        count(*) as leak_checks,
        sum(case when has_passed then 1 else 0 end) as leak_checks_passed,
        max(case when not has_passed then check_name || ' ' || subject end) as leak_found
    from {{ ref('leak_checks') }}
    group by source, task

),

joined as (

    select
        runs.*,
        own.trained_on is not null as is_tested_itself,
        {%- for figure in figures + [
            'roc_auc_lo', 'roc_auc_hi', 'pr_auc_lo', 'pr_auc_hi', 'tested_rows'
        ] %}
        case when own.trained_on is not null then own.{{ figure }} else of_kind.{{ figure }} end
            as {{ figure }},
        {%- endfor %}
        coalesce(leaks.leak_checks, 0) as leak_checks,
        coalesce(leaks.leak_checks_passed, 0) as leak_checks_passed,
        leaks.leak_found
    from runs
    left join own
        on
            runs.source = own.source
            and runs.task = own.task
            and runs.model = own.model
            and runs.trained_on = own.trained_on
    left join of_kind
        on
            runs.source = of_kind.source
            and runs.task = of_kind.task
            and runs.model = of_kind.model
            and runs.trained_on = runs.as_of_date
    left join leaks
        on
            runs.source = leaks.source
            and runs.task = leaks.task

),

final as (

    select
        source,
        task,
        model,
        trained_on,
        model_version,
        {%- for text in ['purpose', 'intended_use', 'not_intended_use', 'limits'] %}
        case task
            {%- for task, said in texts.items() %}
            when '{{ task }}' then '{{ said[text] }}'
            {%- endfor %}
        end as {{ text }},
        {%- endfor %}
        status,
        reason,
        is_champion,
        has_signal,
        fit_from,
        fit_to,
        calibrated_on,
        fit_rows,
        cast(fit_positives as double) / nullif(fit_rows, 0) as fit_positive_rate,
        calibration_rows,
        calibration_intercept,
        calibration_slope,
        features,
        parameters,
        libraries,
        is_tested_itself,
        cast(tested_rows as bigint) as tested_rows,
        base_rate,
        roc_auc,
        roc_auc_lo,
        roc_auc_hi,
        pr_auc,
        pr_auc_lo,
        pr_auc_hi,
        brier,
        log_loss,
        calibration_error,
        cast(leak_checks as bigint) as leak_checks,
        cast(leak_checks_passed as bigint) as leak_checks_passed,
        leak_found,
        case
            when status = 'no model' then 'There is no model: ' || reason || '.'
            else
                case status
                    when 'kept' then 'No new model: ' || reason
                    when 'recalibrated'
                        then
                        'Recalibrated on ' || cast(trained_on as string) || ': it ' || reason
                    else 'Known on ' || cast(trained_on as string)
                end
                || case
                    when fit_rows is not null
                        then ', from ' || {{ whole_number_text('fit_rows') }} || ' rows'
                    else ''
                end
                || case
                    when roc_auc is null then '; no ranking was tested'
                    else
                        case
                            when is_tested_itself
                                then
                                '. Of ' || {{ whole_number_text('tested_rows') }}
                                || ' later rows it ranks'
                            else
                                '. Models trained the same way before it were tested on '
                                || {{ whole_number_text('tested_rows') }}
                                || ' later rows: they rank'
                        end
                        || ' one that came above one that did not in '
                        || {{ percent_text('roc_auc') }} || ' % of pairs'
                        || coalesce(
                            ' (' || {{ percent_text('roc_auc_lo') }} || ' to '
                            || {{ percent_text('roc_auc_hi') }} || ')',
                            ''
                        )
                        || ', 50 being chance'
                        || coalesce(
                            ', and the probabilities are off by '
                            || {{ percent_text('calibration_error') }} || ' points on average',
                            ''
                        )
                end
                || '. ' || cast(leak_checks_passed as string) || ' of '
                || cast(leak_checks as string) || ' leak checks of the ' || task
                || ' model passed.'
                || case when not coalesce(has_signal, true) then ' Do not act on it.' else '' end
        end as sentence,
        as_of_date
    from joined

)

select * from final
