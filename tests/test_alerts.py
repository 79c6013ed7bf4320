"""Alerts: the replay against scipy and by hand, and what `retour alerts send` does to a server."""

import json
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import duckdb
import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats

from retour import alerts, cli
from retour.errors import RetourError
from retour.landing import land
from tests.support import ROOT, Build, run_dbt

Connection = duckdb.DuckDBPyConnection


# the replay


def test_q_values_of_every_week_equal_scipy(marts: Connection) -> None:
    rows = marts.execute(
        "select 3 * week_no + case family when 'entities' then 0 when 'all' then 1 else 2 end "
        "as family, p_value, q_value, family_size from intermediate.int_alert_tests order by all"
    ).fetchnumpy()
    families = np.unique(rows["family"])
    assert len(families) > 100
    for family in families:
        chosen = rows["family"] == family
        exact = stats.false_discovery_control(np.asarray(rows["p_value"][chosen]))
        np.testing.assert_allclose(rows["q_value"][chosen], exact, rtol=0, atol=1e-9)
        assert set(rows["family_size"][chosen]) == {chosen.sum()}


def test_an_alert_opens_and_closes_by_the_two_limits(marts: Connection) -> None:
    """The state of every metric, replayed row by row with nothing remembered."""
    rows = marts.execute(
        """
        select source, entity_type, entity_id, metric, week_no, q_value, effect, is_open,
            case when is_open then first_week end
        from intermediate.int_alert_tests where family <> 'monitoring' order by all
        """
    ).fetchall()
    state: dict[tuple, tuple[int, bool, int | None]] = {}
    opened = 0
    for *key, week, q_value, effect, is_open, first_week in rows:
        last, was_open, first = state.get(tuple(key), (week - 1, False, None))
        if q_value <= 0.05 and effect > 1.2:
            now = True
        elif q_value > 0.20:
            now = False
        else:
            now = was_open and last == week - 1
        if now and not (was_open and last == week - 1):
            first, opened = week, opened + 1
        assert (is_open, first_week) == (now, first if now else None), (key, week)
        state[tuple(key)] = (week, now, first)
    assert opened > 1
    shown = (
        "select count(*) from marts.alerts where status <> 'watch' and monitor in ('risk', 'jumps')"
    )
    assert marts.execute(shown).fetchall() == [(opened,)]


def test_who_is_watched_probably_has_so_large_an_effect(marts: Connection) -> None:
    """Bayes by hand: ratios of sellers lie around 1 with a deviation of 25 %."""
    rows = marts.execute(
        """
        select observed / expected, effect, effect_lo, is_watched, is_open, week_no = last_week
        from intermediate.int_alert_tests where family <> 'monitoring'
        """
    ).fetchall()
    watched = 0
    for ratio, effect, low, is_watched, is_open, is_last in rows:
        error = (effect - low) / 1.96
        if abs(ratio - 1) > 0.01:  # the weight of the own ratio against 1 gives the error
            weight = (effect - 1) / (ratio - 1)
            assert error == pytest.approx(0.25 * np.sqrt(max(1 - weight, 0)), abs=1e-6)
        assert is_watched == (not is_open and stats.norm.sf(1.2, effect, error) >= 0.75)
        watched += is_watched and is_last
    assert watched > 2
    shown = "select count(*) from marts.alerts where status = 'watch' and not is_in_budget"
    assert marts.execute(shown).fetchall() == [(watched,)]


