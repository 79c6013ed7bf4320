"""What an answer of the scoring service costs: HTTP on loopback, one line and a basket of fifty.

python -m benchmarks.service [PUBLISHED]    data/published/retour.duckdb by default (`make demo`)
"""

import http.client
import json
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

import duckdb
import uvicorn

from retour import service
from retour.scoring import rows

TARGET_MS = 15
# recent lines, ordered again on the first day after the data
LINES = """
    select
        order_line_id || '-NEXT' as order_line_id, order_id || '-NEXT' as order_id,
        (select max(as_of_date) from marts.publication) + 1 || ' 10:00:00' as ordered_at,
        customer_id, product_id, seller_id, marketplace, category, brand, size, colour, country,
        payment_method, channel, customer_type, cast(ordered_quantity as int) as quantity,
        cast(unit_price as double) as unit_price,
        cast(discount_amount as double) as discount_amount, currency
    from marts.order_lines
    where source = ?
    order by ordered_at desc, order_line_id
    limit 500
"""


def main(published: Path) -> None:
    """Serve the file to one client and print what its requests took."""
    with tempfile.TemporaryDirectory() as ops:
        start = time.perf_counter()
        app = service.create_app(published, ops=Path(ops))
        print(f"ready in {time.perf_counter() - start:.1f} s")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = uvicorn.Server(
            uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning")
        )
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            connection = http.client.HTTPConnection("127.0.0.1", port)
            source = _ask(connection, "GET", "/v1/model")["source"]
            with duckdb.connect(str(published), read_only=True) as marts:
                lines = rows(marts, LINES.replace("?", f"'{source}'"))
            basket = [line | {"order_id": "NEXT"} for line in lines[:50]]
            odd = [line | {"customer_id": "Ζωή"} for line in lines[:10]]
            p50 = _timed(connection, "one line", [[line] for line in lines])
            _timed(connection, "a basket of 50 lines", [basket] * 50)
            _timed(connection, "one line that needs SQL", [[line] for line in odd])
            print(f"target: p50 of one line at most {TARGET_MS} ms, {p50 / TARGET_MS:.2f} of it")
        finally:
            server.should_exit = True
            thread.join()


def _timed(connection: http.client.HTTPConnection, name: str, asked: list[list[dict]]) -> float:
    """Median of milliseconds, printed with the 95th percentile."""
    taken = []
    for lines in asked:
        start = time.perf_counter()
        answer = _ask(connection, "POST", "/v1/score", {"lines": lines})
        taken.append(1000 * (time.perf_counter() - start))
        assert len(answer["scores"]) == len(lines)
    taken.sort()
    p50, p95 = (taken[int(share * (len(taken) - 1))] for share in (0.5, 0.95))
    print(f"{name}: p50 {p50:.1f} ms, p95 {p95:.1f} ms of {len(taken)} requests", flush=True)
    return p50


def _ask(
    connection: http.client.HTTPConnection, method: str, path: str, body: dict | None = None
) -> dict:
    text = json.dumps(body) if body else None
    connection.request(method, path, text, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    said = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status}: {said.decode()}")
    return json.loads(said)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "data/published/retour.duckdb"))
