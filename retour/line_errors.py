"""What keeps an order line from being scored, as sentences with the row and the column."""

from collections.abc import Iterator, Sequence

from retour.errors import RetourError

# what keeps landed lines from being scored, as reject_reasons say it; asks for {landed} and {day}
PROBLEMS = """
select
    screened.row_number,
    concat_ws(
        ', ',
        screened.reject_reasons,
        case when screened.excluded_by is not null then 'excluded ' || screened.excluded_by end,
        case when cast(screened.ordered_at as date) <= {day} then 'too_early ' || {day} end,
        case when screened.has_id and screened.repeats > 1 then 'order_line_id_repeated' end,
        case when landed.delivered_at is not null then 'delivered_at_is_later' end,
        case when landed.cancelled_at is not null then 'cancelled_at_is_later' end,
        case when landed.return_status is not null then 'return_status_is_later' end
    ) as reasons
from (
    select *, count(*) over (partition by row_key) as repeats from lines_screened
) as screened
inner join {landed} as landed on screened.row_number = landed.row_number
where reasons <> ''
order by screened.row_number
"""
SENTENCES = {
    "quantity_not_positive": "quantity must be 1 or more",
    "unit_price_negative": "unit_price must not be negative",
    "discount_negative": "discount_amount must not be negative",
    "discount_exceeds_price": "discount_amount exceeds quantity times unit_price",
    "amount_too_large": "quantity times unit_price is too large",
    "no_fx_rate_for_currency_and_month": "currency has no rate in that month (policy_fx_rates)",
    "order_line_id_repeated": "order_line_id stands in another row too",
}


class LineError(RetourError):
    """What is wrong with lines: (row, column or None, sentence) each; rows count from 1."""

    def __init__(self, problems: Sequence[tuple[int, str | None, str]]) -> None:
        self.problems = list(problems)
        shown = [f"row {row}: {said}" for row, _, said in self.problems[:20]]
        more = len(self.problems) - len(shown)
        super().__init__("\n".join([*shown, *([f"and {more} more"] if more else [])]))


def explain(row: int, reasons: str) -> Iterator[tuple[int, str | None, str]]:
    """Row, column and sentence of each reason."""
    for reason in reasons.split(", "):
        sentence = SENTENCES.get(reason)
        column, _, rest = reason.partition(" ")
        if column == "excluded":
            yield row, None, f"the line is none to score: excluded by policy ({rest})"
        elif column == "too_early":
            day = rest.removeprefix("date ").strip("'")
            said = f"ordered_at must be after {day}, the as-of date of the published file"
            yield row, "ordered_at", f"{said}: earlier lines stand in marts.order_return_scores"
        elif sentence:
            yield row, sentence.split(" ")[0], sentence
        else:
            for ending, said in (
                ("_missing", "is missing"),
                ("_not_a_timestamp", "is no ISO date or timestamp"),
                ("_not_a_whole_number", "is no whole number"),
                ("_not_a_number", "is no number"),
                ("_is_later", "cannot be known of a line that is to be ordered"),
            ):
                if reason.endswith(ending):
                    column = reason.removesuffix(ending)
                    yield row, column, f"{column} {said}"
                    break
            else:
                yield row, None, reason
