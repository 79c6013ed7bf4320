"""Independent recomputation of the Online Retail II figures from the raw file.

Uses none of the project's models: plain DuckDB SQL on the raw rows, and for the matching of credit
notes to sales a plain replay in Python. Money is exact (DECIMAL(18,4), decimal.Decimal), never
float.

    python tests/online_retail_check.py PATH    prints a readable summary
    compute(PATH) -> dict                       the figures; same input, same result
    compute(PATH, **ORDER)                      under another order where the rules leave it open
    all_customers(PATH) -> dict                 the RFM row of every customer

Months are 'YYYY-MM', dates datetime.date, units int, money Decimal. Keys of compute():

rows_read, amount_read
    int, Decimal: rows of the file and sum(quantity * price)
dispositions
    {disposition: {rows, amount}}, adds up to rows_read and amount_read. First match wins:
    excluded_code, excluded_bad_debt, excluded_write_off, excluded_zero_price, rejected_credit,
    credit, rejected_sale, sale
excluded_codes
    {product_id: {rows, amount}} of the rows excluded by their stock code
overlaps
    [{code, bad_debt, write_off, zero_price, credit_note, rows, amount}]: the same rows by which
    rules apply to them, whatever their order
as_of
    date of the newest sale or credit line
totals
    gross, net_by_event_date, net_by_sale_date, sale_lines, units_sold, credit_lines
returns
    total, matched, unmatched_guest, unmatched_known, unmatched: {units, value}, value being the
    credit's price * units (matched includes the excess); excess {pieces, sale_lines, value};
    refund = matched value - excess; pieces (credit line x sale line); credit_lines {fully,
    partly, not}: credit lines by how far they were matched
months, countries
    {key: {gross, units_sold, credit_units, credit_value, net_by_event_date, returned_units,
    refund, excess, net_by_sale_date}}. credit_* are all credits, under the month (country) of
    the credit note; returned_units, refund (without excess) and excess are the matched ones,
    under the month (country) of the sale
bridge
    {(credit month, sale month or None): {units, value}}, adds up to returns.total
customers, invoices, invoices_known
    int: known customers with a sale line; sale invoices; those of known customers
customers_credit_only
    int: customers with credits but without any sale line, not in customers
cohorts
    {cohort month: {size, active: {month_number: customers}}}; no zero cells
rfm
    {customer_id: row} of the 50 customers first by md5(customer_id)
recency, frequency, monetary
    {customer_id: int}, {customer_id: int}, {customer_id: Decimal} of every customer
rfm_totals
    sums over every customer
products
    {product_id: {units_sold, returned_units, gross, refund}} of products with a sale line
products_credit_only
    {product_id: credit units} of products without any
invoices_fully_returned
    sorted list of the sale invoices of which every unit of every line came back
facts
    counts of the rows that make a definition ambiguous

An RFM row: recency_days, frequency, monetary, units_sold, returned_units, return_rate (Fraction),
orders (all sale invoices), last_kept_date, gross, refund, cohort_month, all_returned (bool).
"""

import sys
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction

import duckdb

ZERO = Decimal("0.0000")
SAMPLE = 50

# ----------------------------------------------------------------------------------- the raw rows

# One row in, one row out; row_id is the position in the file. A cast that fails stops the run.
TYPED = """
create table typed as
select file_row_number                                             as row_id,
       trim("Invoice")                                             as invoice,
       upper(trim("StockCode"))                                    as product_id,
       cast("Quantity" as bigint)                                  as quantity,
       cast("InvoiceDate" as timestamp)                            as ts,
       cast("Price" as decimal(18, 4))                             as price,
       cast(cast("Quantity" as decimal(18, 0)) * cast("Price" as decimal(18, 4))
            as decimal(38, 4))                                     as amount,
       case when trim("Customer ID") in ('', '0') then null
            else trim("Customer ID") end                           as customer_id,
       trim("Country")                                             as country
from read_parquet($path, file_row_number = true)
"""

# The totals of the file, past every table made from it.
READ = """
select count(*),
       sum(cast("Quantity" as decimal(18, 0)) * cast("Price" as decimal(18, 4)))::decimal(38, 4)
from read_parquet($path)
"""

# Every rule on its own, so that their overlap can be counted, then the first that applies.
LEDGER = """
create table ledger as
with rules as (
    select *,
           product_id in ('POST', 'DOT', 'C2', 'C3', 'M', 'D', 'ADJUST', 'ADJUST2',
                          'BANK CHARGES', 'S', 'AMAZONFEE', 'B', 'GIFT')
               or starts_with(product_id, 'GIFT_')
               or starts_with(product_id, 'TEST')     as is_code,
           starts_with(invoice, 'A')                  as is_bad_debt,
           starts_with(invoice, 'C')                  as is_credit_note
    from typed
)
select *,
       quantity < 0 and not is_credit_note            as is_write_off,
       price = 0 and not is_credit_note               as is_zero_price,
       case when is_code                                       then 'excluded_code'
            when is_bad_debt                                   then 'excluded_bad_debt'
            when quantity < 0 and not is_credit_note           then 'excluded_write_off'
            when price = 0 and not is_credit_note              then 'excluded_zero_price'
            when is_credit_note and quantity >= 0             then 'rejected_credit'
            when is_credit_note                                then 'credit'
            when quantity <= 0 or price < 0                    then 'rejected_sale'
            else 'sale' end                           as disposition
from rules
"""

