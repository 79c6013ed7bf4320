-- The share of all returns that have come by each age: for each replayed day and stratum, partly
-- pooled with the level above. Completion at age a is the product of (1 - reversed hazard) over all
-- later ages.

with counts as (

    select * from {{ ref('int_completion_counts') }}

),

variations as (

    select * from {{ ref('int_delay_variation') }}

),

source_counts as (

    select * from counts
    where level = 0 and stratum_return_count >= {{ policy_value('completion_min_returns') }}

),

category_counts as (

    select * from counts where level = 1

),

country_counts as (

    select * from counts where level = 2

),

source_hazards as (

    select
        *,
        cast(0 as double) as prior_count,
        case
            when at_risk_count > 0 then cast(return_count as double) / at_risk_count else 0
        end as hazard
    from source_counts

),

stratum_1_hazards as (

    select
        category_counts.*,
        cast({{ policy_value('completion_pooling_returns') }} as double) as prior_count,
        {{ pooled_hazard('category_counts', 'source_hazards') }} as hazard
    from category_counts
    inner join source_hazards
        on
            category_counts.source = source_hazards.source
            and category_counts.as_of_date = source_hazards.as_of_date
            and category_counts.age_days = source_hazards.age_days

),

stratum_2_hazards as (

    select
        country_counts.*,
        cast({{ policy_value('completion_pooling_returns') }} as double) as prior_count,
        {{ pooled_hazard('country_counts', 'stratum_1_hazards') }} as hazard
    from country_counts
    inner join stratum_1_hazards
        on
            country_counts.source = stratum_1_hazards.source
            and country_counts.as_of_date = stratum_1_hazards.as_of_date
            and country_counts.stratum_1 = stratum_1_hazards.stratum_1
            and country_counts.age_days = stratum_1_hazards.age_days

),

hazards as (

    select * from source_hazards
    union all
    select * from stratum_1_hazards
    union all
    select * from stratum_2_hazards

),

-- the logarithm of each step and, by Greenwood's formula in reversed time, its variance
steps as (

    select
        *,
        hazard / (greatest(1 - hazard, 1e-12) * greatest(at_risk_count + prior_count, 1))
            as step_variance,
        ln(greatest(1 - hazard, 1e-12)) as step_logarithm
    from hazards

),

-- sums of logarithms from the last age down to the one after this
products as (

    select
        *,
        sum(step_logarithm) over (
            partition by source, as_of_date, level, stratum_1, stratum_2
            order by age_days desc
            rows between unbounded preceding and 1 preceding
        ) as log_completion,
        sum(step_variance) over (
            partition by source, as_of_date, level, stratum_1, stratum_2
            order by age_days desc
            rows between unbounded preceding and 1 preceding
        ) as log_variance
    from steps

),

completed as (

    select
        products.*,
        exp(coalesce(products.log_completion, 0)) as completion,
        coalesce(variations.delay_sd_days, 0) as delay_sd_days
    from products
    left join variations
        on
            products.source = variations.source
            and products.as_of_date = variations.as_of_date

),

neighboured as (

    select
        *,
        lead(completion, 1, completion) over (
            partition by source, as_of_date, level, stratum_1, stratum_2 order by age_days
        ) as next_completion,
        lag(completion, 1, 0) over (
            partition by source, as_of_date, level, stratum_1, stratum_2 order by age_days
        ) as previous_completion
    from completed

),

-- a week that is a day slower stands where the curve was a day ago
sloped as (

    select
        *,
        (next_completion - previous_completion) / 2 as slope
    from neighboured

),

final as (

    select
        source,
        as_of_date,
        level,
        stratum_1,
        stratum_2,
        age_days,
        return_count,
        at_risk_count,
        stratum_return_count,
        hazard,
        clump_size,
        delay_sd_days,
        cast(completion as decimal(9, 6)) as completion,
        cast(
            least(
                1,
                completion * sqrt(greatest(coalesce(log_variance, 0), 0) * clump_size)
            ) as decimal(9, 6)
        ) as completion_se,
        cast(
            least(
                1,
                sqrt(
                    completion * completion
                    * greatest(coalesce(log_variance, 0), 0) * clump_size
                    + slope * slope * delay_sd_days * delay_sd_days
                )
            ) as decimal(9, 6)
        ) as maturity_se
    from sloped

)

select * from final
