-- Would a model per seller help? Each seller's log-odds are shifted by what its earlier lines
-- brought back beyond what the model had said of them, shrunk towards no shift by how much sellers
-- differ at all (empirical Bayes), and tested on the lines that the next model scored.

with tests as (

    select
        *,
        return_probability * (1 - return_probability) as variance
    from {{ ref('int_return_tests') }}
    where seller_id is not null

),

days as (

    select distinct
        source,
        trained_on
    from tests

),

-- what was known of each seller on the day of training
known as (

    select
        days.source,
        days.trained_on,
        tests.seller_id,
        count(*) as n,
        cast(sum(tests.came_back) as double) as came_back,
        cast(sum({{ exact('tests.return_probability') }}) as double) as said,
        cast(sum({{ exact('tests.variance') }}) as double) as variance
    from days
    inner join tests
        on
            days.source = tests.source
            and days.trained_on >= tests.known_on
    group by days.source, days.trained_on, tests.seller_id

),

-- one that all have in common is no seller's own
shifted as (

    select
        *,
        (came_back - said) / variance
        - cast(
            sum({{ exact('came_back - said') }}) over (partition by source, trained_on) as double
        )
        / cast(sum({{ exact('variance') }}) over (partition by source, trained_on) as double)
            as shift
    from known

),

with_enough as (

    select * from shifted where n >= {{ policy_value('return_seller_min_lines') }}

),

-- how much sellers differ beyond chance (DerSimonian, Laird 1986)
spreads as (

    select
        source,
        trained_on,
        count(*) as sellers,
        sum(n) as fit_rows,
        cast(sum({{ exact('variance') }}) as double) as weight,
        cast(sum({{ exact('variance * variance') }}) as double) as squared_weight,
        cast(sum({{ exact('variance * shift') }}) as double) as weighted_shift,
        cast(sum({{ exact('variance * shift * shift') }}) as double) as weighted_square
    from with_enough
    group by source, trained_on
    having count(*) > 1

),

taus as (

    select
        *,
        greatest(
            0,
            (weighted_square - weighted_shift * weighted_shift / weight - (sellers - 1))
            / (weight - squared_weight / weight)
        ) as tau_square
    from spreads

),

shrunk as (

    select
        with_enough.source,
        with_enough.trained_on,
        with_enough.seller_id,
        with_enough.shift * taus.tau_square / (taus.tau_square + 1 / with_enough.variance) as shift
    from with_enough
    inner join taus
        on
            with_enough.source = taus.source
            and with_enough.trained_on = taus.trained_on

),

said as (

    select
        tests.source,
        tests.trained_on,
        tests.ordered_date,
        tests.seller_id,
        tests.came_back,
        tests.log_odds as table_log_odds,
        tests.log_odds + shrunk.shift as seller_log_odds
    from tests
    inner join shrunk
        on
            tests.source = shrunk.source
            and tests.trained_on = shrunk.trained_on
            and tests.seller_id = shrunk.seller_id

),

-- each model by itself, and all together
scopes as (

    select
        *,
        cast(trained_on as string) as scope
    from said

    union all

    select
        *,
        'all' as scope
    from said

),

{%- set loss = 'ln(1 + exp(case when came_back = 1 then -{0} else {0} end))' %}

by_seller as (

    select
        source,
        scope,
        seller_id,
        max(trained_on) as trained_on,
        max(ordered_date) as tested_on,
        count(*) as n,
        cast(sum({{ exact(loss.format('table_log_odds')) }}) as double) as table_loss,
        cast(sum({{ exact(loss.format('seller_log_odds')) }}) as double) as seller_loss
    from scopes
    group by source, scope, seller_id

),

losses as (

    select
        source,
        scope,
        max(trained_on) as trained_on,
        max(tested_on) as tested_on,
        count(*) as sellers,
        cast(sum(n) as bigint) as n,
        cast(sum({{ exact('table_loss') }}) as double) / sum(n) as table_loss,
        cast(sum({{ exact('seller_loss') }}) as double) / sum(n) as seller_loss
    from by_seller
    group by source, scope

),

-- lines of one seller are right or wrong together: the interval is one of sellers
errors as (

    select
        losses.source,
        losses.scope,
        sqrt(
            cast(sum({{ exact(
                'power(by_seller.table_loss - by_seller.seller_loss'
                ~ ' - by_seller.n * (losses.table_loss - losses.seller_loss), 2)'
            ) }}) as double)
            * max(losses.sellers) / nullif(max(losses.sellers) - 1, 0)
        ) / max(losses.n) as error
    from losses
    inner join by_seller
        on
            losses.source = by_seller.source
            and losses.scope = by_seller.scope
    group by losses.source, losses.scope

),