SALES = """
create table sales as
select row_id, invoice, product_id, customer_id, country, ts, strftime(ts, '%Y-%m') as month,
       quantity as units, price, amount as gross
from ledger where disposition = 'sale'
"""

# A credit note counts positively: units that came back, and what was paid back for them.
CREDITS = """
create table credits as
select row_id, invoice, product_id, customer_id, country, ts, strftime(ts, '%Y-%m') as month,
       -quantity as units, price, -amount as value
from ledger where disposition = 'credit'
"""

# ----------------------------------------------------------------------------------- the matching

# What the definition leaves open; the defaults are the choice, the others measure whether it
# matters.
ORDER = {
    "credit_price_descending": False,  # credits at one timestamp: lower price first
    "credit_row_descending": False,  # ... at one price: position in the file
    "sale_row_descending": False,  # sales at one timestamp and price: position in the file
    "sale_price_ascending": False,  # sales at one timestamp: highest price first
    "sale_before_same_time": True,  # a sale at the credit's own timestamp can be returned
}


def replay(sales, credits, order):
    """Match credits to earlier sales of the same customer and product, last in first out.

    sales:   [(row_id, customer_id, product_id, at, units, price, gross)]
    credits: [(row_id, customer_id, product_id, at, units, price)]
    Returns pieces [(credit_row, sale_row, units, value, refund)] and unmatched {credit_row: units}.
    refund = value cut to what the sale line has not yet given back; value - refund is the excess.
    """
    sold = defaultdict(list)
    for row, customer, product, at, units, price, gross in sales:
        if customer is not None:
            sold[customer, product].append(
                {"row": row, "at": at, "price": price, "units": units, "money": gross}
            )
    for lines in sold.values():
        # The order in which lines are taken: stable sorts, least significant key first.
        lines.sort(key=lambda s: s["row"], reverse=order["sale_row_descending"])
        lines.sort(key=lambda s: s["price"], reverse=not order["sale_price_ascending"])
        lines.sort(key=lambda s: s["at"], reverse=True)

    queue = sorted(credits, key=lambda c: c[0], reverse=order["credit_row_descending"])
    queue.sort(key=lambda c: c[5], reverse=order["credit_price_descending"])
    queue.sort(key=lambda c: c[3])

    pieces, unmatched = [], {}
    for row, customer, product, at, units, price in queue:
        left = units
        lines = sold.get((customer, product), []) if customer is not None else []
        for sale in lines:
            if left == 0:
                break
            in_time = sale["at"] <= at if order["sale_before_same_time"] else sale["at"] < at
            if not in_time or sale["units"] == 0:
                continue
            taken = min(left, sale["units"])
            value = price * taken
            refund = min(value, sale["money"])
            pieces.append((row, sale["row"], taken, value, refund))
            sale["units"] -= taken
            sale["money"] -= refund
            left -= taken
        if left:
            unmatched[row] = left
    return pieces, unmatched


# ------------------------------------------------------------------------------------ the figures

PIECES = """
create or replace table pieces as
select split_part(piece, ' ', 1)::bigint         as credit_row,
       split_part(piece, ' ', 2)::bigint         as sale_row,
       split_part(piece, ' ', 3)::bigint         as units,
       split_part(piece, ' ', 4)::decimal(38, 4) as value,
       split_part(piece, ' ', 5)::decimal(38, 4) as refund
from (select unnest(string_split($pieces, ',')) as piece)
where piece <> ''
"""

# One row per sale line, with what came back.
KEPT = """
create or replace table kept as
with back as (
    select sale_row, sum(units) as units, sum(value) as value, sum(refund) as refund
    from pieces group by sale_row
)
select s.*, coalesce(b.units, 0)::bigint as returned_units,
       coalesce(b.refund, 0)::decimal(38, 4) as refund,
       coalesce(b.value - b.refund, 0)::decimal(38, 4) as excess
from sales s left join back b on b.sale_row = s.row_id
"""