def test_what_was_said_in_a_week_stays_when_later_weeks_come(demo: Build, tmp_path: Path) -> None:
    """Everything dated cut at the end of a week: alerts and expectations up to then are the same,
    of sellers and of monitoring. What a feature is worth to the model is taken from today's."""
    week = 6590
    cut = f"(date '1900-01-01' + {week * 7 + 6})"
    earlier = Build(tmp_path)
    shutil.copy(demo.warehouse, earlier.warehouse)
    with duckdb.connect(str(earlier.warehouse)) as connection:
        connection.execute(
            f"""
            create temp table cut as
            select * replace (
                case when cancelled_at::date > {cut} then true else is_sale end as is_sale,
                case when cancelled_at::date > {cut} then 'open' else return_class end
                    as return_class,
                case when first_returned_at::date <= {cut} then return_count else 0 end
                    as return_count
            )
            from marts.order_lines where ordered_date <= {cut};
            delete from marts.order_lines;
            insert into marts.order_lines select * from cut;
            update intermediate.int_sources set as_of_date = {cut};
            delete from intermediate.int_return_cells
            where ordered_date > {cut} or returned_date > {cut};
            delete from marts.order_return_scores where ordered_date > {cut};
            delete from intermediate.int_performance_figures where period_end > {cut};
            update intermediate.int_performance_figures set is_mature = period_end + 60 <= {cut};
            delete from marts.return_features where ordered_date > {cut};
            update marts.return_features set as_of_date = {cut};
            create or replace table reviews as
            select * replace ({cut} as as_of_date) from intermediate.int_reviews_resolved
            where reviewed_date <= {cut};
            delete from intermediate.int_reviews_resolved;
            insert into intermediate.int_reviews_resolved from reviews;
            drop table reviews
            """
        )
    models = (
        *(
            f"int_drift_{name}"
            for name in ("cells", "weeks", "comparisons", "statistics", "judged")
        ),
        "drift_features",
        *(f"int_alert_{name}" for name in ("entities", "sales", "weeks", "spreads")),
        *(f"int_alert_candidates_{name}" for name in ("risk", "jumps", "drift", "labels", "model")),
        "int_alert_tests",
    )
    run_dbt(
        ["run", "--select", *models],
        demo.vars | {"warehouse": str(earlier.warehouse)},
        target=earlier.target,
    )
    said = f"""
        select entity_type, entity_id, metric, week_no, window_days, observed, expected, p_value,
            q_value, is_open, is_watched, first_week
        from intermediate.int_alert_tests where week_no <= {week} order by all
    """
    found = []
    for build in (demo, earlier):
        with duckdb.connect(str(build.warehouse), read_only=True) as connection:
            found.append(connection.execute(said).fetchall())
    assert len(found[0]) > 1000
    assert {"drift of orders", "pace of returns", "calibration"} <= {row[2] for row in found[0]}
    assert found[0] == found[1]


def test_expected_returns_of_a_seller_are_what_others_of_the_same_weeks_brought_back(
    marts: Connection,
) -> None:
    """One seller and week by hand, from the ledger."""
    seller, week = "S00001", 6590
    lines = marts.execute(
        """
        select seller_id = ?, coalesce(marketplace, 'unknown'), coalesce(category, 'unknown'),
            date_diff('day', date '1900-01-01', ordered_date) // 7,
            date_diff('day', date '1900-01-01', first_returned_at::date) // 7
        from marts.order_lines where is_sale and return_class <> 'unknown'
            or dayofweek(ordered_date) = 0 and cancelled_at::date > ordered_date
        """,
        [seller],
    ).fetchall()

    def share(rows: list, age: int, prior: float) -> float:
        came = sum(back is not None and back - sold <= age for *_, sold, back in rows)
        return (came + 30 * prior) / (len(rows) + 30)

    observed, expected = 0, 0.0
    for age in range(4):
        sold_in = week - age
        near = [line for line in lines if sold_in - 7 <= line[3] <= sold_in]
        own = [line for line in lines if line[0] and line[3] == sold_in]
        observed += sum(line[4] is not None and line[4] - line[3] <= age for line in own)
        everybody = sum(line[4] is not None and line[4] - line[3] <= age for line in near)
        for marketplace, category in {(line[1], line[2]) for line in own}:
            in_category = [line for line in near if line[2] == category]
            if len(in_category) < 50:
                continue
            rate = share(in_category, age, everybody / len(near))
            others = [line for line in in_category if line[1] == marketplace and not line[0]]
            rate = share(others, age, rate)
            rate = share([line for line in others if line[3] == sold_in], age, rate)
            expected += rate * sum(line[1:3] == (marketplace, category) for line in own)
    found = marts.execute(
        "select observed_4, expected_4 from intermediate.int_alert_weeks "
        "where entity_type = 'seller' and entity_id = ? and week_no = ?",
        [seller, week],
    ).fetchall()
    assert observed > 5
    assert found == [(observed, pytest.approx(expected, abs=1e-4))]


def test_every_open_alert_is_about_a_true_fault(marts: Connection, demo: Build) -> None:
    rows = marts.execute(
        f"""
        select sentence, money_at_risk, rate_multiplier
        from marts.alerts
        inner join read_parquet('{demo.folder}/truth/demo/sellers.parquet') as truth
            on entity_id = truth.seller_id
        where entity_type = 'seller' and metric = 'return rate' and status in ('new', 'open')
        """
    ).fetchall()
    assert rows
    for sentence, money, truth in rows:
        assert truth > 1.2, sentence
        assert f"{money:,.0f} EUR" in sentence


