"""The scoring service: the scores of the table, quickly, and an answer to whatever is sent."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest
import schemathesis
from click.testing import CliRunner
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.generation import GenerationMode

from retour import service
from retour.checkout import LETTERS, Checkout
from retour.errors import RetourError
from retour.landing import land
from retour.model_files import FOLDER
from retour.publish import publish
from retour.rendering import Project
from retour.scoring import Scorer, nested, rows
from tests.support import ROOT, Build, write_shop

LINE = {
    "order_line_id": "L1",
    "order_id": "O1",
    "ordered_at": "2026-07-02 10:00:00",
    "product_id": "P000001",
    "quantity": 1,
    "unit_price": 19.99,
}
LATER = """
    select
        'N-' || order_line_id as order_line_id, 'N-' || order_id as order_id,
        ordered_at + interval 10 day as ordered_at, lower(customer_id) as customer_id, product_id,
        seller_id, marketplace, category, brand, size, colour, country, payment_method, channel,
        customer_type, cast(ordered_quantity as int) as quantity, unit_price, discount_amount,
        currency
    from marts.order_lines
    where ordered_date > as_of_date - 10
    order by cast(ordered_at as date), hash(order_id), order_line_id
"""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@dataclass(frozen=True)
class World:
    folder: Path
    published: Path
    lines: list[dict[str, Any]]

    @property
    def ops(self) -> Path:
        return self.folder / "ops"


@pytest.fixture(scope="module")
def world(demo: Build, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("service")
    warehouse = Path(shutil.copy(demo.warehouse, folder))
    shutil.copytree(demo.folder / FOLDER, folder / FOLDER)
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        lines = rows(connection, LATER)
    return World(folder, publish(warehouse).path, lines)


@pytest.fixture(scope="module")
def scorer(world: World) -> Iterator[Scorer]:
    scorer = Scorer(world.published)
    yield scorer
    scorer.close()


@pytest.fixture(scope="module")
def app(world: World) -> FastAPI:
    return service.create_app(world.published, ops=world.ops)


def call(app: FastAPI, method: str, path: str, **options: Any) -> httpx.Response:
    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://retour") as client:
            return await client.request(method, path, **options)

    return asyncio.run(asked())


def send(app: FastAPI, body: bytes | str, **headers: str) -> httpx.Response:
    kinds = {"content-type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return call(app, "POST", "/v1/score", content=body, headers=kinds)


def as_request(line: dict[str, Any]) -> dict[str, Any]:
    """A line as JSON would carry it."""
    amounts = {name: float(line[name] or 0) for name in ("unit_price", "discount_amount")}
    moment = line["ordered_at"].isoformat(sep=" ", timespec="seconds")
    filled = {name: value for name, value in line.items() if value is not None}
    return filled | amounts | {"ordered_at": moment}


def test_python_and_sql_say_the_same_of_a_thousand_lines(world: World, scorer: Scorer) -> None:
    """Features and scores, for the baskets of each day."""
    checkout = Checkout(scorer)
    compared = 0
    sentences: set[str] = set()
    for _, group in groupby(world.lines, key=lambda line: line["ordered_at"].date()):
        lines = list(group)
        features = {line["order_line_id"]: line for line in checkout.features(lines)}
        found = {row["order_line_id"]: row for row in checkout.score(lines) or ()}
        with scorer._transaction():
            scorer._take(lines)
            scorer._run()
            wanted = rows(scorer.connection, "select * from return_features")
            scores = [nested(row) for row in rows(scorer.connection, scorer.scored)]
        for row in wanted:
            for name in scorer.publication.features:
                value = row[name]
                if isinstance(value, float):
                    value = pytest.approx(value, rel=1e-12, abs=1e-12)
                key = row["order_line_id"]
                assert features[key][name] == value, (key, name)
                compared += 1
        for row in scores:
            said = found[row["order_line_id"]]
            assert abs(said["return_probability"] - row["return_probability"]) <= 1e-12
            for name in (
                *("risk_band", "expected_cost", "expected_gain"),
                *("recommended_action", "action_stage"),
            ):
                assert said[name] == row[name], (row["order_line_id"], name)
            parts = [reason["contribution"] for reason in row["reasons"]]
            for answer in (said, row):
                own = [reason["contribution"] for reason in answer["reasons"]]
                assert own == pytest.approx(parts, abs=1e-9)
                total = answer["base"] + sum(own) + answer["rest"]
                assert total == pytest.approx(answer["log_odds"], abs=1e-9)
            for name in ("feature_group", "feature", "value", "sentence"):
                wanted = [reason[name] for reason in row["reasons"]]
                assert [reason[name] for reason in said["reasons"]] == wanted, name
            sentences.update(reason["sentence"] for reason in row["reasons"])
    assert compared >= 1000 * len(scorer.publication.features)
    assert len(sentences) > 100


def test_of_plain_letters_both_languages_make_the_same_cases() -> None:
    text = "".join(sorted(LETTERS))
    found = duckdb.execute("select upper(?), lower(?)", [text, text]).fetchall()
    assert found == [(text.upper(), text.lower())]
    assert {"z", "é", "Ö", "ł"} < LETTERS and not {"ß", "İ", "Σ", "\n"} & LETTERS


def test_answers_are_the_scores_of_the_file(world: World, app: FastAPI, scorer: Scorer) -> None:
    """A basket through HTTP, what is not plain included: it takes the way through SQL."""
    basket = [as_request(line) for line in world.lines[:3]]
    odd = [LINE | {"customer_id": "Ζωή", "category": "Straße"}, LINE | {"order_line_id": "L2"}]
    for lines in (basket, odd):
        answer = send(app, json.dumps({"lines": lines}))
        assert answer.status_code == 200, answer.text
        said = answer.json()
        assert said["source"] == "demo" and said["as_of_date"] == "2026-06-30"
        assert [row["order_line_id"] for row in said["scores"]] == [
            line["order_line_id"].upper() for line in lines
        ]
        for row, wanted in zip(said["scores"], scorer.score_lines(lines), strict=True):
            difference = row.pop("return_probability") - wanted.pop("return_probability")
            assert abs(difference) <= 1e-9
            for name in ("log_odds", "base", "rest"):
                assert row.pop(name) == pytest.approx(wanted.pop(name), abs=1e-9)
            reasons, expected = row.pop("reasons"), wanted.pop("reasons")
            assert [reason["sentence"] for reason in reasons] == [
                reason["sentence"] for reason in expected
            ]
            assert row == {
                name: None if value is None else str(value) for name, value in wanted.items()
            }


def test_health_and_model(app: FastAPI, scorer: Scorer) -> None:
    assert call(app, "GET", "/health").json() == {"status": "ok"}
    said = call(app, "GET", "/v1/model").json()
    assert said["model_version"] == "table@2026-03-31+cal2026-06-30"
    assert said["features"] == list(scorer.publication.features)
    assert len(said["model_sha256"]) == 64


def body(**changes: Any) -> str:
    return json.dumps({"lines": [LINE | changes]})


def huge(**changes: Any) -> str:
    """As many lines as may be sent, each of the largest amount."""
    line = LINE | {"unit_price": 1e8, "quantity": 900_000} | changes
    return json.dumps({"lines": [line | {"order_line_id": f"L{n}"} for n in range(100)]})


DEEP = "[" * 20_000 + "]" * 20_000


@pytest.mark.one_engine
@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("", 422, "JSON"),
        ("{", 422, "JSON"),
        (b'{"lines": [{"order_id": "\xff\xfe"}]}', 422, ""),
        (body(unit_price=float("nan")), 422, ""),
        (body(unit_price=float("inf")), 422, ""),
        (body(unit_price=-1), 422, "unit_price"),
        (body(unit_price="19.99"), 422, "unit_price"),
        (body(quantity=10**400), 422, "quantity"),
        (body(quantity=1.5), 422, "quantity"),
        (body(quantity=True), 422, "quantity"),
        (body(quantity=0), 422, "quantity"),
        (body().replace("19.99", "1e999"), 422, ""),
        (DEEP, 422, ""),
        (f'{{"lines": {DEEP}}}', 422, ""),
        (body(product_id=json.loads(DEEP[19_990:20_010])), 422, "product_id"),
        (body(weight=1), 422, "weight"),
        ('{"lines": [], "more": 1}', 422, ""),
        ('{"lines": []}', 422, ""),
        (json.dumps({"lines": [{"order_id": "O"}] * 101}), 422, ""),
        (body(order_id="a\u0000b"), 422, "order_id"),
        (body().replace("O1", "\\ud800"), 422, ""),
        (body(order_id="O" * 201), 422, "order_id"),
        (body(ordered_at="2026-13-45"), 422, "ordered_at"),
        (body(ordered_at="2026-06-30"), 422, "ordered_at"),
        (body(ordered_at="0000-00-00"), 422, "ordered_at"),
        (body(ordered_at="9999-12-31 23:59:59"), 200, ""),
        (body(ordered_at=1), 422, "ordered_at"),
        (body(currency="XYZ"), 422, "currency"),
        (body(discount_amount=20), 422, "discount_amount"),
        (body(category="'; drop table marts.order_lines; --"), 200, ""),
        (body(customer_id="\u202e\U0001f4a3"), 200, ""),
        (json.dumps({"lines": [LINE, LINE]}), 422, "order_line_id"),
        (huge(currency=None), 422, "too large"),
        (huge(currency="GBP"), 422, "too large"),
        (json.dumps([LINE]), 422, ""),
        ("null", 422, ""),
        (" " * (service.MAX_BYTES + 1), 413, "at most"),
    ],
)
def test_hostile_bodies_are_answered(
    app: FastAPI, text: str | bytes, status: int, said: str
) -> None:
    answer = send(app, text)
    assert answer.status_code == status, answer.text
    if status != 200:
        problems = answer.json()["problems"]
        assert problems and all(problem["message"] for problem in problems)
        assert said in json.dumps(problems)
        assert len(answer.content) < 10_000
    # and the next one is scored
    assert send(app, body()).status_code == 200


@pytest.mark.one_engine
def test_other_kinds_of_bodies_are_refused(app: FastAPI) -> None:
    for kind in ("text/plain", "multipart/form-data; boundary=x", "application/xml", ""):
        assert send(app, body(), content_type=kind).status_code == 415
    assert send(app, body(), content_type="application/json; charset=utf-8").status_code == 200
    assert send(app, body(), content_length="9" * 30).status_code == 413


@pytest.mark.one_engine
def test_a_chunked_body_is_counted_while_it_arrives(app: FastAPI) -> None:
    taken = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(10_000):
            taken += 1
            yield b" " * 1024

    assert send(app, chunks()).status_code == 413
    assert taken < 100


@pytest.mark.one_engine
def test_a_body_that_does_not_come_is_not_waited_for(world: World) -> None:
    app = service.create_app(world.published, max_seconds=0.2)

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(10)
        yield b"}"

    assert send(app, slow()).status_code == 408


@pytest.mark.one_engine
def test_the_token_is_asked_for(world: World) -> None:
    secret = "a long enough secret"
    app = service.create_app(world.published, token=secret)
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": secret}):
        refused = send(app, body(), **headers)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
    assert call(app, "GET", "/v1/model").status_code == 401
    assert call(app, "GET", "/health").status_code == 200
    assert send(app, body(), authorization=f"Bearer {secret}").status_code == 200


@pytest.mark.one_engine
def test_nothing_is_served_to_strangers_without_a_token(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[dict] = []
    monkeypatch.setattr(service, "create_app", lambda *_, **__: None)
    monkeypatch.setattr(service.uvicorn, "run", lambda app, **given: served.append(given))

    def serve(host: str, token: str | None) -> None:
        service.serve(world.published, source=None, ops=tmp_path, host=host, port=1, token=token)

    for host in ("0.0.0.0", "::", "192.168.1.2", "example.com", ""):
        with pytest.raises(RetourError, match="set RETOUR_TOKEN"):
            serve(host, None)
    with pytest.raises(RetourError, match="shorter than"):
        serve("0.0.0.0", "short")
    assert not served
    serve("0.0.0.0", "a long enough secret")
    for host in ("127.0.0.1", "::1", "localhost"):
        serve(host, None)
    assert [given["host"] for given in served] == ["0.0.0.0", "127.0.0.1", "::1", "localhost"]


def test_it_goes_on_with_the_next_publication_and_refuses_without_its_model(
    world: World, tmp_path: Path
) -> None:
    published = Path(shutil.copy(world.published, tmp_path))
    shutil.copytree(world.published.parent / FOLDER, tmp_path / FOLDER)
    app = service.create_app(published)
    (model,) = (tmp_path / FOLDER / "return").iterdir()
    saved = model.read_bytes()
    # the same model goes on while nothing is published; of another publication it is asked anew
    model.write_bytes(saved[:-1])
    assert send(app, body()).status_code == 200
    shutil.copy(world.published, tmp_path / "next")
    (tmp_path / "next").replace(published)
    for answer in (send(app, body()), call(app, "GET", "/health")):
        assert answer.status_code == 503
        assert "Run `make build`" in answer.json()["problems"][0]["message"]
    model.write_bytes(saved)
    assert send(app, body()).status_code == 200
    published.unlink()
    assert "There is no published file" in call(app, "GET", "/health").text
    with pytest.raises(RetourError, match="There is no published file"):
        service.create_app(published)


def test_requests_are_left_for_the_next_build(world: World, tmp_path: Path) -> None:
    app = service.create_app(world.published, ops=tmp_path)

    async def asked() -> None:
        transport = httpx.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://retour") as client,
        ):
            for lines in ([LINE], [LINE, LINE | {"order_line_id": "L2"}]):
                await client.post("/v1/score", json={"lines": lines})
            await client.post("/v1/score", json={"lines": [LINE | {"quantity": 0}]})

    asyncio.run(asked())
    (path,) = (tmp_path / "score_requests").iterdir()
    kept = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["line_number"] for row in kept] == [1, 1, 2]
    assert len({row["request_id"] for row in kept}) == 2
    assert (
        kept[0]["source"] == "demo" and kept[0]["model_version"] == "table@2026-03-31+cal2026-06-30"
    )
    assert "customer_id" not in kept[0]


def test_the_command_names_the_extra(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    import sys

    from retour.cli import main

    monkeypatch.setitem(sys.modules, "fastapi", None)
    monkeypatch.delitem(sys.modules, "retour.service")
    monkeypatch.delattr("retour.service", raising=False)
    result = CliRunner().invoke(main, ["serve", "--published", str(world.published)])
    assert result.exit_code == 1
    assert "retour[service]" in result.output


@pytest.mark.one_engine
@pytest.mark.parametrize(
    ("path", "method", "mode"),
    [
        ("/health", "GET", GenerationMode.POSITIVE),
        ("/v1/model", "GET", GenerationMode.POSITIVE),
        ("/v1/score", "POST", GenerationMode.POSITIVE),
        ("/v1/score", "POST", GenerationMode.NEGATIVE),
    ],
)
def test_the_openapi_document_is_kept(
    app: FastAPI, path: str, method: str, mode: GenerationMode
) -> None:
    """Schemathesis sends what the document allows, and what it forbids."""
    operation = schemathesis.openapi.from_asgi("/openapi.json", app)[path][method]

    @settings(
        max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS)

    run()


def test_the_next_build_lands_requests(world: World, tmp_path: Path) -> None:
    """The service's own file, a copy of it and a damaged one."""
    app = service.create_app(world.published, ops=tmp_path / "ops")

    async def asked() -> None:
        transport = httpx.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://retour") as client,
        ):
            await client.post("/v1/score", json={"lines": [LINE, LINE | {"order_line_id": "L2"}]})

    asyncio.run(asked())
    folder = tmp_path / "ops" / "score_requests"
    (path,) = folder.iterdir()
    shutil.copy(path, folder / "copy.jsonl")
    (folder / "damaged.jsonl").write_text('{"source": "demo", "line_number":')
    (folder / "odd.jsonl").write_text('{"source": "demo", "more": 1}\n')
    build = Build(tmp_path)
    write_shop(build.raw / "shop")
    said: list[str] = []
    with duckdb.connect(str(build.warehouse)) as connection:
        land(
            connection,
            raw_dir=build.raw,
            sources=["shop"],
            project_dir=ROOT,
            ops_dir=tmp_path / "ops",
            say=said.append,
        )
        mart = Project(ROOT, {}).model("score_requests")
        connection.execute("create schema marts; use raw")
        found = rows(connection, f"{mart} order by line_number")
    assert [row["order_line_id"] for row in found] == ["L1", "L2"]
    assert found[0]["product_id"] == "P000001" and found[0]["expected_cost"] > 0
    assert found[0]["requested_at"] is not None
    assert any("damaged.jsonl" in line for line in said)