# {dim} is month or country; a key is there if it has a sale or a credit.
BY_DIMENSION = """
with s as (
    select {dim} as k, sum(gross) as gross, sum(units) as units_sold,
           sum(returned_units) as returned_units, sum(refund) as refund, sum(excess) as excess
    from kept group by {dim}
), c as (
    select {dim} as k, sum(units) as credit_units, sum(value) as credit_value
    from credits group by {dim}
)
select coalesce(s.k, c.k) as k,
       coalesce(gross, 0)::decimal(38, 4), coalesce(units_sold, 0)::bigint,
       coalesce(credit_units, 0)::bigint, coalesce(credit_value, 0)::decimal(38, 4),
       (coalesce(gross, 0) - coalesce(credit_value, 0))::decimal(38, 4),
       coalesce(returned_units, 0)::bigint, coalesce(refund, 0)::decimal(38, 4),
       coalesce(excess, 0)::decimal(38, 4),
       (coalesce(gross, 0) - coalesce(refund, 0))::decimal(38, 4)
from s full join c on s.k = c.k
order by 1
"""

# Every credited unit once: matched pieces by the sale's month, the rest with no sale month.
BRIDGE = """
with matched as (
    select c.month as credit_month, s.month as sale_month, p.units, p.value
    from pieces p join credits c on c.row_id = p.credit_row join sales s on s.row_id = p.sale_row
), used as (
    select credit_row, sum(units) as units, sum(value) as value from pieces group by credit_row
), rest as (
    select c.month, null::varchar as sale_month, c.units - coalesce(u.units, 0) as units,
           c.value - coalesce(u.value, 0) as value
    from credits c left join used u on u.credit_row = c.row_id
    where c.units > coalesce(u.units, 0)
)
select credit_month, sale_month, sum(units)::bigint, sum(value)::decimal(38, 4)
from (select * from matched union all select * from rest)
group by 1, 2 order by 1, 2 nulls last
"""

RETURN_TOTALS = """
with used as (
    select credit_row, sum(units) as units, sum(value) as value from pieces group by credit_row
), c as (
    select c.customer_id is null as is_guest, c.units, c.value,
           coalesce(u.units, 0) as m_units, coalesce(u.value, 0) as m_value
    from credits c left join used u on u.credit_row = c.row_id
)
select sum(units)::bigint, sum(value)::decimal(38, 4),
       sum(m_units)::bigint, sum(m_value)::decimal(38, 4),
       coalesce(sum(units - m_units) filter (where is_guest), 0)::bigint,
       coalesce(sum(value - m_value) filter (where is_guest), 0)::decimal(38, 4),
       coalesce(sum(units - m_units) filter (where not is_guest), 0)::bigint,
       coalesce(sum(value - m_value) filter (where not is_guest), 0)::decimal(38, 4),
       count(*) filter (where m_units = units),
       count(*) filter (where m_units > 0 and m_units < units),
       count(*) filter (where m_units = 0)
from c
"""

# month_number = calendar months since the cohort month; active = at least one sale line in the
# month.
COHORTS = """
with firsts as (
    select customer_id, min(ts) as first_at
    from sales where customer_id is not null group by customer_id
), active as (
    select distinct customer_id, year(ts) * 12 + month(ts) as m
    from sales where customer_id is not null
)
select strftime(f.first_at, '%Y-%m'), (a.m - (year(f.first_at) * 12 + month(f.first_at)))::int,
       count(*)
from firsts f join active a on a.customer_id = f.customer_id
group by 1, 2 order by 1, 2
"""

# An invoice is fully returned if every unit of every line of it was matched to credits. The date
# of an invoice is its first timestamp's; no invoice spans two days (facts.invoices_two_dates).
ORDERS = """
create or replace table orders as
select invoice, customer_id, min(ts)::date as ordered_on, sum(units)::bigint as units,
       bool_and(returned_units = units) as is_fully_returned
from kept group by invoice, customer_id
"""

# $as_of is the newest date of any sale or credit; the look-back of 24 months holds the whole
# file.
RFM = """
with o as (
    select customer_id, count(*) as orders,
           count(*) filter (where not is_fully_returned) as frequency,
           coalesce(max(ordered_on) filter (where not is_fully_returned),
                    max(ordered_on)) as last_kept
    from orders where customer_id is not null group by customer_id
), l as (
    select customer_id, sum(gross) as gross, sum(refund) as refund, sum(units) as units,
           sum(returned_units) as returned_units, strftime(min(ts), '%Y-%m') as cohort_month
    from kept where customer_id is not null group by customer_id
)
select o.customer_id, date_diff('day', o.last_kept, $as_of::date), o.frequency,
       (l.gross - l.refund)::decimal(38, 4), l.units::bigint, l.returned_units::bigint, o.orders,
       o.last_kept, l.gross::decimal(38, 4), l.refund::decimal(38, 4),
       l.cohort_month, o.frequency = 0
from o join l on l.customer_id = o.customer_id
order by md5(o.customer_id), o.customer_id
"""

PRODUCTS = """
select product_id, sum(units)::bigint, sum(returned_units)::bigint, sum(gross)::decimal(38, 4),
       sum(refund)::decimal(38, 4)
from kept group by product_id order by product_id
"""

