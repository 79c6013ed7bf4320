"""The report in a real browser: Debian's chromium opens the pages from disk.

What a page shows is compared with queries on the marts, not on the tables that the page reads.
"""

import csv
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import duckdb
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page

from reports import render as module
from reports import screens
from reports.render import PAGES, render, render_single_file
from retour.errors import RetourError
from retour.publish import publish
from tests.support import Build

pytestmark = pytest.mark.one_engine

BUDGET = 1_500_000
HOSTILE = (
    "</script><script>window.PWNED=1</script><img src=x onerror=window.PWNED=2>",
    "=cmd|' /C calc'!A0",
    "'; drop table marts.orders; --",
    "../../x",
    "\u202eevil\u202c \u05e9\u05dc\u05d5\u05dd",
    "n" * 10_000,
    "<b>bold</b><a href='javascript:window.PWNED=3'>go</a>{{7*7}}${HOME}",
    "~others",
)


# fixtures: one browser for all, each report rendered once


@pytest.fixture(scope="session")
def published(demo: Build, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published file of the demo; the warehouse is copied, since other tests hold it open."""
    folder = tmp_path_factory.mktemp("report")
    return publish(Path(shutil.copy(demo.warehouse, folder))).path


@pytest.fixture(scope="session")
def report(published: Path) -> Path:
    return render(published, published.parent / "report").path.parent


class Opened:
    """A page that notes what a reader would never see: errors and requests."""

    def __init__(self, browser: Browser, **options) -> None:
        self.context = browser.new_context(**options)
        # a busy machine is no fault of the page
        self.context.set_default_timeout(180_000)
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on(
            "console",
            lambda message: (
                self.errors.append(message.text)
                # plotly warns by a trace
                if message.type in ("error", "warning", "trace")
                else None
            ),
        )
        self.page.on("request", lambda request: self.requests.append(request.url))

    def open(self, address: str) -> Page:
        self.page.goto("about:blank")
        self.page.goto(address)
        screens.ready(self.page)
        return self.page

    def close(self) -> None:
        self.context.close()


@pytest.fixture
def opened(chrome: Browser) -> Iterator[Opened]:
    tab = Opened(chrome)
    yield tab
    tab.close()


def address(report: Path, page: str, state: str = "") -> str:
    return (report / f"{page}.html").resolve().as_uri() + (f"#{state}" if state else "")


def sellers_of(page: Page) -> list[str]:
    return page.evaluate("RETOUR.members('s').map(one => one.value)")


def choose(page: Page, state: dict) -> None:
    """Set the filters as a click would, and wait until the page is drawn anew."""
    drawn = int(page.evaluate("document.body.dataset.ready"))
    page.evaluate(
        "state => RETOUR.set(state)", {"w": None, "m": None, "s": None, "c": None} | state
    )
    screens.until(page, f"Number(document.body.dataset.ready) > {drawn}")


# criterion 1: opens from disk, no error, no request, accessible, small, fast


def test_every_page_opens_from_disk_without_an_error_or_a_request(
    report: Path, opened: Opened
) -> None:
    for page in PAGES:
        shown = opened.open(address(report, page.name))
        assert shown.evaluate("document.body.dataset.failed") is None
        assert shown.locator("h1").inner_text() == page.title
        assert shown.locator(".card").count() >= 3
        assert shown.locator(".is-empty").count() <= 3
    shown = opened.open(address(report, "sellers"))
    choose(shown, {"s": sellers_of(shown)[0], "w": 90})
    assert shown.locator("h2", has_text="Newest order lines").count() == 1
    assert opened.errors == []
    assert {url.split(":")[0] for url in opened.requests} <= {"file", "about", "data"}


@pytest.mark.parametrize("look", screens.LOOKS)
def test_axe_finds_no_violation(report: Path, chrome: Browser, look: str) -> None:
    (width, height), scheme = screens.LOOKS[look]
    tab = Opened(chrome, viewport={"width": width, "height": height}, color_scheme=scheme)
    axe = Axe()
    found = {}
    for page in PAGES:
        shown = tab.open(address(report, page.name))
        for name in ("Table", "SQL"):
            shown.get_by_role("button", name=name, exact=True).first.click()
        result = axe.run(shown)
        if result.violations_count:
            found[page.name] = result.generate_report()
        # nothing sticks out to the side
        assert shown.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        ), page.name
    tab.close()
    assert not found, "\n".join(found.values())


def test_pages_stay_small(published: Path, tmp_path: Path) -> None:
    sizes = render(published, tmp_path / "report").sizes
    assert max(sizes.values()) <= BUDGET, sizes


def test_a_page_is_drawn_in_few_steps(report: Path, opened: Opened) -> None:
    """How long it takes is in the README of the report; here: nothing is drawn twice."""
    page = opened.open(address(report, "marketplace"))
    assert page.evaluate("document.body.dataset.ready") == "1"
    names = [url.rsplit("/", 1)[1] for url in opened.requests if url.startswith("file")]
    assert len(names) == len(set(names))


# criterion 1: the page says what the marts say


def test_thirty_selections_equal_sql_exactly(report: Path, opened: Opened, published: Path) -> None:
    page = opened.open(address(report, "marketplace"))
    warehouse = duckdb.connect(str(published.parent.parent / "warehouse.duckdb"), read_only=True)
    with duckdb.connect(str(published), read_only=True) as marts:
        members = {
            "m": [row[0] for row in marts.execute(_distinct("marketplace")).fetchall()],
            "s": [row[0] for row in marts.execute(_distinct("seller_id")).fetchall()],
            "c": [row[0] for row in marts.execute(_distinct("category")).fetchall()],
        }
        selections = []
        for number in range(36):
            chosen = {"w": (7, 30, 90)[number % 3]}
            for place, (key, names) in enumerate(members.items()):
                if (number // 3) >> place & 1:
                    chosen[key] = names[number * 7 % len(names)]
            selections.append(chosen)
        filled = 0
        for chosen in selections:
            choose(page, {key: _value(value) for key, value in chosen.items()})
            shown = page.evaluate(
                "Object.fromEntries([...document.querySelectorAll('.value[data-key]')]"
                ".map(e => [e.dataset.key, e.dataset.value]))"
            )
            wanted = _figures(marts, chosen)
            assert int(shown["lines"]) == wanted["lines"], chosen
            assert int(shown["returned_lines"]) == wanted["returned_lines"], chosen
            for money in ("net_amount", "refund_amount", "expected_cost"):
                assert round(float(shown[money]) * 10_000) == wanted[money], (chosen, money)
            if wanted["exposure"]:
                rate = _projected(warehouse, chosen)
                assert float(shown["rate"]) == pytest.approx(rate, abs=1e-9), chosen
            filled += wanted["lines"] > 0
        warehouse.close()
        assert filled >= 24, "too many of the selections are empty to say much"


def _distinct(column: str) -> str:
    return (
        f"select {column} from marts.order_lines where is_sale and {column} is not null"
        f" and age_days < 180 group by {column} order by count(*) desc, {column}"
    )


def _value(value: object) -> object:
    return f"~{value}" if isinstance(value, str) and value.startswith("~") else value


def _figures(marts: duckdb.DuckDBPyConnection, chosen: dict) -> dict:
    """The figures of a selection from the ledger, in whole numbers."""
    row = marts.execute(
        """
        with chosen as (
            select lines.*, scores.expected_cost,
                lines.maturity is not null and lines.return_class <> 'unknown' as is_comparable
            from marts.order_lines as lines
            left join marts.order_return_scores as scores
                on lines.source = scores.source and lines.order_line_id = scores.order_line_id
            where lines.is_sale and lines.ordered_date > lines.as_of_date - $w
                and ($m is null or lines.marketplace = $m)
                and ($s is null or lines.seller_id = $s)
                and ($c is null or lines.category = $c)
        )
        select
            count(*) as lines,
            count(case when is_comparable and returned_quantity > 0 then 1 end) as returned_lines,
            coalesce(sum(case when is_comparable then cast(maturity * 1000000 as bigint) end), 0),
            coalesce(sum(cast(net_amount * 10000 as bigint)), 0),
            coalesce(sum(cast(refund_amount * 10000 as bigint)), 0),
            coalesce(sum(cast(expected_cost * 10000 as bigint)), 0)
        from chosen
        """,
        {key: chosen.get(key) for key in "wmsc"},
    ).fetchone()
    names = ("lines", "returned_lines", "exposure", "net_amount", "refund_amount", "expected_cost")
    return dict(zip(names, map(int, row), strict=True))


def _projected(warehouse: duckdb.DuckDBPyConnection, chosen: dict) -> float:
    """The projected return rate of a selection, from the ledger line by line.

    What has come back, and of what the goods bring back later the share that came of what they
    should have brought by now, weighed with the last year of the seller, category or marketplace.
    """
    entity = next((key for key in "scm" if key in chosen), None)
    column = {"s": "seller_id", "c": "category", "m": "marketplace", None: "source"}[entity]
    row = warehouse.execute(
        f"""
        with lines as (
            select lines.*, lines.returned_quantity > 0 as is_returned,
                cast(rates.reference_rate * lines.maturity as decimal(9, 6)) as expected,
                cast(rates.reference_rate * (1 - lines.maturity) as decimal(9, 6)) as later
            from marts.order_lines as lines
            left join intermediate.int_reference_rates as rates
                on lines.source = rates.source and rates.is_current
                and coalesce(lines.category, 'unknown') = rates.stratum_1
            where lines.is_sale
        ),
        year as (
            select * from lines where date_trunc('month', ordered_date) > as_of_date - 365
        ),
        source as (
            select count(*) filter (is_returned) / sum(expected) as ratio,
                sum(expected + later) / count(*) as line_expected
            from year
        ),
        member as (
            select (count(*) filter (is_returned) + p.value * any_value(s.line_expected * s.ratio))
                / (sum(expected) + p.value * any_value(s.line_expected)) as ratio
            from year, source as s, policy.policy_parameters as p
            where p.policy_name = 'prior_exposure_lines'
                and ($member is null or year.{column} = $member)
            group by p.value
        ),
        history as (
            select member.ratio, prior.prior_exposure_lines * source.line_expected as weight
            from member, source, intermediate.int_prior_exposures as prior
            where prior.is_current and prior.entity_type = $entity_type
        ),
        chosen as (
            select count(*) as n, count(*) filter (is_returned) as returned,
                cast(sum(expected) as double) as expected, cast(sum(later) as double) as later
            from lines
            where ordered_date > as_of_date - $w
                and ($m is null or marketplace = $m)
                and ($s is null or seller_id = $s)
                and ($c is null or category = $c)
        )
        select least(1, (returned + (returned + ratio * weight) / (expected + weight) * later) / n)
        from chosen, history
        """,
        {key: chosen.get(key) for key in "wmsc"}
        | {
            "member": chosen.get(entity) if entity else None,
            "entity_type": {None: "all", "m": "marketplace"}.get(entity, "category"),
        },
    ).fetchone()
    return row[0]


def test_one_question_has_one_answer_on_all_pages(
    report: Path, opened: Opened, published: Path
) -> None:
    """The return rate of June, of a marketplace and of a seller is the same wherever it stands."""

    def figure(key: str) -> float:
        return float(page.locator(f".value[data-key={key}]").get_attribute("data-value"))

    def cell(title: str, name: str, column: str) -> str:
        """A cell of the table that a card shows, by the first column and the heading."""
        card = page.locator(".card", has=page.get_by_role("heading", name=title))
        heads = card.locator("thead th").all_inner_texts()
        row = card.locator("tbody tr").filter(has_text=name).first
        place = next(i for i, head in enumerate(heads) if head.startswith(column))
        return row.locator("th, td").nth(place).inner_text()

    def percent(value: float) -> str:
        return f"{100 * value:.1f} %"

    with duckdb.connect(str(published), read_only=True) as marts:
        rates = {
            (kind, name): rate
            for kind, name, rate in marts.execute(
                "select entity_type, entity_id, projected_rate from marts.return_rates"
                " where period_grain = 'month' and period_start = '2026-06-01' and basis = 'sale'"
                " and unit = 'lines' and as_of_date = '2026-06-30'"
            ).fetchall()
        }
        risky = marts.execute(
            "select seller_id, observed, compared_lines, shrunk_ratio from marts.seller_risk"
            " where window_days = 365 order by excess_returns desc limit 8"
        ).fetchall()
    june = rates["all", "all"]
    # the month on the Overview, the thirty days on the Marketplace, the newest bar of its months
    page = opened.open(address(report, "index"))
    assert figure("projected_rate") == june
    assert f"Return rate of June: {percent(june)}" in page.locator("#main").inner_text()
    page = opened.open(address(report, "marketplace", "w=30"))
    assert figure("rate") == pytest.approx(june, abs=1e-9)
    for name in ("Return rate by month of sale", "Return rate by category"):
        page.locator(".card", has_text=name).get_by_role("button", name="Table").click()
    assert cell("Return rate by month", "Jun 2026", "Projected") == percent(june)
    shown = {
        kind: {name: rate for (type_, name), rate in rates.items() if type_ == kind}
        for kind in ("marketplace", "category", "seller")
    }
    for name, rate in shown["category"].items():
        if name not in ("unknown", "(small)"):
            assert cell("Return rate by category", name, "Projected") == percent(rate)
    # a marketplace in the table of their health, and when it is chosen
    healths = {
        name: cell("Health of the marketplaces", name, "Return rate")
        for name in shown["marketplace"]
    }
    for name, text in healths.items():
        choose(page, {"m": name, "w": 30})
        assert percent(figure("rate")) == text == percent(shown["marketplace"][name])
    # a seller in the list, on its page and in its months; its risk in both lists and in the words
    for seller, observed, lines, ratio in risky:
        page = opened.open(address(report, "marketplace"))
        came, times = percent(observed / lines), f"{ratio:.2f}"
        title = "Sellers with the most excess returns"
        assert cell(title, f"({seller})", "Came back") == came
        assert cell(title, f"({seller})", "Times as many").startswith(times)
        page = opened.open(address(report, "sellers", "w=30"))
        everyone = page.locator(".card", has_text="All sellers")
        everyone.get_by_role("button", name="Show more").click()
        assert cell("All sellers", f"({seller})", "Came back") == came
        assert cell("All sellers", f"({seller})", "Times as many") == times
        projected = cell("All sellers", f"({seller})", "Projected")
        choose(page, {"s": seller, "w": 30})
        assert percent(figure("rate")) == projected == percent(shown["seller"][seller])
        words = page.locator(".card").first.inner_text()
        assert f"({came})" in words and f"that is {times} times as many" in words


def card_of(page: Page, title: str) -> Locator:
    """The card with this heading."""
    return page.locator(".card", has=page.get_by_role("heading", name=title))


def test_every_filter_acts_on_the_list_of_sellers(
    report: Path, opened: Opened, published: Path
) -> None:
    page = opened.open(address(report, "sellers"))
    seen = set()
    with duckdb.connect(str(published), read_only=True) as marts:
        for chosen in (
            {"w": 7, "m": "corner", "c": "beauty"},
            {"w": 90, "m": "corner", "c": "beauty"},
            {"w": 90, "m": "bazaar"},
        ):
            choose(page, chosen)
            sellers, lines = marts.execute(
                "select count(distinct seller_id), count(*) from marts.order_lines"
                " where is_sale and age_days < $w and marketplace = $m"
                " and seller_id is not null and ($c is null or category = $c)",
                {"c": None} | chosen,
            ).fetchone()
            shown = [
                int(page.locator(f".value[data-key={key}]").get_attribute("data-value"))
                for key in ("sellers", "window_lines")
            ]
            assert shown == [sellers, lines], chosen
            seen.add((sellers, lines))
        assert len(seen) == 3
        # of one seller the newest lines obey them too, and what does not says so
        choose(page, {"s": "S00017", "w": 30, "m": "corner"})
        text = page.locator("#main").inner_text()
        assert "always of all that the seller sold" in text
        (markets,) = marts.execute(
            "select list(distinct marketplace) from marts.order_lines where seller_id = 'S00017'"
        ).fetchone()
        assert "corner" not in markets
        assert (
            "None of its newest 20 order lines" in card_of(page, "Newest order lines").inner_text()
        )


def test_the_page_of_a_seller_has_one_figure_for_one_question(
    report: Path, opened: Opened, published: Path
) -> None:
    """An alert says since when, not once more how much; chance allowed for is the lower bound."""
    with duckdb.connect(str(published), read_only=True) as marts:
        sellers = marts.execute(
            "select entity_id, status, lo, is_judged from marts.alerts inner join"
            " marts.seller_risk on entity_id = seller_id and seller_risk.window_days = 365"
            " left join (select entity_id as seller_id, true as is_judged"
            " from marts.model_metrics where task = 'return' and entity_type = 'seller'"
            " group by entity_id) using (seller_id)"
            " where entity_type = 'seller' and monitor = 'risk' and status <> 'closed'"
            " order by entity_id limit 4"
        ).fetchall()
    assert sellers
    page = opened.open(address(report, "sellers"))
    for seller, status, lo, is_judged in sellers:
        choose(page, {"s": seller})
        alert = card_of(page, "Its alerts").inner_text()
        assert ("On the watch list since" if status == "watch" else "Open since") in alert
        assert "times" not in alert and "EUR" not in alert
        assert f"chance allowed for, at least {lo:.2f}" in page.locator(".card").first.inner_text()
        # why the model was not judged on it
        model = card_of(page, "The model on this seller").inner_text()
        assert is_judged or "if they have at least 200" in model
    assert not all(row[3] for row in sellers)


def test_the_watch_list_begins_with_the_most_money(
    report: Path, opened: Opened, published: Path
) -> None:
    with duckdb.connect(str(published), read_only=True) as marts:
        watched = marts.execute(
            "select entity_type, entity_id, money_at_risk from marts.alerts"
            " where status = 'watch' order by money_at_risk desc, alert_id"
        ).fetchall()
    page = opened.open(address(report, "marketplace"))
    card = card_of(page, "Alerts")
    items = card.locator(".statement", has=page.locator(".tag", has_text="watch"))
    assert f"6 of {len(watched)} on the watch list" in card.inner_text()
    card.get_by_role("button", name="Show more").first.click()
    heads = items.locator(".head").all_inner_texts()
    assert [head.split()[1] for head in heads] == [entity for _, entity, _ in watched]
    # the product with the most money at risk is to be looked at, before orders worth less
    product = next(entity for kind, entity, _ in watched if kind == "product")
    page = opened.open(address(report, "index"))
    heads = card_of(page, "What to do").locator(".head").all_inner_texts()
    place = next(i for i, head in enumerate(heads) if head.startswith(f"Look at product {product}"))
    assert place < next(i for i, head in enumerate(heads) if "to act on" in head)


def test_alerts_and_sellers_obey_the_filters(report: Path, opened: Opened, published: Path) -> None:
    page = opened.open(address(report, "marketplace"))
    everything = card_of(page, "Alerts").inner_text()
    with duckdb.connect(str(published), read_only=True) as marts:
        for chosen in ({"w": 90, "m": "bazaar", "c": "electronics"}, {"w": 30, "m": "agora"}):
            sellers = marts.execute(
                "with sold as (select distinct seller_id from marts.order_lines"
                " where is_sale and age_days < $w and marketplace = $m"
                " and ($c is null or category = $c))"
                " select entity_id, entity_id in (from sold) from marts.alerts"
                " where entity_type = 'seller' and monitor = 'risk' and status <> 'closed'"
                " union all select entity_id, $c is null or category = $c from marts.alerts"
                " inner join marts.products on entity_id = product_id"
                " where entity_type = 'product' and status <> 'closed'"
                " union all select seller_id, seller_id in (from sold) from marts.seller_risk"
                " where window_days = 365 and excess_returns > 0",
                {"c": None} | chosen,
            ).fetchall()
            assert {is_chosen for _, is_chosen in sellers} == {True, False}
            choose(page, chosen)
            for card in ("Alerts", "Sellers with the most excess returns"):
                while card_of(page, card).get_by_role("button", name="Show more").count():
                    card_of(page, card).get_by_role("button", name="Show more").first.click()
            shown = " ".join(
                card_of(page, card).inner_text()
                for card in ("Alerts", "Sellers with the most excess returns")
            )
            for entity, is_chosen in sellers:
                assert (entity in shown) == is_chosen, (chosen, entity)
    choose(page, {"s": "S00020"})
    alerts = card_of(page, "Alerts").inner_text()
    assert "Seller S00020" in alerts and "Seller S00017" not in alerts
    assert "Product" not in alerts and "Product" in everything
    # the list of sellers shows no alert of those it does not list
    page = opened.open(address(report, "sellers", "w=90&m=corner&c=beauty"))
    listed = card_of(page, "All sellers").inner_text()
    for head in card_of(page, "Alerts about sellers").locator(".head").all_inner_texts():
        assert head.split()[1] in listed


def test_a_legend_stays_above_its_drawing(report: Path, opened: Opened) -> None:
    page = opened.open(address(report, "marketplace", "w=90&m=bazaar&c=electronics"))
    below = """() => [...document.querySelectorAll(".chart")].filter(chart => {
        const legend = chart.querySelector("g.legend");
        return legend && legend.getBoundingClientRect().bottom
            > chart.getBoundingClientRect().top + chart._fullLayout._size.t;
    }).length"""
    assert page.locator("g.legend").count() >= 2
    for width, height in ((1360, 900), (1000, 700), (390, 844), (1360, 2400)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(300)
        screens.until(page, f"({below})() === 0", seconds=30)


def test_the_model_of_the_week_stands_beside_the_champion(
    report: Path, opened: Opened, published: Path
) -> None:
    page = opened.open(address(report, "model"))
    with duckdb.connect(str(published), read_only=True) as marts:
        # whoever scored the lines of the week
        (versions,) = marts.execute(
            "select list(distinct model_version) from marts.order_return_scores as scores"
            " inner join marts.order_lines as lines using (source, order_line_id)"
            " inner join marts.model_health as weeks on weeks.is_current"
            " and lines.ordered_date between weeks.week_start and weeks.week_end"
        ).fetchone()
    (shown,) = versions
    figure = page.locator(".figure", has=page.locator(".value[data-key=in_use]"))
    assert figure.locator(".value").get_attribute("data-value") == shown
    checks = card_of(page, "Leak checks").locator("tbody tr").all_inner_texts()
    assert len(set(checks)) == len(checks)


def test_what_is_not_complete_is_not_all(report: Path, opened: Opened) -> None:
    page = opened.open(address(report, "quality"))
    shares = card_of(page, "What is missing in the data").locator("td.number").all_inner_texts()
    assert shares and not any(share.startswith("100") for share in shares)


def test_a_selection_without_lines_says_so(report: Path, opened: Opened, published: Path) -> None:
    page = opened.open(address(report, "marketplace", "w=7&m=corner&s=S00055&c=beauty"))
    assert page.locator(".value[data-key=lines]").get_attribute("data-value") == "0"
    text = page.locator("#main").inner_text()
    assert "No lines in this selection." in text and "have no date" not in text
    months = card_of(page, "Return rate by month")
    assert months.locator(".chart").count() == 0
    assert "No lines in this selection." in months.inner_text()
    # two filters: months of both, not of everything
    choose(page, {"m": "agora", "c": "shoes"})
    months.get_by_role("button", name="Table").click()
    row = months.locator("tbody tr").last.locator("th, td").all_inner_texts()
    with duckdb.connect(str(published), read_only=True) as marts:
        lines, returned = marts.execute(
            "select count(*), count(case when maturity is not null and return_class <> 'unknown'"
            " and returned_quantity > 0 then 1 end) from marts.order_lines"
            " where is_sale and marketplace = 'agora' and category = 'shoes'"
            " and ordered_date >= '2026-06-01'"
        ).fetchone()
    assert row[:3] == ["Jun 2026", str(lines), str(returned)]


def test_segments_have_one_name_and_moves_within_chance_say_so(
    report: Path, opened: Opened, published: Path
) -> None:
    with duckdb.connect(str(published), read_only=True) as marts:
        segments = dict(
            marts.execute("select segment_name, customers from marts.segment_profiles").fetchall()
        )
        steady = marts.execute(
            "select marketplace, abs(rate_z) < 1.6 from marts.return_delays"
            " where known_on = as_of_date and rate_status = 'steady'"
        ).fetchall()
    page = opened.open(address(report, "customers"))
    advice = card_of(page, "What to do with each").locator(".head").all_inner_texts()
    assert len(advice) == len(segments)
    for name, customers in segments.items():
        assert any(head.startswith(name) and f"{customers:,}" in head for head in advice), name
    page = opened.open(address(report, "cohorts"))
    delays = card_of(page, "Late, or fewer?")
    assert steady
    for marketplace, is_chance in steady:
        row = delays.locator("tbody tr", has=page.get_by_role("rowheader", name=marketplace))
        assert not is_chance or "within chance" in row.inner_text()


def test_a_window_that_does_not_exist_leaves_the_address(report: Path, opened: Opened) -> None:
    page = opened.open(address(report, "marketplace", "w=abc&m=agora"))
    assert page.get_by_label("30 d", exact=True).is_checked()
    assert page.evaluate("location.hash") == "#m=agora"


def test_the_overview_says_what_the_marts_say(
    report: Path, opened: Opened, published: Path
) -> None:
    text = opened.open(address(report, "index")).locator("#main").inner_text()
    with duckdb.connect(str(published), read_only=True) as marts:
        (rate,) = marts.execute(
            "select projected_rate from marts.return_rates where entity_type = 'all'"
            " and is_complete and period_grain = 'month' and basis = 'sale' and unit = 'lines'"
            " order by period_start desc limit 1"
        ).fetchone()
        (liability,) = marts.execute(
            "select sum(liability_amount) from marts.refund_liability"
            " where known_on = as_of_date and currency <> 'all'"
        ).fetchone()
        sellers = marts.execute(
            "select seller_id from marts.seller_risk where window_days = 365"
            " and risk_tier in ('high', 'elevated') order by lo desc limit 3"
        ).fetchall()
        # from the first day after the data on, and to the end of the next whole week
        first, last, units = marts.execute(
            "select min(first_day)::varchar, max(last_day), sum(round(expected_units))::int"
            " from marts.return_forecast where category = 'all' and known_on = as_of_date"
            " and week_start <= as_of_date + 7"
        ).fetchone()
    assert first == "2026-07-01"
    assert f"Expect {units} returned units by {last.day} July 2026" in text
    assert f"{100 * rate:.1f} %" in text
    assert f"Set aside {liability:,.0f} EUR" in text
    for (seller,) in sellers:
        assert f"Call seller {seller}" in text


def test_the_state_is_in_the_address_and_travels_along(report: Path, opened: Opened) -> None:
    page = opened.open(address(report, "marketplace"))
    page.get_by_text("90 d", exact=True).click()
    page.get_by_label("Category", exact=True).select_option(index=2)
    screens.until(page, "Number(document.body.dataset.ready) >= 3")
    state = page.evaluate("location.hash")
    assert "w=90" in state and "c=" in state
    lines = page.locator(".value[data-key=lines]").get_attribute("data-value")
    again = opened.open(page.url)
    assert again.locator(".value[data-key=lines]").get_attribute("data-value") == lines
    again.get_by_role("link", name="Sellers", exact=True).click()
    again.wait_for_url("**/sellers.html*")
    screens.ready(again)
    assert again.evaluate("location.hash") == state
    assert again.get_by_label("90 d", exact=True).is_checked()
    again.get_by_role("button", name="Reset").click()
    assert "c=" not in again.evaluate("location.hash")


def test_tables_sql_and_csv_are_one_click_away(
    report: Path, opened: Opened, published: Path
) -> None:
    """Every SQL that a page shows runs on the published file as it is."""
    with duckdb.connect(str(published), read_only=True) as marts:
        for one in PAGES:
            page = opened.open(address(report, one.name))
            for button in page.locator(".tools button", has_text="SQL").all():
                button.click()
            for sql in page.locator(".code code").all_inner_texts():
                if "drift_" not in sql and "model_promotions" not in sql:
                    marts.execute(sql).fetchone()
            assert page.locator(".code code").count() >= 3
    page = opened.open(address(report, "sellers"))
    card = page.locator(".card", has_text="All sellers").first
    card.get_by_role("button", name="Table").click()
    shown = card.locator(".panel tbody tr").count()
    card.get_by_role("button", name="Copy CSV").click()
    rows = list(csv.reader(io.StringIO(page.evaluate("RETOUR.copied"))))
    assert len(rows) == shown + 1 > 10
    assert rows[0][0] == "Seller"


def test_charts_say_in_words_what_they_show(report: Path, opened: Opened) -> None:
    for one in PAGES:
        page = opened.open(address(report, one.name))
        labels = page.locator(".chart").evaluate_all(
            "all => all.map(e => [e.getAttribute('role'), e.getAttribute('aria-label')])"
        )
        for role, label in labels:
            assert role == "img"
            assert label and len(label) > 25 and "undefined" not in label and "NaN" not in label
        text = page.locator("body").inner_text()
        assert not re.search(r"\b(undefined|NaN|null|Infinity)\b", text), one.name


def test_the_keyboard_reaches_everything(report: Path, opened: Opened) -> None:
    page = opened.open(address(report, "marketplace"))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.get_by_label("30 d", exact=True).focus()
    page.keyboard.press("ArrowRight")
    screens.until(page, "location.hash.includes('w=90')")
    assert page.evaluate("document.activeElement.value") == "90"
    page.locator(".term").first.focus()
    assert page.locator(".term").first.locator("xpath=../span[@role='tooltip']").is_visible()


def test_the_theme_is_remembered_and_printing_is_light(report: Path, chrome: Browser) -> None:
    tab = Opened(chrome, color_scheme="dark")
    page = tab.open(address(report, "index"))
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Light or dark").click()
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark != light
    again = tab.open(address(report, "quality"))
    assert again.evaluate("getComputedStyle(document.body).backgroundColor") == light
    again.evaluate("document.documentElement.dataset.theme = 'dark'")
    again.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert again.evaluate("getComputedStyle(document.body).backgroundColor") == light
    again.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert again.evaluate("getComputedStyle(document.body).backgroundColor") == dark
    tab.close()


def test_one_file_for_mail_holds_every_page(
    published: Path, opened: Opened, tmp_path: Path
) -> None:
    written = render_single_file(published, tmp_path / "returns.html")
    shown = opened.open(written.path.resolve().as_uri())
    for page in PAGES:
        shown.get_by_role("link", name=page.title, exact=True).click()
        screens.until(shown, f"document.querySelector('h1').textContent === '{page.title}'")
    assert opened.errors == []
    assert {url.split(":")[0] for url in opened.requests} <= {"file", "about", "data"}
    assert [path.name for path in tmp_path.iterdir()] == ["returns.html"]
    with pytest.raises(RetourError, match="no source elsewhere"):
        render_single_file(published, tmp_path / "x.html", source="elsewhere")


# criterion 2: hostile text is inert


@pytest.fixture(scope="module")
def hostile(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's published file with hostile texts for names of all kinds, and its report."""
    path = Path(shutil.copy(published, tmp_path_factory.mktemp("hostile") / "retour.duckdb"))
    path.chmod(0o644)
    with duckdb.connect(str(path)) as connection:
        sellers = connection.execute(
            "select member_id from reports.rpt_members where dimension = 'seller'"
            " and member_key > 0 order by member_key limit ?",
            [len(HOSTILE)],
        ).fetchall()
        tables = connection.execute(
            "select schema_name, table_name, column_name from duckdb_columns()"
            " where data_type = 'VARCHAR' and column_name in ('seller_id', 'seller_name',"
            " 'entity_id', 'member_id', 'member_name', 'sentence', 'headline', 'product_name',"
            " 'category', 'marketplace')"
            " and schema_name in ('marts', 'reports')"
        ).fetchall()
        connection.execute("create temp table names (old varchar, new varchar)")
        connection.executemany(
            "insert into names values (?, ?)",
            [(seller, text) for (seller,), text in zip(sellers, HOSTILE, strict=True)]
            + [("dresses", HOSTILE[0]), ("shoes", HOSTILE[1]), ("tops", HOSTILE[6])]
            + [("agora", HOSTILE[2]), ("corner", HOSTILE[4])],
        )
        for schema, table, column in tables:
            columns = {"entity_id", "member_id", "seller_id", "category", "marketplace"}
            if column in columns and table in SHOWN:
                rewrite(
                    connection,
                    f"{schema}.{table}",
                    column,
                    f"coalesce((select new from names where old = t.{column}), t.{column})",
                )
            elif column not in columns and table in SHOWN:
                rewrite(connection, f"{schema}.{table}", column, f"? || t.{column}", [HOSTILE[0]])
    return render(path, path.parent / "report").path.parent


# the tables whose texts the hostile report replaces
SHOWN = (
    *("rpt_members", "rpt_statements", "rpt_seller_orders", "seller_risk", "seller_risk_factors"),
    *("alerts", "return_rates", "return_costs", "return_change", "marketplace_health"),
)


def rewrite(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    column: str,
    expression: str,
    parameters: list | None = None,
) -> None:
    """Replace a text column of a table, constraints and comments gone."""
    connection.execute(
        f"create temp table rewritten as select * replace ({expression} as {column})"
        f" from {table} as t",
        parameters or [],
    )
    connection.execute(f"drop table {table}")
    connection.execute(f"create table {table} as from rewritten")
    connection.execute("drop table rewritten")


def test_hostile_names_are_inert(hostile: Path, opened: Opened) -> None:
    for one in PAGES:
        page = opened.open(address(hostile, one.name))
        assert page.evaluate("typeof window.PWNED") == "undefined"
        assert page.locator("main script, main img, main a[href^=javascript]").count() == 0
    page = opened.open(address(hostile, "sellers"))
    for text in HOSTILE:
        choose(page, {"s": _value(text)})
        assert page.evaluate("RETOUR.chosen('s').id") == text
        assert page.locator("h2").first.inner_text()[:20].strip()
        assert page.locator("h1").inner_text() == "Sellers"
        # a long name does not push the page aside
        assert page.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        ), text[:40]
    assert page.evaluate("typeof window.PWNED") == "undefined"
    assert opened.errors == []
    assert {url.split(":")[0] for url in opened.requests} <= {"file", "about", "data"}


