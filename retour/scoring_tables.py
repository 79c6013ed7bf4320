"""The tables that score order lines to be: those of a build, and what they know of the past.

Lines go through the models that the warehouse was built with (`retour.rendering`). What those
models know of the past they find in the published file: entities in entity_history, what becomes
known by waiting in order_lines, policies in schema `scoring`.
"""

import duckdb

from ml import scoring_sql
from ml.return_models import Version
from retour.landing.config import Table
from retour.publication import Publication
from retour.publish import literal
from retour.rendering import Project

LANDED = "canonical__order_lines"
POLICIES = (
    "policy_parameters",
    "policy_guest_ids",
    "policy_fx_rates",
    "policy_model_features",
    "policy_reason_sentences",
)
COUNTERS = (
    "line_count",
    "order_count",
    "returned_line_count",
    "price_total",
    "rating_count",
    "rating_total",
    "delivered_count",
    "late_count",
)
ENTITIES = {
    "source": "'all'",
    "customer": "customer_id",
    "product": "product_id",
    "seller": "seller_id",
    "category": "category",
    "brand": "brand",
}
# what order_return_scores reads of ml_return_scores
CARRIED = (
    "source, order_line_id, order_id, product_id, ordered_date, marketplace, category,"
    " payment_method, quantity, ordered_amount, has_size, same_product_variants,"
    " customer_return_rate, customer_returned_lines_before, product_return_rate, discount_share"
)
ROW = "row_number"


def prepare(
    connection: duckdb.DuckDBPyConnection,
    publication: Publication,
    version: Version,
    project: Project,
    table: Table,
) -> dict[str, str]:
    """Create the tables, empty; gives the query that fills each, in their order."""
    execute = connection.execute
    source = literal(publication.source)
    execute("set timezone = 'UTC'; set preserve_insertion_order = true")
    execute(f"attach {literal(publication.path)} as published (read_only)")
    for mart in ("return_actions", "return_cost_rates", "entity_history"):
        execute(f"create view {mart} as from published.marts.{mart} where source = {source}")
    for name in POLICIES:
        execute(f"create table {name} as from published.scoring.{name}")
    for name in ("int_source_currencies", "int_ids_excluded", "int_products_deduplicated"):
        execute(f"create view {name} as from published.scoring.{name} where source = {source}")
    execute("create view products as from int_products_deduplicated")
    day = f"date '{publication.as_of_date}'"
    execute(f"create view int_sources as select {source} as source, {day} as as_of_date")
    execute(
        "create view ml_return_models as select source, 'run' as record,"
        " 'has_signal' as name, cast(has_signal as double) as value"
        f" from published.marts.model_runs where task = 'return' and source = {source}"
    )
    # nothing is known of what becomes of lines to be
    execute(
        "create table returns as select source, order_line_id, returned_at, match_method"
        " from published.marts.returns limit 0"
    )
    execute(
        "create table int_reviews_resolved (source varchar, customer_id varchar,"
        " product_id varchar, seller_id varchar, reviewed_date date, rating double)"
    )
    execute(_waiting(publication))

    declared = ", ".join(
        f'"{name}" {"bigint" if name == ROW else "varchar"}' for name in table.column_names
    )
    execute(f"create table {LANDED} ({declared})")
    execute(
        "create view int_order_lines_unioned as select *, 'sale' as row_kind"
        f" from ({project.model('stg_canonical__order_lines')}) as staged"
    )
    steps = {
        "lines_screened": project.model("int_order_lines_screened"),
        "order_lines": ORDER_LINES,
        "int_feature_entities": project.model("int_feature_entities"),
        "int_feature_lines": project.model("int_feature_lines"),
        "own_days": project.model("int_entity_days"),
        "int_entity_days": _entity_days(),
        "return_features": project.model("return_features"),
        "ml_return_scores": _margins(version),
        "order_return_scores": project.model("order_return_scores"),
        "ml_return_reasons": _reasons(version),
        "order_return_reasons": project.model("order_return_reasons"),
    }
    execute("create table rival_margins (source varchar, order_line_id varchar, margin double)")
    for name, query in steps.items():
        if name == "ml_return_reasons":
            # every line is explained here, not only those that a build flags
            execute("create view int_flagged_lines as from order_return_scores")
        execute(f"create table {name} as {query} limit 0")
    return steps