# Which units are matched does not depend on last in first out: of one customer and product the
# unmatched units are the largest lead that the running credits ever had over the running sales
# (sales first at one timestamp).
UNMATCHED_WITHOUT_REPLAY = """
with events as (
    select customer_id, product_id, ts, 0 as is_credit, units from sales
    union all select customer_id, product_id, ts, 1, units from credits
), running as (
    select customer_id, product_id,
           sum(case is_credit when 1 then units else -units end)
               over (partition by customer_id, product_id
                     order by ts, is_credit range unbounded preceding) as lead_units
    from events where customer_id is not null
)
select coalesce(sum(greatest(m, 0)), 0)::bigint
from (select max(lead_units) as m from running group by customer_id, product_id)
"""

# A sale line's excess is what its credits exceed it by, however they are cut into pieces.
WRONG_SALE_LINES = """
with back as (
    select sale_row, sum(units) as units, sum(value) as value from pieces group by sale_row
)
select count(*)
from kept k join back b on b.sale_row = k.row_id
where b.units > k.units
   or k.refund <> least(k.gross, b.value)
   or k.excess <> greatest(0, b.value - k.gross)
"""

# A piece joins one customer, one product, and no later sale.
WRONG_PIECES = """
select count(*)
from pieces p
left join credits c on c.row_id = p.credit_row
left join sales s on s.row_id = p.sale_row
where (c.customer_id = s.customer_id and c.product_id = s.product_id and s.ts <= c.ts
       and p.units > 0 and p.value = c.price * p.units) is not true
"""

