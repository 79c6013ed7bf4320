with records as (

    select * from {{ ref('int_model_records') }} where record = 'promotion'

),

sources as (

    select * from {{ ref('int_sources') }}

),

-- who scores in place of the tables, if anybody: on the knowledge of the same days
rivals as (

    select
        source,
        task,
        max(model) as model
    from {{ ref('int_model_records') }}
    where record = 'run' and name = 'intercept' and model not in ('table', 'base_rate')
    group by source, task

),

decided as (

    select
        records.source,
        records.task,
        records.trained_on as decided_on,
        {%- for name in [
            'decision', 'trigger', 'reason', 'champion', 'challenger', 'recalibrated',
        ] %}
        max(case when records.name = '{{ name }}' then records.detail end) as {{ name }},
        {%- endfor %}
        {%- for name in ['slice_from', 'slice_to'] %}
        max(case when records.name = '{{ name }}' then cast(records.detail as date) end)
            as {{ name }},
        {%- endfor %}
        {%- for name in [
            'outcomes', 'score_drift', 'champion_log_loss', 'recalibrated_log_loss',
            'challenger_log_loss', 'champion_roc_auc', 'challenger_roc_auc',
        ] %}
        max(case when records.name = '{{ name }}' then records.value end) as {{ name }},
        {%- endfor %}
        {%- for name in [
            'observed_to_expected', 'recalibration_gain', 'gain', 'gain_over_recalibrated',
            'roc_auc_gain',
        ] %}
        max(case when records.name = '{{ name }}' then records.value end) as {{ name }},
        max(case when records.name = '{{ name }}' then records.lo end) as {{ name }}_lo,
        max(case when records.name = '{{ name }}' then records.hi end) as {{ name }}_hi,
        {%- endfor %}
        max(case when records.name = 'gain' then records.n end) as slice_lines
    from records
    group by records.source, records.task, records.trained_on

),

replayed as (

    select
        decided.*,
        extract(day from {{ dbt.dateadd('day', 1, 'decided.decided_on') }}) = 1 as is_month_end,
        case decided.decision
            when 'promoted' then decided.challenger
            when 'recalibrated' then decided.recalibrated
            else decided.champion
        end as in_use,
        rivals.model as rival,
        cast({{ policy_value('promotion_min_gain_permille') }} as double) / 1000 as min_gain,
        sources.as_of_date
    from decided
    inner join sources
        on decided.source = sources.source
    left join rivals
        on
            decided.source = rivals.source
            and decided.task = rivals.task
    where
        {{ month_index('sources.as_of_date') }} - {{ month_index('decided.decided_on') }}
        <= {{ policy_value('replay_months') }}

),

final as (

    select
        source,
        task,
        decided_on,
        is_month_end,
        coalesce(trigger, 'none') as trigger,
        decision,
        champion as champion_version,
        challenger as challenger_version,
        replace(recalibrated, 'table@', coalesce(rival, 'table') || '@') as recalibrated_version,
        replace(in_use, 'table@', coalesce(rival, 'table') || '@') as in_use_version,
        cast(outcomes as bigint) as new_outcomes,
        observed_to_expected,
        observed_to_expected_lo,
        observed_to_expected_hi,
        score_drift,
        slice_from,
        slice_to,
        cast(slice_lines as bigint) as slice_lines,
        champion_log_loss,
        recalibrated_log_loss,
        challenger_log_loss,
        recalibration_gain,
        recalibration_gain_lo,
        recalibration_gain_hi,
        gain as log_loss_gain,
        gain_lo as log_loss_gain_lo,
        gain_hi as log_loss_gain_hi,
        gain_over_recalibrated as log_loss_gain_over_recalibrated,
        gain_over_recalibrated_lo as log_loss_gain_over_recalibrated_lo,
        gain_over_recalibrated_hi as log_loss_gain_over_recalibrated_hi,
        min_gain as log_loss_min_gain,
        champion_roc_auc,
        challenger_roc_auc,
        roc_auc_gain,
        roc_auc_gain_lo,
        roc_auc_gain_hi,
        reason,
        case
            when decision = 'promoted' and champion is null
                then concat(challenger, ' is the first model: nothing stood against it.')
            when gain is not null
                then
                concat(
                    case decision
                        when 'promoted' then concat(challenger, ' took over from ', champion)
                        when 'recalibrated'
                            then concat(
                                champion, ' stayed with its level and slope fitted anew, as ',
                                recalibrated
                            )
                        else concat(champion, ' stayed as it is')
                    end,
                    ': on ', {{ whole_number_text('slice_lines') }},
                    ' lines of ', {{ period_text('slice_from', 'slice_to') }},
                    ', of which none had learnt the outcome, its log loss is ',
                    {{ nats_text('champion_log_loss') }}, '. A new level and slope gain ',
                    {{ nats_text('recalibration_gain') }}, ' (',
                    {{ nats_text('recalibration_gain_lo') }}, ' to ',
                    {{ nats_text('recalibration_gain_hi') }}, '); ', challenger, ' gains ',
                    {{ nats_text('gain') }}, ' (', {{ nats_text('gain_lo') }}, ' to ',
                    {{ nats_text('gain_hi') }}, '), beyond a new level and slope ',
                    {{ nats_text('gain_over_recalibrated') }}, ' (',
                    {{ nats_text('gain_over_recalibrated_lo') }}, ' to ',
                    {{ nats_text('gain_over_recalibrated_hi') }}, '), with a ROC-AUC of ',
                    {{ nats_text('challenger_roc_auc') }}, ' against ',
                    {{ nats_text('champion_roc_auc') }}, '. Enough is ',
                    {{ nats_text('min_gain') }}, ', and surely more than 0.'
                )
            when champion is null then concat('No model yet: ', reason, '.')
            else concat(champion, ' stayed: ', reason, '.')
        end
        || case
            when in_use is not null and rival is not null
                then
                ' Lines are scored by the ' || rival
                || ' model of the same day, which did better in the tests.'
            else ''
        end as sentence,
        as_of_date
    from replayed

)

select * from final