# sending


class Server:
    """A webhook that answers with the status of `answers`, the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[int | float] = [200]
        self.got: list[dict] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = server.answers[0]
                if len(server.answers) > 1:
                    server.answers.pop(0)
                if answer < 1:
                    time.sleep(1.5)
                    answer = 200
                self.send_response(answer)
                if answer == 302:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()
                server.got.append({"status": answer, **json.loads(body)})

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}/hook/T0KEN?key=K3Y"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


COLUMNS = (
    "'shop' as source, alert_id, 'open' as status, severity, severity_rank, in_budget as "
    "is_in_budget, row_number() over (order by alert_id) as alert_rank, "
    "'Seller ' || alert_id || ': <b>40 of 100</b> came back' as sentence, "
    "date '2026-06-28' as first_seen_at, 12.5::decimal(18, 4) as money_at_risk, 'EUR' as currency, "
    "'seller' as entity_type, alert_id as entity_id"
)


class Desk:
    """A published file with alerts, and the ops folder beside it."""

    def __init__(self, folder: Path) -> None:
        self.published = folder / "published" / "retour.duckdb"
        self.published.parent.mkdir(parents=True)
        self.ops = folder / "ops"
        self.said: list[str] = []

    def publish(self, *rows: tuple[str, str, int, bool]) -> None:
        self.published.unlink(missing_ok=True)
        values = ", ".join(str(row) for row in rows)
        with duckdb.connect(str(self.published)) as connection:
            connection.execute("create schema marts")
            connection.execute(
                f"create table marts.alerts as select {COLUMNS} from (values {values}) "
                "as rows (alert_id, severity, severity_rank, in_budget)"
            )

    def send(self, address: str, **options) -> tuple[int, int, int]:
        options = {"timeout": 0.5, "wait": 0.01} | options
        outcome = alerts.send(
            published=self.published,
            ops=self.ops,
            address=address,
            say=self.said.append,
            **options,
        )
        return outcome.due, outcome.sent, outcome.failed


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    desk.publish(("a", "serious", 2, True), ("b", "serious", 2, True), ("c", "serious", 2, False))
    return desk


def test_alerts_are_sent_once_and_again_when_they_escalate(desk: Desk, server: Server) -> None:
    assert desk.send(server.address) == (2, 2, 0)
    assert [row["alert_id"] for row in server.got] == ["a", "b"]
    assert "&lt;b&gt;40 of 100" in server.got[0]["text"]
    assert desk.send(server.address) == (0, 0, 0)
    # a is more severe now, b less, and c has come into the budget
    desk.publish(("a", "critical", 1, True), ("b", "watch", 3, True), ("c", "serious", 2, True))
    assert desk.send(server.address) == (2, 2, 0)
    assert [(row["alert_id"], row["is_escalated"]) for row in server.got[2:]] == [
        ("a", True),
        ("c", False),
    ]
    assert desk.send(server.address) == (0, 0, 0)
    # another target has its own list
    assert desk.send(server.address, name="second") == (3, 3, 0)


def test_a_dry_run_sends_and_writes_nothing(desk: Desk, server: Server) -> None:
    assert desk.send(server.address, dry_run=True) == (2, 0, 0)
    assert server.got == []
    assert not desk.ops.exists()
    assert "Seller a" in desk.said[0]


def test_a_server_that_recovers_gets_the_alert_in_the_same_run(desk: Desk, server: Server) -> None:
    server.answers = [500, 503, 200]
    assert desk.send(server.address) == (2, 2, 0)
    assert [row["status"] for row in server.got] == [500, 503, 200, 200]


@pytest.mark.parametrize(
    ("answer", "tried"), [(500, 6), (429, 6), (404, 2), (302, 2), (0.5, 6)], ids=str
)
def test_a_dead_endpoint_loses_no_alert(
    desk: Desk, server: Server, answer: float, tried: int
) -> None:
    desk.publish(*((name, "serious", 2, True) for name in "abcd"))
    server.answers = [answer]
    assert desk.send(server.address) == (4, 0, 2)  # the other two are not even tried
    time.sleep(1.6 if answer < 1 else 0)
    assert len(server.got) == tried
    server.answers = [200]
    server.got.clear()
    assert desk.send(server.address) == (4, 4, 0)
    assert [row["alert_id"] for row in server.got] == list("abcd")


def test_a_refused_connection_loses_no_alert_and_tells_no_secret(
    desk: Desk, server: Server
) -> None:
    address = server.address
    server.http.shutdown()
    server.http.server_close()
    assert desk.send(address) == (2, 0, 2)
    files = list((desk.ops / alerts.FOLDER).glob("*.parquet"))
    assert len(files) == 2
    told = "\n".join(desk.said) + "".join(
        str(duckdb.sql(f"from read_parquet('{file}')").fetchall()) for file in files
    )
    assert "ConnectionRefusedError" in told and "http://127.0.0.1" in told
    assert "T0KEN" not in told and "K3Y" not in told
    assert len(alerts.due_alerts(desk.published, desk.ops / alerts.FOLDER, "http://127.0.0.1")) == 2


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://me:pass@hooks.example.com:8443/T/B?x=y", "https://hooks.example.com"),
        ("slack://TokenA/TokenB/TokenC", "slack://"),
        ("mailto://me:pass@example.com", "mailto://"),
        ("nonsense", "unknown://"),
    ],
)
def test_of_an_address_only_the_host_is_shown(address: str, shown: str) -> None:
    assert alerts.shown_target(address) == shown


def test_two_at_a_time_do_not_send_twice(desk: Desk, server: Server) -> None:
    (desk.ops / alerts.FOLDER).mkdir(parents=True)
    with (
        alerts._alone(desk.ops / alerts.FOLDER),
        pytest.raises(RetourError, match="by another run"),
    ):
        desk.send(server.address)
    assert server.got == []


def test_other_services_need_the_extra_and_the_message_names_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(RetourError, match=r"pip install 'retour\[alerts\]'") as caught:
        desk.send("slack://TokenA/TokenB/TokenC")
    assert "Token" not in str(caught.value)


def test_apprise_delivers_where_it_is_installed(desk: Desk, server: Server) -> None:
    host = f"127.0.0.1:{server.http.server_port}"
    assert desk.send(f"json://{host}/hook") == (2, 2, 0)
    assert server.got[0]["title"] == "[serious] seller a"
    server.answers = [500]
    assert desk.send(f"json://{host}/hook", name="again") == (2, 0, 2)


def test_the_command_says_what_it_did_and_fails_while_alerts_are_due(
    desk: Desk, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "WAIT_SECONDS", 0.01)
    options = ["alerts", "send", "--warehouse", str(desk.ops.parent / "warehouse.duckdb")]
    run = CliRunner().invoke
    result = run(cli.main, options, env={alerts.ENVIRONMENT: ""})
    assert result.exit_code == 1 and alerts.ENVIRONMENT in result.output
    environment = {alerts.ENVIRONMENT: server.address}
    result = run(cli.main, [*options, "--dry-run"], env=environment)
    assert result.exit_code == 0 and "2 alerts are due; nothing was sent." in result.output
    server.answers = [404]
    result = run(cli.main, options, env=environment)
    assert result.exit_code == 1 and "2 alerts are still due" in result.output
    assert "T0KEN" not in result.output
    server.answers = [200]
    result = run(cli.main, options, env=environment)
    assert result.exit_code == 0 and "2 of 2 alerts sent." in result.output


def test_outcomes_land_with_the_next_build(desk: Desk, server: Server, tmp_path: Path) -> None:
    server.answers = [404, 200]
    assert desk.send(server.address) == (2, 1, 1)
    raw = tmp_path / "raw" / "shop"
    raw.mkdir(parents=True)
    (raw / "order_lines.csv").write_text(
        "order_id,ordered_at,product_id,quantity,unit_price\n1,2026-06-30,1,1,1\n"
    )
    with duckdb.connect() as connection:
        land(
            connection,
            raw_dir=tmp_path / "raw",
            sources=["shop"],
            project_dir=ROOT,
            ops_dir=desk.ops,
            say=lambda _: None,
        )
        rows = connection.execute(
            "select alert_id, status, attempts, message, target from raw.alert_deliveries "
            "order by alert_id"
        ).fetchall()
    assert rows == [
        ("a", "failed", 1, "HTTP 404", "http://127.0.0.1"),
        ("b", "sent", 1, None, "http://127.0.0.1"),
    ]