# Counts of what makes a definition ambiguous; each is one number.
FACTS = {
    "duplicate_extra_rows": """
        select count(*) - (select count(*) from (
            select distinct invoice, product_id, quantity, ts, price, customer_id, country
            from ledger)) from ledger""",
    "duplicate_extra_sale_lines": """
        select count(*) - (select count(*) from (
            select distinct invoice, product_id, units, ts, price, customer_id, country
            from sales)) from sales""",
    "duplicate_extra_credit_lines": """
        select count(*) - (select count(*) from (
            select distinct invoice, product_id, units, ts, price, customer_id, country
            from credits)) from credits""",
    "prices_below_a_cent_sale_lines": "select count(*) from sales where price <> round(price, 2)",
    "prices_below_a_cent_amount": """
        select coalesce(sum(gross), 0) from sales where price <> round(price, 2)""",
    "sale_lines_not_in_whole_cents": "select count(*) from sales where gross <> round(gross, 2)",
    "sale_invoices_two_timestamps": """
        select count(*) from (select invoice from sales group by 1
        having count(distinct ts) > 1)""",
    "sale_lines_of_two_timestamp_invoices": """
        select count(*) from sales where invoice in
        (select invoice from sales group by 1 having count(distinct ts) > 1)""",
    "invoices_two_dates": """
        select count(*) from (select invoice from sales group by 1
        having count(distinct ts::date) > 1)""",
    "credit_invoices_two_timestamps": """
        select count(*) from (select invoice from credits group by 1
        having count(distinct ts) > 1)""",
    "invoices_two_customers": """
        select count(*) from (select invoice from sales group by 1
        having count(distinct coalesce(customer_id, '')) > 1)""",
    "invoices_two_countries": """
        select count(*) from (select invoice from sales group by 1
        having count(distinct country) > 1)""",
    "customers_two_countries": """
        select count(*) from (select customer_id from (
            select customer_id, country from sales
            union all select customer_id, country from credits) where customer_id is not null
        group by 1 having count(distinct country) > 1)""",
    "pieces_other_country_than_sale": """
        select count(*) from pieces p join credits c on c.row_id = p.credit_row
        join sales s on s.row_id = p.sale_row where c.country <> s.country""",
    "pieces_price_differs": """
        select count(*) from pieces p join credits c on c.row_id = p.credit_row
        join sales s on s.row_id = p.sale_row where c.price <> s.price""",
    "pieces_price_higher": """
        select count(*) from pieces p join credits c on c.row_id = p.credit_row
        join sales s on s.row_id = p.sale_row where c.price > s.price""",
    "pieces_same_timestamp": """
        select count(*) from pieces p join credits c on c.row_id = p.credit_row
        join sales s on s.row_id = p.sale_row where c.ts = s.ts""",
    "pieces_same_timestamp_units": """
        select coalesce(sum(p.units), 0)::bigint
        from pieces p join credits c on c.row_id = p.credit_row
        join sales s on s.row_id = p.sale_row where c.ts = s.ts""",
    # Sale lines of one customer and product at one timestamp: which of them is returned?
    "tied_sale_groups": """
        select count(*) from (select 1 from sales where customer_id is not null
        group by customer_id, product_id, ts having count(*) > 1)""",
    "tied_sale_lines": """
        select coalesce(sum(n), 0)::bigint from (
        select count(*) as n from sales where customer_id is not null
        group by customer_id, product_id, ts having count(*) > 1)""",
    "tied_sale_groups_two_prices": """
        select count(*) from (select 1 from sales where customer_id is not null
        group by customer_id, product_id, ts having count(distinct price) > 1)""",
    "tied_sale_groups_two_invoices": """
        select count(*) from (select 1 from sales where customer_id is not null
        group by customer_id, product_id, ts having count(distinct invoice) > 1)""",
    # ... of these, the ones where some but not all units came back: only there the choice shows.
    "tied_sale_groups_partly_returned": """
        select count(*) from (select 1 from kept where customer_id is not null
        group by customer_id, product_id, ts
        having count(*) > 1 and sum(returned_units) between 1 and sum(units) - 1)""",
    "tied_sale_groups_partly_returned_two_prices": """
        select count(*) from (select 1 from kept where customer_id is not null
        group by customer_id, product_id, ts
        having count(distinct price) > 1 and sum(returned_units) between 1 and sum(units) - 1)""",
    "tied_sale_groups_partly_returned_two_invoices": """
        select count(*) from (select 1 from kept where customer_id is not null
        group by customer_id, product_id, ts
        having count(distinct invoice) > 1 and sum(returned_units) between 1 and sum(units) - 1)""",
    # Credits of one customer and product at one timestamp: which of them goes first?
    "tied_credit_groups": """
        select count(*) from (select 1 from credits where customer_id is not null
        group by customer_id, product_id, ts having count(*) > 1)""",
    "tied_credit_lines": """
        select coalesce(sum(n), 0)::bigint from (
        select count(*) as n from credits where customer_id is not null
        group by customer_id, product_id, ts having count(*) > 1)""",
    "tied_credit_groups_two_prices": """
        select count(*) from (select 1 from credits where customer_id is not null
        group by customer_id, product_id, ts having count(distinct price) > 1)""",
    # Credits that find nothing: guests, products the customer never bought in the file, or only
    # bought later.
    "credit_lines_price_zero_or_less": "select count(*) from credits where price <= 0",
    "guest_credit_lines": "select count(*) from credits where customer_id is null",
    "known_credit_lines_no_sale_ever": """
        select count(*) from credits c where customer_id is not null and not exists
        (select 1 from sales s where s.customer_id = c.customer_id
         and s.product_id = c.product_id)""",
    "known_credit_lines_only_later_sales": """
        select count(*) from (select c.row_id, min(s.ts) as first_sale, any_value(c.ts) as credit_at
        from credits c join sales s on s.customer_id = c.customer_id and s.product_id = c.product_id
        group by c.row_id) where first_sale > credit_at""",
    "known_credit_lines_only_later_sales_same_day": """
        select count(*) from (select c.row_id, min(s.ts) as first_sale, any_value(c.ts) as credit_at
        from credits c join sales s on s.customer_id = c.customer_id and s.product_id = c.product_id
        group by c.row_id) where first_sale > credit_at and first_sale::date = credit_at::date""",
    "odd_product_codes_sale_lines": """
        select count(*) from sales where not regexp_full_match(product_id, '[0-9]{5}[A-Z]*')""",
    "stock_codes_with_two_spellings": """
        select count(*) from (select upper(trim("StockCode")) from read_parquet($path) group by 1
        having count(distinct "StockCode") > 1)""",
}


def _load(path):
    """The ledger in a fresh in-memory database."""
    con = duckdb.connect()
    con.execute(TYPED, {"path": str(path)})
    for statement in (LEDGER, SALES, CREDITS):
        con.execute(statement)
    return con


# Only sales that a credit could ask for: the same known customer and product.
CANDIDATES = """
select row_id, customer_id, product_id, ts, units, price, gross from sales
where (customer_id, product_id) in
      (select (customer_id, product_id) from credits where customer_id is not null)
order by row_id
"""


def _match(con, order):
    """Replay the credits and store what came back; returns the unmatched units by credit line."""
    sales = con.execute(CANDIDATES).fetchall()
    credits = con.execute(
        "select row_id, customer_id, product_id, ts, units, price from credits order by row_id"
    ).fetchall()
    pieces, unmatched = replay(sales, credits, {**ORDER, **order})
    con.execute(PIECES, {"pieces": ",".join(" ".join(map(str, piece)) for piece in pieces)})
    con.execute(KEPT)
    con.execute(ORDERS)
    return unmatched


def _rfm_rows(con, as_of):
    names = (
        "recency_days",
        "frequency",
        "monetary",
        "units_sold",
        "returned_units",
        "orders",
        "last_kept_date",
        "gross",
        "refund",
        "cohort_month",
        "all_returned",
    )
    rows = {}
    for customer, *values in con.execute(RFM, {"as_of": as_of}).fetchall():
        row = dict(zip(names, values, strict=True))
        row["return_rate"] = Fraction(row["returned_units"], row["units_sold"])
        rows[customer] = row
    return rows


