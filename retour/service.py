"""The scoring service: GET /health, GET /v1/model, POST /v1/score (the optional extra `service`).

It reads the published file and nothing else, and writes nothing but small files below data/ops,
which the next build lands as marts.score_requests. When another file is published it goes on with
that one; while that one cannot score, it refuses.

Bodies are strangers' text: their size is counted while they arrive, they are read by one strict
parser, and what is wrong with them is said without repeating it.
"""

import asyncio
import contextlib
import hmac
import ipaddress
import json
import os
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from retour.checkout import Checkout
from retour.errors import RetourError
from retour.line_errors import LineError
from retour.model_files import write
from retour.publication import file_stamp
from retour.scoring import Scorer

try:
    import uvicorn
    from fastapi import FastAPI, Request
    from fastapi.responses import JSONResponse
    from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
except ImportError as error:
    raise RetourError(
        "`retour serve` needs the optional extra `service`: install retour[service]"
        f" (missing: {error.name})."
    ) from error

MAX_BYTES = 64 * 1024
MAX_LINES = 100
MAX_SECONDS = 10.0
TOKEN = "RETOUR_TOKEN"
LEAST_TOKEN = 16
REQUESTS = "score_requests"
# of a score, in marts.score_requests
KEPT = (
    *("order_line_id", "return_probability", "risk_band", "expected_cost"),
    *("recommended_action", "expected_gain", "model_version"),
)

Text = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")
]
Moment = Annotated[
    str,
    StringConstraints(
        max_length=32,
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?)?$",
    ),
]
Amount = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


class Line(BaseModel):
    """An order line that is about to be ordered; what is not known is left out or null."""

    model_config = ConfigDict(extra="forbid", strict=True)

    order_line_id: Text
    order_id: Text
    ordered_at: Moment
    product_id: Text
    quantity: Annotated[int, Field(ge=1, le=1_000_000)]
    unit_price: Amount
    customer_id: Text | None = None
    discount_amount: Amount | None = None
    currency: Text | None = None
    seller_id: Text | None = None
    marketplace: Text | None = None
    category: Text | None = None
    brand: Text | None = None
    size: Text | None = None
    colour: Text | None = None
    country: Text | None = None
    payment_method: Text | None = None
    channel: Text | None = None
    customer_type: Text | None = None


class ScoreRequest(BaseModel):
    """Lines of one or several baskets."""

    model_config = ConfigDict(extra="forbid", strict=True)

    lines: Annotated[list[Line], Field(min_length=1, max_length=MAX_LINES)]


class Reason(BaseModel):
    """A group of features that speaks for a return, and what says most in it."""

    feature_group: str
    feature: str
    value: str | None
    contribution: float
    sentence: str


class Score(BaseModel):
    """What order_return_scores would say; amounts as text, so that no decimal is lost.

    log_odds = base + the contributions of the reasons + rest.
    """

    order_line_id: str
    return_probability: float
    risk_band: Literal["low", "medium", "high", "no signal"]
    expected_cost: str | None
    recommended_action: str
    action_stage: Literal["checkout", "fulfilment"] | None
    expected_gain: str
    model_version: str
    log_odds: float
    base: float
    rest: float
    reasons: list[Reason]


class ScoreResponse(BaseModel):
    """The scores in the order of the lines."""

    request_id: str
    source: str
    as_of_date: str
    scores: list[Score]


class Health(BaseModel):
    """ok: lines are scored."""

    status: Literal["ok"]


class Model(BaseModel):
    """The model in use and the data behind it."""

    source: str
    as_of_date: str
    model_version: str
    trained_on: str
    model_sha256: str
    features: list[str]


class Problem(BaseModel):
    """What is wrong, and where: line (from 1) and column, if it is one."""

    line: int | None = None
    column: str | None = None
    message: str


