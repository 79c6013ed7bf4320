"""Sending alerts: what is new or more severe in the published file, to wherever people read it.

What was sent is remembered as small files in the ops folder, one per attempt, written before the
next alert is tried; the next build lands them as marts.alert_deliveries. An alert that could not
be delivered has no file that says sent, so it stays due.

Plain http and https addresses get JSON and need nothing; Slack, mail, Teams and some hundred others
go through apprise (the extra `alerts`). An address is a secret: it is never printed or stored.
"""

import contextlib
import datetime as dt
import fcntl
import html
import http.client
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb

from retour.errors import RetourError

ENVIRONMENT = "RETOUR_ALERTS_TO"
FOLDER = "alert_deliveries"
ATTEMPTS = 3
WAIT_SECONDS = 1.0  # before the second attempt; doubles
TIMEOUT_SECONDS = 10.0
FAILURES_IN_A_ROW = 2  # then the endpoint counts as dead, the others stay due


@dataclass(frozen=True)
class Alert:
    """A row of marts.alerts that is to be sent."""

    source: str
    alert_id: str
    severity: str
    severity_rank: int
    is_escalated: bool
    sentence: str
    first_seen_at: dt.date
    money_at_risk: float | None
    currency: str | None
    entity_type: str
    entity_id: str

    @property
    def title(self) -> str:
        escalated = ", escalated" if self.is_escalated else ""
        return f"[{self.severity}{escalated}] {self.entity_type} {self.entity_id}"

    @property
    def key(self) -> str:
        """The same for every attempt to deliver the same news."""
        return f"{self.source}:{self.alert_id}:{self.severity_rank}"

    def payload(self) -> dict[str, object]:
        """What a webhook gets; `text` is what Slack and Teams show: names in it are not markup."""
        return {
            "text": html.escape(f"{self.title}: {self.sentence}", quote=False),
            "source": self.source,
            "alert_id": self.alert_id,
            "severity": self.severity,
            "is_escalated": self.is_escalated,
            "entity_type": self.entity_type,
            "entity_id": self.entity_id,
            "first_seen_at": self.first_seen_at.isoformat(),
            "money_at_risk": self.money_at_risk,
            "currency": self.currency,
            "sentence": self.sentence,
        }


@dataclass(frozen=True)
class Outcome:
    """What became of the alerts that were due."""

    due: int
    sent: int
    failed: int

    @property
    def left(self) -> int:
        return self.due - self.sent