def _as_of(con):
    return con.execute(
        """select max(ts)::date from ledger where disposition in ('sale', 'credit')"""
    ).fetchone()[0]


def all_customers(path, **order):
    """The RFM row of every customer with a sale line, in the order of md5(customer_id)."""
    con = _load(path)
    try:
        _match(con, order)
        return _rfm_rows(con, _as_of(con))
    finally:
        con.close()


def compute(path, **order):
    """Every figure; see the top of the file for the keys."""
    unknown = set(order) - set(ORDER)
    if unknown:
        raise TypeError(f"unknown order: {sorted(unknown)}; known: {sorted(ORDER)}")
    con = _load(path)
    try:
        unmatched = _match(con, order)
        result = _figures(con)
        result["rows_read"], result["amount_read"] = con.execute(
            READ, {"path": str(path)}
        ).fetchone()
        result["facts"] = _facts(con, str(path))
        _check(con, result, unmatched)
    finally:
        con.close()
    return result


def _figures(con):
    def rows(sql, **parameters):
        return con.execute(sql, parameters or None).fetchall()

    def one(sql, **parameters):
        return rows(sql, **parameters)[0]

    out = {}
    names = (
        "excluded_code",
        "excluded_bad_debt",
        "excluded_write_off",
        "excluded_zero_price",
        "rejected_credit",
        "rejected_sale",
        "credit",
        "sale",
    )
    out["dispositions"] = {name: {"rows": 0, "amount": ZERO} for name in names}
    for name, n, amount in rows(
        "select disposition, count(*), sum(amount)::decimal(38, 4) from ledger group by 1"
    ):
        out["dispositions"][name] = {"rows": n, "amount": amount}
    out["excluded_codes"] = {
        code: {"rows": n, "amount": amount}
        for code, n, amount in rows(
            """select product_id, count(*), sum(amount)::decimal(38, 4) from ledger
           where disposition = 'excluded_code' group by 1 order by 1"""
        )
    }
    keys = ("code", "bad_debt", "write_off", "zero_price", "credit_note", "rows", "amount")
    out["overlaps"] = [
        dict(zip(keys, row, strict=True))
        for row in rows(
            """select is_code, is_bad_debt, is_write_off, is_zero_price, is_credit_note, count(*),
                  sum(amount)::decimal(38, 4)
           from ledger group by 1, 2, 3, 4, 5 order by 1, 2, 3, 4, 5"""
        )
    ]
    out["as_of"] = _as_of(con)

    gross, sale_lines, units_sold, refund, excess, excess_lines = one(
        """select sum(gross)::decimal(38, 4), count(*), sum(units)::bigint,
                  sum(refund)::decimal(38, 4), sum(excess)::decimal(38, 4),
                  count(*) filter (where excess > 0) from kept"""
    )
    (units, value, m_units, m_value, g_units, g_value, k_units, k_value, full, part, none) = one(
        RETURN_TOTALS
    )
    pieces, excess_pieces = one(
        "select count(*), count(*) filter (where value > refund) from pieces"
    )
    out["totals"] = {
        "gross": gross,
        "net_by_event_date": gross - value,
        "net_by_sale_date": gross - refund,
        "sale_lines": sale_lines,
        "units_sold": units_sold,
        "credit_lines": out["dispositions"]["credit"]["rows"],
    }
    out["returns"] = {
        "total": {"units": units, "value": value},
        "matched": {"units": m_units, "value": m_value},
        "unmatched": {"units": g_units + k_units, "value": g_value + k_value},
        "unmatched_guest": {"units": g_units, "value": g_value},
        "unmatched_known": {"units": k_units, "value": k_value},
        "excess": {"pieces": excess_pieces, "sale_lines": excess_lines, "value": excess},
        "refund": refund,
        "pieces": pieces,
        "credit_lines": {"fully": full, "partly": part, "not": none},
    }

    keys = (
        "gross",
        "units_sold",
        "credit_units",
        "credit_value",
        "net_by_event_date",
        "returned_units",
        "refund",
        "excess",
        "net_by_sale_date",
    )
    out["months"] = {
        k: dict(zip(keys, v, strict=True)) for k, *v in rows(BY_DIMENSION.format(dim="month"))
    }
    out["countries"] = {
        k: dict(zip(keys, v, strict=True)) for k, *v in rows(BY_DIMENSION.format(dim="country"))
    }
    out["bridge"] = {(c, s): {"units": u, "value": v} for c, s, u, v in rows(BRIDGE)}

    out["customers"], out["invoices"], out["invoices_known"] = one(
        """select count(distinct customer_id), count(distinct invoice),
                  count(distinct invoice) filter (where customer_id is not null) from sales"""
    )
    out["customers_credit_only"] = one(
        """select count(distinct customer_id) from credits where customer_id is not null
           and customer_id not in (select customer_id from sales where customer_id is not null)"""
    )[0]

    out["cohorts"] = {}
    for cohort, number, customers in rows(COHORTS):
        out["cohorts"].setdefault(cohort, {"size": 0, "active": {}})["active"][number] = customers
    for cohort, size in rows(
        """select strftime(first_at, '%Y-%m'), count(*) from (select min(ts) as first_at from sales
               where customer_id is not null group by customer_id) group by 1"""
    ):
        out["cohorts"][cohort]["size"] = size

    everyone = _rfm_rows(con, out["as_of"])
    out["rfm"] = dict(list(everyone.items())[:SAMPLE])
    out["recency"] = {c: r["recency_days"] for c, r in sorted(everyone.items())}
    out["frequency"] = {c: r["frequency"] for c, r in sorted(everyone.items())}
    out["monetary"] = {c: r["monetary"] for c, r in sorted(everyone.items())}
    out["rfm_totals"] = {
        "customers": len(everyone),
        **{
            k: sum(r[k] for r in everyone.values())
            for k in (
                "recency_days",
                "frequency",
                "monetary",
                "units_sold",
                "returned_units",
                "orders",
                "all_returned",
            )
        },
    }

    keys = ("units_sold", "returned_units", "gross", "refund")
    out["products"] = {k: dict(zip(keys, v, strict=True)) for k, *v in rows(PRODUCTS)}
    out["products_credit_only"] = dict(
        rows(
            """select product_id, sum(units)::bigint from credits
           where product_id not in (select product_id from sales) group by 1 order by 1"""
        )
    )
    out["invoices_fully_returned"] = [
        r[0] for r in rows("select invoice from orders where is_fully_returned order by 1")
    ]
    return out


