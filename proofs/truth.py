"""What really became of sales, from the generator's truth, in the ledger's terms."""

# sold lines: cancelled and undelivered ones sold nothing. A return that names only a product (those
# of guests in the third marketplace) can never be put on the account of a sale: is_traceable is
# false for the lines it belongs to.
SOLD_LINES = """
create or replace temp table sold_lines as
with refunds as (
    select line_id, sum(refund_amount_eur) as refund_amount
    from truth_return_truth
    group by line_id
)
select
    line_id,
    cast(ordered_at as date) as ordered_on,
    truth_line_truth.marketplace,
    category,
    quantity,
    net_amount_eur as net_amount,
    returned_units,
    coalesce(refund_amount, 0) as refund_amount,
    first_returned_at,
    (select return_shape from truth_world) = 'line'
    or truth_line_truth.marketplace != 'corner'
    or customer_id is not null as is_traceable
from truth_line_truth
left join refunds using (line_id)
where not is_cancelled and not is_undelivered
"""

# per day, entity and unit: what was sold, what of it came or will come back, and what of that can
# be traced to its sale
DAYS = """
create or replace temp table true_days as
with measured as (
    select
        ordered_on,
        marketplace,
        category,
        is_traceable,
        unnest(['lines', 'units', 'value']) as unit,
        unnest([1, quantity, net_amount::double]) as sold,
        unnest([(returned_units > 0)::int, returned_units, refund_amount::double]) as returned
    from sold_lines
),
placed as (
    select *, 'all' as entity_type, 'all' as entity_id from measured
    union all
    select *, 'marketplace', marketplace from measured
    union all
    select *, 'category', category from measured
)
select
    ordered_on,
    entity_type,
    entity_id,
    unit,
    sum(sold) as sold,
    sum(returned) as returned,
    sum(returned) filter (where is_traceable) as traceable
from placed
group by all
"""