class Refused(Exception):
    """The other side cannot or will not take it; `is_final` if asking again is no use."""

    def __init__(self, message: str, is_final: bool = False) -> None:
        super().__init__(message)
        self.is_final = is_final


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirected POST becomes a GET, which delivers nothing."""

    def redirect_request(self, *_: object) -> None:
        return None


def shown_target(address: str) -> str:
    """What may be said of an address: the host of a web address, of others only the kind."""
    parts = urllib.parse.urlsplit(address)
    if parts.scheme in ("http", "https"):
        return f"{parts.scheme}://{parts.hostname or ''}"
    return f"{parts.scheme or 'unknown'}://"


def due_alerts(published: Path, deliveries: Path, name: str) -> list[Alert]:
    """Open alerts within the budget that `name` has not got yet, or in a milder form only."""
    if not published.is_file():
        raise RetourError(f"There is no {published}: run `retour build` first.")
    files = sorted(str(path) for path in deliveries.glob("*.parquet"))
    try:
        with duckdb.connect() as connection:
            # attached, because the name of a published file may be that of a schema
            place = str(published).replace("'", "''")
            connection.execute(f"attach '{place}' as published (read_only)")
            connection.execute(
                "create table sent (source varchar, alert_id varchar, severity_rank bigint)"
            )
            if files:
                connection.execute(
                    "insert into sent select source, alert_id, min(severity_rank) "
                    "from read_parquet($files) where target = $name and status = 'sent' "
                    "group by source, alert_id",
                    {"files": files, "name": name},
                )
            rows = connection.execute(
                """
                select alerts.source, alert_id, severity, alerts.severity_rank,
                    sent.alert_id is not null, sentence, first_seen_at,
                    cast(money_at_risk as double), currency, entity_type, entity_id
                from published.marts.alerts as alerts
                left join sent using (source, alert_id)
                where is_in_budget and status in ('new', 'open')
                    and (sent.alert_id is null or alerts.severity_rank < sent.severity_rank)
                order by alerts.source, alert_rank
                """
            ).fetchall()
    except duckdb.Error as error:
        raise RetourError(
            f"The alerts of {published} or the deliveries in {deliveries} cannot be read: {error}"
        ) from error
    return [Alert(*row) for row in rows]


def send(
    *,
    published: Path,
    ops: Path,
    address: str,
    name: str | None = None,
    dry_run: bool = False,
    say: Callable[[str], None],
    timeout: float = TIMEOUT_SECONDS,
    wait: float = WAIT_SECONDS,
) -> Outcome:
    """Send what is due, one message per alert, and remember each outcome at once.

    published: file with marts.alerts. ops: folder that outcomes are written to. address: where to.
    name: what the address is called in alert_deliveries; another name gets everything anew.

    Raises RetourError if nothing can be sent at all; alerts that fail only stay due.
    """
    name = name or shown_target(address)
    folder = ops / FOLDER
    if dry_run:
        alerts = due_alerts(published, folder, name)
        for alert in alerts:
            say(f"{alert.title}: {alert.sentence}")
        return Outcome(len(alerts), 0, 0)
    deliver = _sender(address, timeout)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        alerts = due_alerts(published, folder, name)
        sent = failed = in_a_row = 0
        for alert in alerts:
            attempts, problem = _try(deliver, alert, wait)
            _remember(folder, alert, name, attempts, problem)
            if problem is None:
                sent, in_a_row = sent + 1, 0
                continue
            failed, in_a_row = failed + 1, in_a_row + 1
            say(f"{alert.alert_id} was not delivered to {name}: {problem}")
            if in_a_row == FAILURES_IN_A_ROW:
                say(f"{name} does not answer; the rest is not tried and stays due")
                break
    return Outcome(len(alerts), sent, failed)


def _try(deliver: Callable[[Alert], None], alert: Alert, wait: float) -> tuple[int, str | None]:
    """Attempts made, and why none succeeded (None: one did)."""
    problem = None
    for attempt in range(1, ATTEMPTS + 1):
        try:
            deliver(alert)
        except Refused as refused:
            problem = str(refused)
            if refused.is_final:
                return attempt, problem
            if attempt < ATTEMPTS:
                time.sleep(wait * 2 ** (attempt - 1))
        else:
            return attempt, None
    return ATTEMPTS, problem


def _sender(address: str, timeout: float) -> Callable[[Alert], None]:
    """A function that delivers an alert there, or raises Refused."""
    parts = urllib.parse.urlsplit(address)
    if parts.scheme in ("http", "https"):
        if not parts.hostname:
            raise RetourError("The address to send alerts to names no host: https://host/path.")
        return lambda alert: _post(address, alert, timeout)
    try:
        import apprise
    except ImportError:
        raise RetourError(
            f"Sending to {shown_target(address)} needs apprise, which is not installed: "
            "pip install 'retour[alerts]'. Plain https:// webhooks need nothing."
        ) from None
    service = apprise.Apprise()
    if not service.add(address):
        raise RetourError(
            f"apprise does not understand the address ({shown_target(address)}…); its kinds are "
            "listed on its own pages."
        )

    def deliver(alert: Alert) -> None:
        if not service.notify(title=alert.title, body=alert.sentence):
            raise Refused("apprise could not deliver it")

    return deliver


def _post(address: str, alert: Alert, timeout: float) -> None:
    """POST an alert as JSON; what went wrong never names the address."""
    request = urllib.request.Request(
        address,
        data=json.dumps(alert.payload()).encode(),
        headers={"Content-Type": "application/json", "Idempotency-Key": alert.key},
        method="POST",
    )
    try:
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=timeout) as answer:
            answer.read(1)
    except urllib.error.HTTPError as error:
        is_final = 300 <= error.code < 500 and error.code not in (408, 425, 429)
        raise Refused(f"HTTP {error.code}", is_final) from None
    except (TimeoutError, urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", error)
        kind = type(reason if isinstance(reason, BaseException) else error).__name__
        raise Refused(kind) from None
    except ValueError:
        raise Refused("the address is none", is_final=True) from None


def _remember(folder: Path, alert: Alert, name: str, attempts: int, problem: str | None) -> None:
    """Write one outcome; complete or not at all."""
    delivery = uuid.uuid4().hex
    temporary = folder / f".{delivery}.writing"
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
    with duckdb.connect() as connection:
        connection.execute(
            "create table outcome as select $1 as delivery_id, $2 as source, $3 as alert_id, "
            "$4::bigint as severity_rank, $5 as severity, $6 as target, $7 as status, "
            "$8::bigint as attempts, $9::varchar as message, $10 as attempted_at",
            [
                *(delivery, alert.source, alert.alert_id, alert.severity_rank, alert.severity),
                *(name, "failed" if problem else "sent", attempts, problem, now),
            ],
        )
        place = str(temporary).replace("'", "''")
        connection.execute(f"copy outcome to '{place}' (format parquet)")
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(folder / f"{delivery}.parquet")


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two at a time would send everything twice."""
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RetourError(
                "Alerts are being sent by another run right now; nothing was sent by this one."
            ) from None
        yield