def _facts(con, path):
    def count(sql):
        return con.execute(sql, {"path": path} if "$path" in sql else None).fetchone()[0]

    return {name: count(sql) for name, sql in FACTS.items()}


def _check(con, r, unmatched):
    """Identities that hold whatever the data are."""
    returns, totals = r["returns"], r["totals"]
    assert sum(d["rows"] for d in r["dispositions"].values()) == r["rows_read"]
    assert sum(d["amount"] for d in r["dispositions"].values()) == r["amount_read"]
    assert sum(o["rows"] for o in r["overlaps"]) == r["rows_read"]
    assert r["dispositions"]["sale"]["amount"] == totals["gross"]
    assert -r["dispositions"]["credit"]["amount"] == returns["total"]["value"]
    for part in ("units", "value"):
        assert returns["matched"][part] + returns["unmatched"][part] == returns["total"][part]
        assert sum(b[part] for b in r["bridge"].values()) == returns["total"][part]
        assert (
            sum(b[part] for (_, s), b in r["bridge"].items() if s is None)
            == returns["unmatched"][part]
        )
        assert all(b[part] > 0 for b in r["bridge"].values())
    assert sum(unmatched.values()) == returns["unmatched"]["units"]
    # The unmatched units once more without any replay.
    assert (
        con.execute(UNMATCHED_WITHOUT_REPLAY).fetchone()[0] == returns["unmatched_known"]["units"]
    )
    assert con.execute(WRONG_SALE_LINES).fetchone()[0] == 0
    assert con.execute(WRONG_PIECES).fetchone()[0] == 0
    assert returns["refund"] + returns["excess"]["value"] == returns["matched"]["value"]
    assert all(sale is None or sale <= credit for credit, sale in r["bridge"])
    for table in ("months", "countries"):
        for key in ("net_by_event_date", "net_by_sale_date", "gross"):
            assert sum(v[key] for v in r[table].values()) == totals[key]
        assert sum(v["returned_units"] for v in r[table].values()) == returns["matched"]["units"]
    assert all(
        0 <= p["returned_units"] <= p["units_sold"] and 0 <= p["refund"] <= p["gross"]
        for p in r["products"].values()
    )
    assert sum(p["gross"] for p in r["products"].values()) == totals["gross"]
    assert (
        r["rfm_totals"]["customers"]
        == r["customers"]
        == sum(c["size"] for c in r["cohorts"].values())
    )
    assert all(c["active"][0] == c["size"] for c in r["cohorts"].values())
    assert r["rfm_totals"]["orders"] == r["invoices_known"]
    assert r["rfm_totals"]["frequency"] == r["invoices_known"] - len(r["invoices_fully_returned"])
    assert min(r["monetary"].values()) >= 0


# ------------------------------------------------------------------------------------ the summary


