"""Screenshots of every page: `python -m reports.screens REPORT FOLDER`, for people to look at.

`python -m reports.screens --ready REPORT` prints how long each page takes from opening to drawn,
the median of five times, the processor time of its main thread, which a busy machine does not
lengthen, and how many bytes it reads beside the chart library.

Needs Playwright (the environment of the tests) and a Chromium: Debian's package `chromium`, or the
path in RETOUR_CHROMIUM.
"""

import os
import shutil
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser, Error, Page, sync_playwright

from reports.render import PAGES, page_bytes

# name -> viewport, colour scheme
LOOKS = {
    "light": ((1360, 900), "light"),
    "dark": ((1360, 900), "dark"),
    "phone": ((390, 844), "light"),
}
# pages with something chosen: name -> page and filters
CHOSEN = {
    "marketplace-chosen": ("marketplace", "w=90&m={m}&c={c}"),
    "marketplace-empty": ("marketplace", "w=7&m={m}&s={s}&c={last}"),
    "sellers-chosen": ("sellers", "w=90&c={c}"),
    "seller": ("sellers", "w=90&s={s}"),
    "seller-unknown": ("sellers", "s=nobody"),
}


def chromium() -> str:
    """The path of a Chromium; raises FileNotFoundError that says how to get one."""
    path = os.environ.get("RETOUR_CHROMIUM") or shutil.which("chromium") or shutil.which("chrome")
    if not path:
        raise FileNotFoundError(
            "There is no chromium: `apt-get install chromium`, or set RETOUR_CHROMIUM to its path."
        )
    return path


@contextmanager
def browser() -> Iterator[Browser]:
    """A headless Chromium that downloads nothing."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        yield started
        started.close()


def ready(page: Page) -> None:
    """Wait until a page of the report is drawn."""
    until(page, "document.body.dataset.ready || document.body.dataset.failed")


def until(page: Page, condition: str, seconds: float = 180) -> None:
    """Wait until a JavaScript expression holds on a page.

    Asked again and again from here: the page's own policy forbids scripts made of text, and so
    Playwright's wait_for_function wherever the answer is not there at once.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            if page.evaluate(condition):
                return
        except Error:
            # on its way to another page
            if time.monotonic() > end:
                raise
        if time.monotonic() > end:
            raise TimeoutError(f"{condition} did not come true on {page.url} in {seconds:g} s")
        page.wait_for_timeout(50)


def main(report: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with browser() as chrome:
        for look, ((width, height), scheme) in LOOKS.items():
            context = chrome.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme
            )
            context.set_default_timeout(180_000)
            page = context.new_page()
            for name, address in addresses(report, page):
                page.goto("about:blank")
                page.goto(address)
                ready(page)
                page.screenshot(path=folder / f"{name}-{look}.png", full_page=True)
            context.close()
        page = chrome.new_page(viewport={"width": 1360, "height": 900})
        for name, address in addresses(report, page):
            page.goto("about:blank")
            page.goto(address)
            ready(page)
            page.pdf(path=folder / f"{name}-print.pdf", prefer_css_page_size=True)
    print(f"Screenshots: {folder}")


def print_ready(report: Path, times: int = 5) -> None:
    """Print milliseconds from opening to drawn, of those computed, and the size of every page."""
    with browser() as chrome:
        print("page         median ms  slowest ms  computed ms      MB")
        for one in PAGES:
            taken, computed = [], []
            for _ in range(times):
                page = chrome.new_page(viewport={"width": 1360, "height": 900})
                page.set_default_timeout(180_000)
                tools = page.context.new_cdp_session(page)
                tools.send("Performance.enable", {"timeDomain": "threadTicks"})
                page.goto((report / f"{one.name}.html").resolve().as_uri())
                ready(page)
                taken.append(int(page.evaluate("document.body.dataset.milliseconds")))
                metrics = tools.send("Performance.getMetrics")["metrics"]
                seconds = {metric["name"]: metric["value"] for metric in metrics}
                computed.append(1000 * seconds["TaskDuration"])
                page.close()
            size = page_bytes(report, one) / 1e6
            print(
                f"{one.name:12} {statistics.median(taken):9.0f} {max(taken):11}"
                f" {statistics.median(computed):12.0f} {size:7.2f}"
            )


def addresses(report: Path, page: Page) -> list[tuple[str, str]]:
    """Name and address of what is photographed: every page, and some with something chosen."""
    found = {one.name: (report / f"{one.name}.html").resolve().as_uri() for one in PAGES}
    page.goto(found["sellers"])
    ready(page)
    members = page.evaluate(
        """() => {
            const first = filter => (RETOUR.members(filter)[0] || {}).value || "";
            const all = RETOUR.members("c");
            const risky = RETOUR.data.seller_risk.list()[0];
            const last = all.length ? all[all.length - 1].value : "";
            return { m: first("m"), c: first("c"), last: last,
                s: risky ? RETOUR.valueOf(risky.seller_id) : first("s") };
        }"""
    )
    members = {key: quote(value) for key, value in members.items()}
    states = {
        name: f"{found[one]}#{state.format(**members)}" for name, (one, state) in CHOSEN.items()
    }
    return list((found | states).items())


if __name__ == "__main__":
    if sys.argv[1] == "--ready":
        print_ready(Path(sys.argv[2]))
    else:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
