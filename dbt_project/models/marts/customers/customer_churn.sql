{%- set drivers = ['recency', 'frequency', 'tenure', 'basket', 'returns'] -%}

with features as (

    select * from {{ ref('int_churn_features') }} where is_current

),

cut_offs as (

    select * from {{ ref('int_cut_offs') }} where is_current

),

segments as (

    select * from {{ ref('customer_segments') }}

),

policies as (

    select * from {{ ref('policy_churn_drivers') }}

),

sentences as (

    select
        driver,
        direction,
        max(sentence) as sentence
    from policies
    group by driver, direction

),

runs as (

    select
        source,
        max(case when is_champion then model end) as champion,
        max(case when is_champion then model_version end) as model_version,
        max(case when model = 'logistic' then calibration_intercept end) as calibration_intercept,
        max(case when model = 'logistic' then calibration_slope end) as calibration_slope
    from {{ ref('model_runs') }}
    where task = 'churn' and trained_on = as_of_date and status = 'fitted'
    group by source

),

coefficients as (

    select
        {%- for feature in churn_features() %}
        max(case when name = '{{ feature }}' then value / hi end) as {{ feature }}_weight,
        max(case when name = '{{ feature }}' then lo end) as {{ feature }}_centre,
        {%- endfor %}
        source,
        max(case when name = 'intercept' then value end) as intercept
    from {{ ref('ml_churn') }}
    where record = 'coefficient'
    group by source

),

forest as (

    select
        source,
        slice_id as customer_id,
        value as probability
    from {{ ref('ml_churn') }}
    where record = 'score'

),

-- calibrated log-odds of the logistic regression: what an average customer has, and what each
-- driver adds
contributed as (

    select
        features.source,
        features.customer_id,
        features.recency_days,
        features.purchase_day_count,
        features.p_alive,
        features.as_of_date,
        runs.champion,
        runs.model_version,
        {%- for driver in drivers %}
        runs.calibration_slope * (
            {%- for feature in churn_driver_features(driver) %}
            {% if not loop.first %}+ {% endif -%}
            coefficients.{{ feature }}_weight
            * (features.{{ feature }} - coefficients.{{ feature }}_centre)
            {%- endfor %}
        ) as {{ driver }}_contribution,
        {%- endfor %}
        runs.calibration_intercept + runs.calibration_slope * coefficients.intercept
            as base_log_odds
    from features
    inner join runs
        on features.source = runs.source
    inner join coefficients
        on features.source = coefficients.source

),

scored as (

    select
        contributed.*,
        1 / (
            1 + exp(-(
                contributed.base_log_odds
                {%- for driver in drivers %}
                + contributed.{{ driver }}_contribution
                {%- endfor %}
            ))
        ) as logistic_probability,
        greatest(
            {%- for driver in drivers %}
            abs(contributed.{{ driver }}_contribution){% if not loop.last %},{% endif %}
            {%- endfor %}
        ) as largest
    from contributed

),

-- the driver that moves the log-odds most, and the next; equal ones in the order of the list
first_drivers as (

    select
        *,
        case
            {%- for driver in drivers %}
            when abs({{ driver }}_contribution) = largest then '{{ driver }}'
            {%- endfor %}
        end as driver_1
    from scored

),

sized as (

    select
        *,
        greatest(
            {%- for driver in drivers %}
            case
                when driver_1 = '{{ driver }}' then -1.0 else abs({{ driver }}_contribution)
            end{% if not loop.last %},{% endif %}
            {%- endfor %}
        ) as second_largest
    from first_drivers

),

named as (

    select
        *,
        case
            {%- for driver in drivers %}
            when driver_1 <> '{{ driver }}' and abs({{ driver }}_contribution) = second_largest
                then '{{ driver }}'
            {%- endfor %}
        end as driver_2
    from sized

),

signed as (

    select
        *,
        case
            {%- for driver in drivers %}
            when driver_1 = '{{ driver }}' then {{ driver }}_contribution
            {%- endfor %}
        end as driver_1_contribution,
        case
            {%- for driver in drivers %}
            when driver_2 = '{{ driver }}' then {{ driver }}_contribution
            {%- endfor %}
        end as driver_2_contribution
    from named

),

final as (

    select
        signed.source,
        signed.customer_id,
        case
            when signed.champion = 'forest' then forest.probability
            else signed.logistic_probability
        end as churn_probability,
        signed.model_version,
        signed.logistic_probability,
        forest.probability as forest_probability,
        signed.p_alive as bg_nbd_p_alive,
        cut_offs.horizon_days,
        signed.recency_days,
        signed.purchase_day_count,
        signed.recency_days <= cut_offs.horizon_days as is_active,
        segments.segment_name,
        coalesce(segments.segment_name = 'Steady', false)
        and signed.recency_days <= cut_offs.horizon_days
        and 100 * case
            when signed.champion = 'forest' then forest.probability
            else signed.logistic_probability
        end >= {{ policy_value('churn_threshold_percent') }} as is_moving_to_inactive,
        signed.base_log_odds,
        {%- for driver in drivers %}
        signed.{{ driver }}_contribution,
        {%- endfor %}
        signed.driver_1,
        signed.driver_1_contribution,
        first_sentences.sentence as driver_1_sentence,
        signed.driver_2,
        signed.driver_2_contribution,
        second_sentences.sentence as driver_2_sentence,
        signed.as_of_date
    from signed
    inner join cut_offs
        on signed.source = cut_offs.source
    left join forest
        on
            signed.source = forest.source
            and signed.customer_id = forest.customer_id
    left join segments
        on
            signed.source = segments.source
            and signed.customer_id = segments.customer_id
    left join sentences as first_sentences
        on
            signed.driver_1 = first_sentences.driver
            and first_sentences.direction
            = case when signed.driver_1_contribution >= 0 then 'up' else 'down' end
    left join sentences as second_sentences
        on
            signed.driver_2 = second_sentences.driver
            and second_sentences.direction
            = case when signed.driver_2_contribution >= 0 then 'up' else 'down' end

)

select * from final