class Refusal(BaseModel):
    """Why nothing was scored."""

    problems: list[Problem]


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, *problems: dict, **headers: str) -> None:
        self.status = status
        self.problems = problems
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Engine:
    """The published file as it is now, opened again when another one stands in its place."""

    def __init__(self, published: Path, source: str | None) -> None:
        self.published = published
        self.source = source
        self.lock = threading.Lock()
        self.scorer: Scorer | None = None
        self.checkout: Checkout | None = None

    def current(self) -> tuple[Scorer, Checkout]:
        """Raises RetourError with what to do if lines cannot be scored now."""
        with self.lock:
            if (
                self.scorer is None
                or self.checkout is None
                or self.scorer.publication.stamp != file_stamp(self.published)
            ):
                # whoever is still scoring by the file before keeps it open until that is done
                self.scorer = self.checkout = None
                scorer = Scorer(self.published, self.source, threads=1)
                self.scorer, self.checkout = scorer, Checkout(scorer)
            return self.scorer, self.checkout

    def score(self, lines: list[dict]) -> tuple[Scorer, list[dict]]:
        scorer, checkout = self.current()
        plain = []
        for line in lines:
            with contextlib.suppress(ValueError):
                plain.append(line | {"ordered_at": datetime.fromisoformat(line["ordered_at"])})
        with self.lock:
            scores = checkout.score(plain) if len(plain) == len(lines) else None
        return scorer, scorer.score_lines(lines) if scores is None else scores