def compare(base, other):
    """What another order changes: the number of figures that differ, and by how much in money."""

    def changed(key, *fields):
        return sum(
            1
            for k in base[key].keys() | other[key].keys()
            if (base[key].get(k) != other[key].get(k))
            if not fields or any(base[key][k][f] != other[key][k][f] for f in fields)
        )

    return {
        "matched_units": other["returns"]["matched"]["units"] - base["returns"]["matched"]["units"],
        "matched_value": other["returns"]["matched"]["value"] - base["returns"]["matched"]["value"],
        "excess": other["returns"]["excess"]["value"] - base["returns"]["excess"]["value"],
        "months": changed("months", "net_by_sale_date"),
        "countries": changed("countries", "net_by_sale_date"),
        "recency": changed("recency"),
        "frequency": changed("frequency"),
        "monetary": changed("monetary"),
        "products_units": changed("products", "returned_units"),
        "products_money": changed("products", "refund"),
        "fully_returned_invoices": len(
            set(base["invoices_fully_returned"]) ^ set(other["invoices_fully_returned"])
        ),
    }


def main(arguments):
    if len(arguments) != 1:
        print("usage: python online_retail_check.py PATH", file=sys.stderr)
        return 2
    path = arguments[0]
    r = compute(path)

    print(f"rows read {r['rows_read']:,}   amount {r['amount_read']:,}   as of {r['as_of']}")
    print("\ndisposition                 rows              amount")
    for name, d in r["dispositions"].items():
        print(f"{name:22}{d['rows']:>10,}{d['amount']:>20,}")
    print(
        "\nexcluded by code: "
        + "  ".join(f"{k} {v['rows']} ({v['amount']:,.2f})" for k, v in r["excluded_codes"].items())
    )
    print("\nrules that apply (code, bad debt, write-off, zero price, credit note)")
    for o in r["overlaps"]:
        hit = [k for k in ("code", "bad_debt", "write_off", "zero_price", "credit_note") if o[k]]
        print(f"  {' + '.join(hit) or 'none':36}{o['rows']:>10,}{o['amount']:>20,}")

    t, ret = r["totals"], r["returns"]
    print(f"\ngross {t['gross']:,}   sale lines {t['sale_lines']:,}   units {t['units_sold']:,}")
    print(
        f"net by event date {t['net_by_event_date']:,}   net by sale date {t['net_by_sale_date']:,}"
    )
    for name in ("total", "matched", "unmatched", "unmatched_guest", "unmatched_known"):
        print(f"returns {name:16}{ret[name]['units']:>10,} units{ret[name]['value']:>18,}")
    print(
        f"excess {ret['excess']['value']:,} in {ret['excess']['pieces']} pieces on "
        f"{ret['excess']['sale_lines']} sale lines; refund without excess {ret['refund']:,}; "
        f"{ret['pieces']:,} pieces; credit lines matched "
        + ", ".join(f"{k} {v:,}" for k, v in ret["credit_lines"].items())
    )

    for title, table in (("month", r["months"]), ("country", r["countries"])):
        print(
            f"\n{title:22}{'gross':>16}{'credits':>16}{'net, event':>16}"
            f"{'refund':>16}{'excess':>14}{'net, sale':>16}"
        )
        for key, v in table.items():
            print(
                f"{key:22}{v['gross']:>16,}{v['credit_value']:>16,}{v['net_by_event_date']:>16,}{v['refund']:>16,}"
                f"{v['excess']:>14,}{v['net_by_sale_date']:>16,}"
            )

    print(
        f"\ncustomers {r['customers']:,} (credit only: {r['customers_credit_only']})   "
        f"invoices {r['invoices']:,}   of known customers {r['invoices_known']:,}   "
        f"fully returned {len(r['invoices_fully_returned'])}"
    )
    print(f"products {len(r['products']):,}   credit only {r['products_credit_only']}")
    print("\ncohort     size   active by month number")
    for cohort, c in r["cohorts"].items():
        print(f"{cohort}{c['size']:>8}   " + " ".join(f"{n}:{v}" for n, v in c["active"].items()))

    print("\nrfm totals: " + ", ".join(f"{k} {v:,}" for k, v in r["rfm_totals"].items()))
    print("customer  recency  frequency        monetary  return rate")
    for customer, v in list(r["rfm"].items())[:10]:
        print(
            f"{customer:8}{v['recency_days']:>9}{v['frequency']:>11}{v['monetary']:>16,}  "
            f"{v['returned_units']}/{v['units_sold']}"
        )

    print("\nfacts")
    for name, value in r["facts"].items():
        print(f"  {name:48}{value:>14,}")
    print("\nwhat another order would change (number of figures that differ)")
    con = _load(path)
    for key, default in ORDER.items():
        _match(con, {key: not default})
        print(
            f"  {key} = {not default}: "
            + ", ".join(f"{k} {v}" for k, v in compare(r, _figures(con)).items())
        )
    con.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