def test_names_turn_no_text_beside_them(hostile: Path, opened: Opened) -> None:
    """Marks of direction are not shown, and a name is apart from what stands beside it."""
    turned = HOSTILE[4]
    for name, state in (("sellers", ""), ("sellers", f"s={quote(turned)}"), ("marketplace", "")):
        page = opened.open(address(hostile, name, state))
        shown = page.evaluate(
            "document.body.textContent + document.title + document.body.outerHTML"
        )
        assert "evil" in shown
        assert not re.search("[\u202a-\u202e\u2066-\u2069]", _without_values(page, shown))
    assert page.locator("bdi", has_text="evil").count() >= 1


def _without_values(page: Page, text: str) -> str:
    """Values of options and addresses, which nobody sees, keep the name as it is."""
    for value in page.locator("option").evaluate_all("all => all.map(e => e.value)"):
        if "\u202e" in value:
            text = text.replace(value, "")
    return text


def test_plotly_reads_no_markup_in_hostile_labels(hostile: Path, opened: Opened) -> None:
    page = opened.open(address(hostile, "marketplace"))
    labels = page.locator(".chart text").all_text_contents()
    assert any("<" in label for label in labels), "the hostile categories are drawn"
    assert page.locator(".chart a").count() == 0
    assert page.locator(".chart tspan[style*='bold']").count() == 0