cells as (

    {%- for kind in ['table', 'seller'] %}

    select
        source,
        scope,
        '{{ kind }}' as kind,
        cast(floor(1000 * {{ kind }}_log_odds) as int) as score_bin,
        count(*) as n,
        cast(sum(came_back) as bigint) as positives
    from scopes
    group by source, scope, cast(floor(1000 * {{ kind }}_log_odds) as int)
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

),

ranked as (

    select
        *,
        cast(sum(n - positives) over (
            partition by source, scope, kind order by score_bin
            rows between unbounded preceding and current row
        ) as double) - (n - positives) / 2 as negatives_below
    from cells

),

areas as (

    select
        source,
        scope,
        kind,
        cast(sum({{ exact('positives * negatives_below') }}) as double)
        / nullif(sum(positives) * sum(n - positives), 0) as roc_auc
    from ranked
    group by source, scope, kind

),

measured as (

    select
        losses.*,
        errors.error,
        of_table.roc_auc as table_auc,
        of_seller.roc_auc as seller_auc,
        levels.z
    from losses
    inner join errors
        on
            losses.source = errors.source
            and losses.scope = errors.scope
    inner join areas as of_table
        on
            losses.source = of_table.source
            and losses.scope = of_table.scope
            and of_table.kind = 'table'
    inner join areas as of_seller
        on
            losses.source = of_seller.source
            and losses.scope = of_seller.scope
            and of_seller.kind = 'seller'
    cross join {{ ref('policy_confidence_levels') }} as levels
    inner join {{ ref('policy_parameters') }} as parameters
        on
            levels.confidence_percent = parameters.value
            and parameters.policy_name = 'interval_confidence_percent'

),

{%- set figures = {
    'log_loss': ['seller_loss', 'null', 'null'],
    'log_loss_gain_over_table': [
        'table_loss - seller_loss', 'table_loss - seller_loss - z * error',
        'table_loss - seller_loss + z * error',
    ],
    'roc_auc': ['seller_auc', 'null', 'null'],
    'roc_auc_gain_over_table': ['seller_auc - table_auc', 'null', 'null'],
    'sellers': ['sellers', 'null', 'null'],
} %}

metrics as (

    {%- for name, parts in figures.items() %}

    select
        source,
        'metric' as record,
        trained_on,
        case when scope <> 'all' then tested_on end as tested_on,
        '{{ name }}' as name,
        {{ parts[0] }} as value,
        {{ parts[1] }} as lo,
        {{ parts[2] }} as hi,
        n,
        cast(null as string) as detail
    from measured
    where {{ parts[0] }} is not null

    union all
    {%- endfor %}

    select
        taus.source,
        'run' as record,
        taus.trained_on,
        cast(null as date) as tested_on,
        'parameters' as name,
        null as value,
        null as lo,
        null as hi,
        taus.fit_rows as n,
        cast(taus.sellers as string) || ' sellers whose log-odds differ by '
        || cast(cast(sqrt(taus.tau_square) as decimal(18, 3)) as string)
        || ' (standard deviation) beyond what the model says of them' as detail
    from taus

    union all

    select
        taus.source,
        'run' as record,
        taus.trained_on,
        cast(null as date) as tested_on,
        'fit_rows' as name,
        taus.fit_rows as value,
        null as lo,
        null as hi,
        taus.fit_rows as n,
        cast(null as string) as detail
    from taus

    union all

    select
        taus.source,
        'run' as record,
        taus.trained_on,
        cast(null as date) as tested_on,
        'status' as name,
        null as value,
        null as lo,
        null as hi,
        taus.fit_rows as n,
        'fitted' as detail
    from taus

    union all

    -- the verdict stands beside the last of them
    select
        source,
        'run' as record,
        trained_on,
        cast(null as date) as tested_on,
        'reason' as name,
        null as value,
        null as lo,
        null as hi,
        n,
        case
            when table_loss - seller_loss - z * error > 0
                then 'models per seller helped: log loss on later lines is better by '
            when table_loss - seller_loss + z * error < 0
                then 'models per seller did harm: log loss on later lines is better by '
            else 'models per seller made no sure difference: log loss on later lines is better by '
        end
        || cast(cast(table_loss - seller_loss as decimal(18, 5)) as string)
        || ' (' || cast(cast(table_loss - seller_loss - z * error as decimal(18, 5)) as string)
        || ' to ' || cast(cast(table_loss - seller_loss + z * error as decimal(18, 5)) as string)
        || '); not used' as detail
    from measured
    where scope = 'all'

),

final as (

    select
        source,
        record,
        'per_seller' as model,
        trained_on,
        tested_on,
        case when record = 'metric' then 'own_models' end as slice_type,
        case when record = 'metric' then 'all' end as slice_id,
        name,
        cast(value as double) as value,
        cast(lo as double) as lo,
        cast(hi as double) as hi,
        cast(n as bigint) as n,
        detail
    from metrics

)

select * from final