class Spool:
    """Answered requests, written together: at most every second one small file, whole or not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[dict] = []

    def add(self, request_id: str, source: str, lines: list[dict], scores: list[dict]) -> None:
        """No customer is named: what a request asked is told by its order line."""
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
        for number, (line, score) in enumerate(zip(lines, scores, strict=True), start=1):
            self.rows.append(
                {
                    "source": source,
                    "request_id": request_id,
                    "line_number": number,
                    "requested_at": now,
                    "order_id": line["order_id"],
                    "product_id": line["product_id"],
                    "ordered_at": line["ordered_at"],
                    **{name: score[name] for name in KEPT if score[name] is not None},
                }
            )

    def flush(self) -> None:
        """Write what has come since; what cannot be written is tried again."""
        rows, self.rows = self.rows, []
        if not rows:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            text = "".join(json.dumps(row, default=str) + "\n" for row in rows)
            write(self.folder / f"{time.time_ns()}-{os.getpid()}.jsonl", text.encode())
        except OSError:
            # a full disk must not fill the memory too
            self.rows = (rows + self.rows)[-10_000:]

    async def run(self) -> None:
        while True:
            await asyncio.sleep(1)
            await asyncio.to_thread(self.flush)


def create_app(
    published: Path,
    *,
    source: str | None = None,
    ops: Path | None = None,
    token: str | None = None,
    max_seconds: float = MAX_SECONDS,
) -> FastAPI:
    """The ASGI application. ops: folder for requests (None: they are not kept).

    Raises RetourError if the published file cannot score.
    """
    engine = Engine(published, source)
    engine.current()
    spool = Spool(ops / REQUESTS) if ops else None

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        writing = asyncio.create_task(spool.run()) if spool else None
        yield
        if spool and writing:
            writing.cancel()
            spool.flush()

    app = FastAPI(
        title="retour",
        version="1",
        description=__doc__.split("\n\n")[0],
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    refusals: dict[int | str, dict[str, Any]] = {
        status: {"model": Refusal, "description": text}
        for status, text in {
            401: "The token is missing or wrong.",
            503: "The published file or its model cannot score.",
        }.items()
    }
    bodies: dict[int | str, dict[str, Any]] = {
        status: {"model": Refusal, "description": text}
        for status, text in {
            408: "The body did not arrive in time.",
            413: "The body is too large.",
            415: "The body is not application/json.",
            422: "The body or a line of it is wrong.",
        }.items()
    }

    @app.exception_handler(Refused)
    async def refuse(_: Request, refused: Refused) -> JSONResponse:
        return JSONResponse(
            {"problems": list(refused.problems)}, refused.status, headers=refused.headers
        )

    def allowed(request: Request) -> None:
        given = request.headers.get("authorization", "")
        if token and not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            problem = {"message": "Send the token as `Authorization: Bearer …`."}
            raise Refused(401, problem, WWW_Authenticate="Bearer")

    async def asked(function: Callable, *arguments: Any) -> Any:
        """Run what reads files or runs SQL beside the loop; what it refuses becomes an answer."""
        try:
            return await asyncio.wait_for(asyncio.to_thread(function, *arguments), max_seconds)
        except LineError as error:
            raise Refused(
                422,
                *(
                    {"line": row, "column": column, "message": text}
                    for row, column, text in error.problems[:MAX_LINES]
                ),
            ) from None
        except RetourError as error:
            raise Refused(503, {"message": str(error)}) from None
        except TimeoutError:
            raise Refused(503, {"message": f"Not done after {max_seconds:g} seconds."}) from None

    @app.get("/health", responses={503: refusals[503]})
    async def health() -> Health:
        """Whether lines are scored."""
        await asked(engine.current)
        return Health(status="ok")

    @app.get("/v1/model", responses=refusals)
    async def model(request: Request) -> Model:
        """The model in use."""
        allowed(request)
        scorer, _ = await asked(engine.current)
        publication = scorer.publication
        return Model(
            source=publication.source,
            as_of_date=str(publication.as_of_date),
            model_version=publication.model_version,
            trained_on=str(publication.trained_on),
            model_sha256=publication.model_sha256,
            features=list(publication.features),
        )

    content = {"application/json": {"schema": {"$ref": "#/components/schemas/ScoreRequest"}}}

    @app.post(
        "/v1/score",
        responses={**refusals, **bodies, 200: {"model": ScoreResponse}},
        openapi_extra={"requestBody": {"required": True, "content": content}},
    )
    async def score(request: Request) -> JSONResponse:
        """Scores of 1 to 100 order lines."""
        allowed(request)
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind != "application/json":
            raise Refused(415, {"message": "Send the lines as application/json."})
        try:
            text = await asyncio.wait_for(_body(request), max_seconds)
        except TimeoutError:
            raise Refused(408, {"message": f"No whole body in {max_seconds:g} seconds."}) from None
        try:
            lines = [line.model_dump() for line in ScoreRequest.model_validate_json(text).lines]
        except ValidationError as error:
            raise Refused(422, *map(_problem, error.errors(include_input=False)[:20])) from None
        scorer, scores = await asked(engine.score, lines)
        request_id = uuid.uuid4().hex
        if spool:
            spool.add(request_id, scorer.publication.source, lines, scores)
        for found in scores:
            for name in ("expected_cost", "expected_gain"):
                found[name] = None if found[name] is None else str(found[name])
        return JSONResponse(
            {
                "request_id": request_id,
                "source": scorer.publication.source,
                "as_of_date": str(scorer.publication.as_of_date),
                "scores": scores,
            }
        )

    described = app.openapi

    def openapi() -> dict:
        document = described()
        schema = ScoreRequest.model_json_schema(ref_template="#/components/schemas/{model}")
        parts = schema.pop("$defs")
        document["components"]["schemas"] |= {"ScoreRequest": schema, **parts}
        return document

    app.openapi = openapi  # type: ignore[method-assign]
    return app


async def _body(request: Request) -> bytes:
    """The body, refused as soon as it is too large, whatever its headers promise."""
    size, chunks = 0, []
    promised = request.headers.get("content-length", "")
    if promised.isdigit() and int(promised[:20]) > MAX_BYTES:
        raise Refused(413, {"message": f"A body has at most {MAX_BYTES} bytes."})
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BYTES:
            raise Refused(413, {"message": f"A body has at most {MAX_BYTES} bytes."})
        chunks.append(chunk)
    return b"".join(chunks)


def _problem(error: Any) -> dict:
    """What pydantic found, in the words of the service."""
    where = [part for part in error["loc"] if part != "lines"]
    line = where[0] + 1 if where and isinstance(where[0], int) else None
    names = [part for part in where if isinstance(part, str)]
    column = names[0][:60] if names else None
    problem = {"line": line, "column": column, "message": error["msg"]}
    return {name: value for name, value in problem.items() if value is not None}


def serve(
    published: Path,
    *,
    source: str | None,
    ops: Path,
    host: str,
    port: int,
    token: str | None,
) -> None:
    """Serve until interrupted. Raises RetourError if that would be open to strangers."""
    if token is not None and len(token) < LEAST_TOKEN:
        raise RetourError(f"{TOKEN} is shorter than {LEAST_TOKEN} characters: choose a longer one.")
    if not token and not is_loopback(host):
        raise RetourError(
            f"{host} can be reached from other machines: set {TOKEN} to a secret that clients"
            " send as `Authorization: Bearer …`, or serve on 127.0.0.1."
        )
    app = create_app(published, source=source, ops=ops, token=token)
    uvicorn.run(
        app, host=host, port=port, log_level="warning", server_header=False, timeout_keep_alive=30,
        limit_concurrency=200, h11_max_incomplete_event_size=16 * 1024,
    )  # fmt: skip


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