def test_csv_of_hostile_names_runs_nothing(hostile: Path, opened: Opened) -> None:
    page = opened.open(address(hostile, "sellers"))
    card = page.locator(".card", has_text="All sellers").first
    card.get_by_role("button", name="Copy CSV").click()
    rows = list(csv.reader(io.StringIO(page.evaluate("RETOUR.copied"))))
    names = [row[0] for row in rows]
    assert f"'{HOSTILE[1]}" in names
    assert HOSTILE[0] in names
    assert not [name for name in names if re.match(r"[=+\-@\t\r]", name)]
    assert (
        page.evaluate(
            "RETOUR.csv([{key: 'a', label: 'a'}], [{a: -5}, {a: '-5'}, {a: '@x'}, {a: 'b\"c,d'}])"
        )
        == 'a\r\n-5\r\n\'-5\r\n\'@x\r\n"b""c,d"\r\n'
    )


def test_names_are_no_paths(hostile: Path) -> None:
    names = {path.name for path in hostile.rglob("*")}
    assert all(re.fullmatch(r"[\w.-]+", name) for name in names)
    assert not (hostile.parent / "x").exists()


# criterion 6: little data, and the real file


@pytest.fixture(scope="module")
def poor(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published file whose every table is empty, but for what publishing itself writes."""
    path = Path(shutil.copy(published, tmp_path_factory.mktemp("poor") / "retour.duckdb"))
    path.chmod(0o644)
    with duckdb.connect(str(path)) as connection:
        for schema, table in connection.execute(
            "select schema_name, table_name from duckdb_tables()"
            " where schema_name in ('marts', 'reports')"
            " and table_name not in ('publication', 'coverage', 'metric_definitions')"
        ).fetchall():
            connection.execute(f"delete from {schema}.{table}")
        connection.execute(
            "create temp table gaps as select source, mart, 'empty' as status,"
            " 'The source is bare' as reason, fact, 0.0 as fact_share, as_of_date"
            " from marts.coverage"
        )
        connection.execute("delete from marts.coverage")
        connection.execute("insert into marts.coverage by name from gaps")
    return render(path, path.parent / "report").path.parent


def test_empty_tables_say_why(poor: Path, opened: Opened) -> None:
    for one in PAGES:
        page = opened.open(address(poor, one.name))
        assert page.evaluate("document.body.dataset.failed") is None, one.name
        assert page.locator(".card.is-empty").count() >= 1
        for text in page.locator(".empty").all_inner_texts():
            assert len(text) > 10
        assert not re.search(r"\b(undefined|NaN|Infinity)\b", page.locator("body").inner_text())
        assert page.locator(".chart").count() == 0
    assert "The source is bare." in page.locator("body").inner_text()
    assert opened.errors == []


def test_a_shop_of_twenty_lines(shop: Build, opened: Opened, tmp_path: Path) -> None:
    _opens(shop, opened, tmp_path)


def test_the_real_file_without_sellers(
    online_retail: Build, opened: Opened, tmp_path: Path
) -> None:
    report = _opens(online_retail, opened, tmp_path)
    page = opened.open(address(report, "sellers"))
    assert "The source has no seller_id" in page.locator("main").inner_text()
    assert page.get_by_label("Seller", exact=True).count() == 0


def test_two_sources_in_one_report(
    demo: Build, shop: Build, published: Path, opened: Opened, tmp_path: Path
) -> None:
    """A filter chooses the source; figures are those of the source alone."""
    path = Path(shutil.copy(published, tmp_path / "retour.duckdb"))
    path.chmod(0o644)
    other = publish(Path(shutil.copy(shop.warehouse, tmp_path))).path
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"attach '{other}' as other (read_only)")
        for schema, table in connection.execute(
            "select schema_name, table_name from duckdb_tables()"
            " where database_name = 'other' and schema_name in ('marts', 'reports')"
            " and table_name in (select table_name from duckdb_columns()"
            " where database_name = 'other' and column_name = 'source')"
            " and (schema_name, table_name) in (select (schema_name, table_name)"
            " from duckdb_tables() where database_name = current_database())"
        ).fetchall():
            connection.execute(f"insert into {schema}.{table} by name from other.{schema}.{table}")
        connection.execute("detach other")
        (lines,) = connection.execute(
            "select count(*) from marts.order_lines where source = 'shop' and is_sale"
            " and age_days < 90"
        ).fetchone()
    report = render(path, tmp_path / "report").path.parent
    page = opened.open(address(report, "marketplace", "w=90"))
    page.get_by_label("Source", exact=True).select_option("shop")
    screens.until(page, "Number(document.body.dataset.ready) >= 2")
    assert page.locator(".value[data-key=lines]").get_attribute("data-value") == str(lines)
    assert "source=shop" in page.evaluate("location.hash")
    assert opened.errors == []


def _opens(build: Build, opened: Opened, folder: Path) -> Path:
    """Publish and render a build; every page of it opens."""
    path = publish(Path(shutil.copy(build.warehouse, folder))).path
    written = render(path, folder / "report")
    assert max(written.sizes.values()) <= BUDGET
    report = written.path.parent
    for one in PAGES:
        page = opened.open(address(report, one.name))
        assert page.evaluate("document.body.dataset.failed") is None, one.name
        assert not re.search(r"\b(undefined|NaN|Infinity)\b", page.locator("body").inner_text())
    assert opened.errors == []
    return report


# large sources, and the renderer itself


def test_the_largest_cube_fits_into_the_budget() -> None:
    """208 days of 500 combinations, each with a line a day, is the most that rpt_sales lists."""
    with duckdb.connect() as connection:
        rows = connection.execute(
            """
            select 207 - day.range as age_days, 1 + combination.range % 5 as marketplace_key,
                1 + combination.range // 10 as seller_key,
                1 + combination.range % 10 as category_key,
                1 + cast(hash(day.range, combination.range) % 4 as bigint) as lines,
                cast(hash(day.range, combination.range, 1) % 100000000 as decimal(18, 4)) / 10000
            from range(208) as day, range(500) as combination
            """
        ).fetchall()
    columns = [
        module.column(str(i), list(values)) for i, values in enumerate(zip(*rows, strict=True))
    ]
    assert len(rows) == 104_000
    assert len(module.data_script(0, "sales", {"sales": {"columns": columns}})) < BUDGET


def test_rendering_needs_a_published_file_and_replaces_the_old_report(
    published: Path, tmp_path: Path
) -> None:
    with pytest.raises(RetourError, match="make build"):
        render(tmp_path / "nothing.duckdb", tmp_path / "report")
    (tmp_path / "report" / "old").mkdir(parents=True)
    first = render(published, tmp_path / "report")
    files = {path: path.read_bytes() for path in first.path.parent.rglob("*") if path.is_file()}
    second = render(published, tmp_path / "report")
    again = {path: path.read_bytes() for path in second.path.parent.rglob("*") if path.is_file()}
    assert files == again
    assert not (tmp_path / "report" / "old").exists()


def test_what_is_no_published_file_or_no_place_to_write_is_one_sentence(
    published: Path, tmp_path: Path
) -> None:
    text = tmp_path / "passwd"
    text.write_text("root:x:0:0\n" * 500)
    with pytest.raises(RetourError, match=r"passwd cannot be read as a DuckDB file: run `retour"):
        render(text, tmp_path / "report")
    other = tmp_path / "other.duckdb"
    duckdb.connect(str(other)).close()
    with pytest.raises(
        RetourError, match=r"other\.duckdb is no published file .* `retour publish`"
    ):
        render_single_file(other, tmp_path / "one.html")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.duckdb", "passwd"]
    # a file stands where a folder would have to be
    with pytest.raises(RetourError, match=r"one\.html cannot be written \(.*\): name a place"):
        render_single_file(published, text / "one.html")
    with pytest.raises(RetourError, match=r"report cannot be written \(.*\): name a place"):
        render(published, text / "report")


def test_every_query_is_shown_on_a_page_and_ordered() -> None:
    used = {name for page in PAGES for name in page.datasets} | set(module.SITE)
    files = {path.stem: path.read_text() for path in (module.HERE / "queries").glob("*.sql")}
    assert used == set(files)
    for name, sql in files.items():
        assert "$source" in sql, name
        assert "order by" in sql or "count(*) as tests" in sql, name


def test_scripts_make_no_markup_of_text() -> None:
    for path in (module.HERE / "assets").rglob("*.js"):
        text = path.read_text()
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "fetch(",
        ):
            assert word not in text, f"{path.name}: {word}"