def _waiting(publication: Publication) -> str:
    """What the past does to counters on days to come: undelivered lines, and returns without a
    date, are known when the return window is over (int_feature_lines)."""
    window, day = publication.window_days, f"date '{publication.as_of_date}'"
    entities = " union all ".join(
        f"select '{entity_type}' as entity_type, cast({column} as varchar) as entity_id,"
        f" known_on, gone, returned, unit_price from later where {column} is not null"
        for entity_type, column in ENTITIES.items()
    )
    return f"""
        create table waiting as
        with lines as (
            select * from published.marts.order_lines
            where
                source = {literal(publication.source)}
                and ordered_date + {window} > {day}
        ),
        undated as (
            select order_line_id from published.marts.returns
            where
                source = {literal(publication.source)} and order_line_id is not null
                and returned_at is null and match_method in ('order_line', 'line_status')
            group by order_line_id
        ),
        later as (
            select
                lines.*,
                ordered_date + {window} as known_on,
                case when not is_sale and cancelled_at is null then 1 else 0 end as gone,
                case
                    when undated.order_line_id is not null and first_returned_at is null then 1
                    else 0
                end as returned
            from lines
            left join undated on lines.order_line_id = undated.order_line_id
        )
        select
            entity_type,
            entity_id,
            date_diff('day', date '1970-01-01', known_on) as day_no,
            -sum(gone) as line_count,
            -sum(gone * unit_price) as price_total,
            sum(returned) as returned_line_count
        from ({entities}) as changes
        where gone + returned > 0
        group by entity_type, entity_id, day_no
    """


def _entity_days() -> str:
    """What each entity had behind it on the days of the lines: history, what became known
    since, and the lines before."""

    def counted(name: str) -> str:
        own = f"own_days.{name}_before"
        parts = [f"coalesce(entity_history.{name}, 0)"]
        if name.endswith("total"):
            own = f"cast({own} as decimal(38, 4))"
        parts.append(f"coalesce({own}, 0)")
        if name in ("line_count", "price_total", "returned_line_count"):
            parts.append(f"coalesce(known.{name}, 0)")
        kind = "double" if name.endswith("total") else "int"
        return f"cast({' + '.join(parts)} as {kind}) as {name}_before"

    def day(name: str) -> str:
        return f"date_diff('day', date '1970-01-01', entity_history.{name}_date)"

    needed = " union ".join(
        f"select '{entity_type}' as entity_type, {entity_type}_no as entity_no, day_no"
        f" from int_feature_lines where {entity_type}_no is not null"
        for entity_type in ENTITIES
    )
    return f"""
        with needed as ({needed}),
        named as (
            select needed.*, int_feature_entities.entity_id
            from needed
            inner join int_feature_entities
                on needed.entity_no = int_feature_entities.entity_no
        ),
        known as (
            select
                named.entity_no,
                named.day_no,
                sum(waiting.line_count) as line_count,
                cast(sum(waiting.price_total) as decimal(38, 4)) as price_total,
                sum(waiting.returned_line_count) as returned_line_count,
                max(case when waiting.returned_line_count > 0 then waiting.day_no end)
                    as last_return_day
            from named
            inner join waiting
                on
                    named.entity_type = waiting.entity_type
                    and named.entity_id = waiting.entity_id
                    and waiting.day_no < named.day_no
            group by named.entity_no, named.day_no
        )
        select
            named.entity_type,
            named.entity_no,
            named.day_no,
            {", ".join(map(counted, COUNTERS))},
            cast(least({day("first_order")}, own_days.first_order_day_before) as int)
                as first_order_day_before,
            cast(greatest({day("last_order")}, own_days.last_order_day_before) as int)
                as last_order_day_before,
            cast(greatest({day("last_return")}, known.last_return_day) as int)
                as last_return_day_before
        from named
        left join entity_history
            on
                named.entity_type = entity_history.entity_type
                and named.entity_id = entity_history.entity_id
        left join known
            on named.entity_no = known.entity_no and named.day_no = known.day_no
        left join own_days
            on named.entity_no = own_days.entity_no and named.day_no = own_days.day_no
    """


def _margins(version: Version) -> str:
    keys = f"{CARRIED}, {literal(version.name)} as model_version, true as is_out_of_sample"
    if version.rival is None:
        return scoring_sql.score_query(version.model, features="return_features", keys=keys)
    # Scorer fills rival_margins in batches
    return (
        f"select {keys}, margin from return_features"
        " inner join rival_margins using (source, order_line_id)"
    )


def _reasons(version: Version) -> str:
    return scoring_sql.reasons_query(
        version.model,
        features="return_features",
        keys=(
            f"source, order_line_id, {literal(version.name)} as model_version,"
            " customer_lines_before as earlier_lines,"
            " customer_returned_lines_before as earlier_returns"
        ),
    )


# int_order_lines_resolved and order_lines, of lines of which nothing is known yet but the order
ORDER_LINES = """
select
    screened.* exclude (has_id, row_key, disposition, excluded_by, reject_reasons, quantity),
    case
        when has_id then row_key
        else row_key || '-' || cast(
            row_number() over (partition by row_key order by row_number) as varchar
        )
    end as order_line_id,
    cast(quantity as bigint) as ordered_quantity,
    cast(quantity as bigint) as quantity,
    cast(ordered_at as date) as ordered_date,
    true as is_sale,
    cast(null as timestamp) as first_returned_at,
    'open' as return_class,
    cast(null as boolean) as is_returned,
    false as is_mature,
    cast(0 as decimal(9, 6)) as maturity,
    max(cast(ordered_at as date)) over () as as_of_date
from lines_screened as screened
"""
