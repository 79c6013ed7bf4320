-- policy_return_costs: every row can hold somewhere, and nowhere do two of them

with policies as (

    select
        *,
        component || ' ' || marketplace || ' ' || category || ' ' || currency as example
    from {{ ref('policy_return_costs') }}

),

broken as (

    select
        'one row per component, marketplace, category and currency' as claim,
        example
    from policies
    group by example
    having count(*) > 1

    union all

    select
        'the component is one that return_costs knows' as claim,
        example
    from policies
    where
        component not in (
            {%- for component in return_cost_components() %}
            '{{ component }}'{% if not loop.last %},{% endif %}
            {%- endfor %}
        )

    union all

    select
        'amounts have a currency and shares have none' as claim,
        example
    from policies
    where
        basis not in ('per_returned_line', 'per_returned_unit', 'share_of_refund')
        or (basis = 'share_of_refund') <> (currency = '*')

    union all

    select
        'low is at most mid, and mid at most high' as claim,
        example
    from policies
    where low > mid or mid > high

    union all

    select
        'marketplaces and categories are written as the ledger writes them' as claim,
        example
    from policies
    where
        marketplace <> lower(trim(marketplace))
        or category <> lower(trim(category))

    union all

    select
        'every row is complete' as claim,
        component as example
    from policies
    where
        example is null
        or basis is null
        or low is null
        or mid is null
        or high is null
        or reference is null
        or reference_date is null
        or rationale is null

)

select * from broken
