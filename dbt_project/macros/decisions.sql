{#-
  What to do about order lines that may come back: a query with these columns of `lines` and

  - loss_if_returned: what the return of the whole line would cost,
  - expected_cost: return_probability times that,
  - margin_amount: what the line leaves if it is kept, never below 0,
  - best_action, best_gain, best_prevented_share, best_lost_sale_share, best_action_cost: the rule
    that gains most, or loses least; NULL where none is possible or nothing is known of costs,
  - best_least_gain: what it has to gain before it is done at all,
  - recommended_action: best_action where it gains that much and there is a signal, else ship; NULL
    for lines that the model has learnt from,
  - action_stage and expected_gain: until when it is possible (NULL for ship), and what it gains.

  gain = p * prevented * loss - (1 - p) * lost_sale * margin - cost of acting

  With is_best_asked=false the five columns of the best rule are left out, and of a line only the
  rules are examined that would gain enough for some rule to be done: the others decide nothing.

  `lines` needs source, marketplace, category, payment_method, quantity, ordered_amount, unit_cost
  (or NULL), return_probability, is_out_of_sample, has_signal, and every feature named below;
  `actions` and `rates` are marts.return_actions and marts.return_cost_rates, or some of their rows.
  Nothing here asks dbt for anything, so that tests can render it for rows of their own.
-#}
{% macro return_decisions(columns, lines, actions, rates, slots=12, is_best_asked=true) %}
{%- set features = [
    'has_size', 'same_product_variants', 'customer_return_rate',
    'customer_returned_lines_before', 'product_return_rate', 'ordered_amount', 'discount_share',
] -%}
{%- set facts = [
    'action', 'currency', 'categories', 'payment_methods', 'feature', 'at_least', 'prevented_share',
    'lost_sale_share', 'action_cost', 'least_gain', 'stage',
] -%}
    with
    -- one row, so that each of its values is a constant to whoever reads the lines
    rules as (

        select
            {%- for slot in range(1, slots + 1) %}
            {%- for fact in facts %}
            max(case when rule_number = {{ slot }} then {{ fact }} end) as {{ fact }}_{{ slot }},
            {%- endfor %}
            {%- endfor %}
            min(least_gain) as smallest_gain
        from {{ actions }}

    ),

    places as (

        select
            source,
            marketplace,
            category,
            cast(per_line as double) as per_line,
            cast(per_unit as double) as per_unit,
            cast(refund_share as double) as refund_share
        from {{ rates }}
        where marketplace <> '*'

    ),

    anywhere as (

        select
            source,
            currency,
            cast(per_line as double) as per_line,
            cast(per_unit as double) as per_unit,
            cast(refund_share as double) as refund_share,
            usual_margin_share
        from {{ rates }}
        where marketplace = '*'

    ),

    -- where nothing was sold before, the rates of all places together hold
    valued as (

        select
            {{ lines }}.*,
            anywhere.currency,
            round(
                coalesce(places.per_line, anywhere.per_line)
                + coalesce(places.per_unit, anywhere.per_unit) * {{ lines }}.quantity
                + coalesce(places.refund_share, anywhere.refund_share)
                * cast({{ lines }}.ordered_amount as double),
                4
            ) as loss,
            round(
                greatest(
                    coalesce(
                        cast({{ lines }}.ordered_amount as double)
                        - {{ lines }}.quantity * cast({{ lines }}.unit_cost as double),
                        cast({{ lines }}.ordered_amount as double) * anywhere.usual_margin_share
                    ),
                    0
                ),
                4
            ) as margin_if_kept
        from {{ lines }}
        left join anywhere
            on {{ lines }}.source = anywhere.source
        left join places
            on
                {{ lines }}.source = places.source
                and coalesce({{ lines }}.marketplace, 'unknown') = places.marketplace
                and coalesce({{ lines }}.category, 'unknown') = places.category

    ),

    -- what each rule would gain where it may be applied
    worths as (

        select
            valued.*,
            concat('|', valued.category, '|') as category_entry,
            concat('|', lower(valued.payment_method), '|') as payment_entry,
            rules.*
            {%- for slot in range(1, slots + 1) %},
            valued.return_probability * rules.prevented_share_{{ slot }} * valued.loss
            - (1 - valued.return_probability)
            * rules.lost_sale_share_{{ slot }} * valued.margin_if_kept
            - rules.action_cost_{{ slot }} as worth_{{ slot }}
            {%- endfor %}
        from valued
        cross join rules

    ),

    -- what is constant is asked first, words last
    gains as (

        select
            *
            {%- for slot in range(1, slots + 1) %},
            case
                when
                    action_{{ slot }} is not null
                    and (currency_{{ slot }} = '*' or currency_{{ slot }} = currency)
                    {%- if not is_best_asked %}
                    and worth_{{ slot }} > smallest_gain - 0.001
                    {%- endif %}
                    and (
                        feature_{{ slot }} = '*'
                        or case feature_{{ slot }}
                            {%- for feature in features %}
                            when '{{ feature }}' then cast({{ feature }} as double)
                            {%- endfor %}
                        end >= at_least_{{ slot }}
                    )
                    and (
                        categories_{{ slot }} = '*'
                        or instr(concat('|', categories_{{ slot }}, '|'), category_entry) > 0
                    )
                    and (
                        payment_methods_{{ slot }} = '*'
                        or instr(concat('|', payment_methods_{{ slot }}, '|'), payment_entry) > 0
                    )
                    then worth_{{ slot }}
            end as gain_{{ slot }}
            {%- endfor %}
        from worths

    ),

    best as (

        select
            *,
            greatest(
                {%- for slot in range(1, slots + 1) %}
                gain_{{ slot }}{{ '' if loop.last else ',' }}
                {%- endfor %}
            ) as largest_gain
        from gains

    ),

    -- the first rule wins a tie; what rounds to nothing is no gain
    numbered as (

        select
            *,
            round(largest_gain, 4) as gain,
            case largest_gain
                {%- for slot in range(1, slots + 1) %}
                when gain_{{ slot }} then {{ slot }}
                {%- endfor %}
            end as slot
        from best

    ),

    -- what gains next to nothing is not worth anybody's time, nor any faith in the shares
    chosen as (

        select
            *,
            has_signal
            and gain > 0
            and gain >= case slot
                {%- for slot in range(1, slots + 1) %}
                when {{ slot }} then least_gain_{{ slot }}
                {%- endfor %}
            end as is_chosen
        from numbered

    )

    select
        {%- for column in columns %}
        {{ column }},
        {%- endfor %}
        cast(loss as decimal(18, 4)) as loss_if_returned,
        cast(return_probability * loss as decimal(18, 4)) as expected_cost,
        cast(margin_if_kept as decimal(18, 4)) as margin_amount,
        {%- if is_best_asked %}
        {%- for fact in ['action', 'prevented_share', 'lost_sale_share', 'action_cost', 'least_gain'] %}
        case slot
            {%- for slot in range(1, slots + 1) %}
            when {{ slot }} then {{ fact }}_{{ slot }}
            {%- endfor %}
        end as best_{{ fact }},
        {%- endfor %}
        cast(gain as decimal(18, 4)) as best_gain,
        {%- endif %}
        case
            when not is_out_of_sample then cast(null as string)
            when is_chosen
                then
                    case slot
                        {%- for slot in range(1, slots + 1) %}
                        when {{ slot }} then action_{{ slot }}
                        {%- endfor %}
                    end
            else 'ship'
        end as recommended_action,
        case
            when is_out_of_sample and is_chosen
                then
                    case slot
                        {%- for slot in range(1, slots + 1) %}
                        when {{ slot }} then stage_{{ slot }}
                        {%- endfor %}
                    end
        end as action_stage,
        cast(
            case
                when not is_out_of_sample then null
                when is_chosen then gain
                else 0
            end as decimal(18, 4)
        ) as expected_gain
    from chosen
{% endmacro %}
