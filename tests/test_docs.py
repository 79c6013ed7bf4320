"""The documentation site: whole, readable from disk, and the same as what the warehouse says."""

import json
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import duckdb
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from retour import docs, lineage
from tests.support import ROOT, Build, run_dbt

pytestmark = pytest.mark.one_engine


class Site(NamedTuple):
    """The site of the demo, and the catalog that dbt wrote with it."""

    folder: Path
    catalog: dict
    manifest: dict


@pytest.fixture(scope="module")
def site(demo: Build, tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("docs")
    # a copy, because dbt opens the warehouse for writing and other tests hold it open
    warehouse = Path(shutil.copy(demo.warehouse, folder))
    # other sources than were built, and no raw folder: that changes nothing
    vars = {"warehouse": str(warehouse), "sources": ["none"], "raw": str(folder / "nowhere")}
    run_dbt(["docs", "generate", "--static"], vars, target=folder / "target")
    manifest = folder / "target" / "manifest.json"
    docs.write_site(folder / "target" / "static_index.html", manifest, warehouse, folder / "docs")
    catalog = json.loads((folder / "target" / "catalog.json").read_text())
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        landed = connection.execute("select distinct source from raw.load_files").fetchall()
    assert landed == [("demo",)], "writing the documentation has landed something"
    return Site(folder / "docs", catalog, json.loads(manifest.read_text()))


def test_the_site_holds_every_model(site: Site) -> None:
    models = {
        name for name, node in site.manifest["nodes"].items() if node["resource_type"] == "model"
    }
    assert models <= set(site.catalog["nodes"])


def test_the_overview_lists_every_mart_with_its_grain(site: Site) -> None:
    page = (site.folder / "index.html").read_text()
    assert docs.GRAIN not in page
    marts = [
        node
        for node in site.manifest["nodes"].values()
        if node["resource_type"] == "model" and node["schema"] in ("marts", "reports")
    ]
    assert len(marts) > 60
    for node in marts:
        row = f"| [{node['schema']}.{node['name']}](#!/model/{node['unique_id']}) | "
        assert row in page, node["name"]
        assert not page.split(row)[1].startswith(" |"), node["name"]


def test_the_queries_of_the_overview_answer(marts: duckdb.DuckDBPyConnection) -> None:
    overview = (ROOT / "dbt_project/models/overview.md").read_text()
    queries = re.findall(r"```sql\n(.*?)```", overview, re.DOTALL)
    assert len(queries) == 5
    for query in queries:
        assert marts.execute(query).fetchall(), query
    named = set(re.findall(r"`marts\.(\w+)`", overview))
    there = {
        name
        for (name,) in marts.execute(
            "select table_name from duckdb_tables() where schema_name = 'marts'"
        ).fetchall()
    }
    assert named <= there


def test_names_from_data_are_inert_in_the_page(tmp_path: Path) -> None:
    hostile = "</script><script>window.hacked=1</script>"
    node = {
        "schema": "marts",
        "alias": "m",
        "name": "m",
        "unique_id": "model.retour.m",
        "resource_type": "model",
        "description": hostile,
        "columns": {"a": {"description": f"<img src=x onerror=alert(1)>{hostile}"}},
    }
    manifest = {"nodes": {"m": node}, "sources": {}, "metadata": {"project_name": hostile}}
    edge = lineage.Edge("marts", "m", "a", "marts", "m", hostile, "copied")
    page = docs.lineage_page({("marts", "m"): ["a", hostile]}, [edge], manifest)
    assert page.count("</script>") == 2
    assert "<img" not in page


def opened(chrome: Browser, page: Path, **options) -> tuple[Page, list[str]]:
    """A page opened from disk, and what went wrong with it so far."""
    context = chrome.new_context(**options)
    # a busy machine is no fault of the page
    context.set_default_timeout(180_000)
    tab = context.new_page()
    problems: list[str] = []
    tab.on("console", lambda m: problems.append(m.text) if m.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on(
        "request",
        lambda r: None if r.url.startswith(("file:", "data:")) else problems.append(r.url),
    )
    tab.goto(page.as_uri())
    return tab, problems


def test_lineage_opens_from_disk_and_follows_columns(site: Site, chrome: Browser) -> None:
    tab, problems = opened(chrome, site.folder / "lineage.html")
    assert tab.inner_text("#about h2") == "marts.kpis_monthly.net_revenue"
    rows = tab.locator("#rows tr").all_inner_texts()
    step = "marts.kpis_monthly.net_revenue\taggregated\tmarts.kpis_daily.gross_revenue"
    assert step in rows
    tab.fill("#search", "seller_risk o_e_ratio")
    tab.click("nav .column button >> text=o_e_ratio")
    assert tab.inner_text("#about h2") == "marts.seller_risk.o_e_ratio"
    assert "marts.seller_risk.o_e_ratio" in tab.url
    tab.select_option("#back", "99")
    assert "staging." in tab.inner_text("#rows") or "Only the nearest" in tab.inner_text("#note")
    assert tab.locator("#graph svg path").count() == tab.locator("#rows tr").count()
    assert problems == []


@pytest.mark.parametrize(
    "options",
    [
        {"color_scheme": "light"},
        {"color_scheme": "dark"},
        {"color_scheme": "light", "viewport": {"width": 390, "height": 800}},
    ],
    ids=["light", "dark", "phone"],
)
def test_lineage_is_accessible(site: Site, chrome: Browser, options: dict) -> None:
    tab, _ = opened(chrome, site.folder / "lineage.html", **options)
    found = Axe().run(tab)
    assert found.violations_count == 0, found.generate_report()


# icons that can be seen and name no drawing of the page
LOST_ICONS = """() => [...document.querySelectorAll("use")].filter((icon) =>
    icon.parentElement.getClientRects().length
    && !(icon.href.baseVal.startsWith("#") && document.querySelector(icon.href.baseVal))).length"""


def test_the_pages_of_dbt_open_from_disk_with_our_overview(site: Site, chrome: Browser) -> None:
    tab, problems = opened(chrome, site.folder / "index.html")
    tab.wait_for_selector("text=Where does each column come from?")
    assert tab.locator("use >> visible=true").count() > 10
    assert tab.evaluate(LOST_ICONS) == 0
    tab.click("text=marts.kpis_monthly >> nth=-1")
    tab.wait_for_selector("text=kpis_monthly")
    index = tab.url.split("#")[0]
    exposure = next(iter(site.manifest["exposures"]))
    source = next(iter(site.manifest["sources"]))
    for place, text in [
        (f"exposure/{exposure}", site.manifest["exposures"][exposure]["label"]),
        (f"source/{source}", site.manifest["sources"][source]["name"]),
        ("overview?g_v=1", "Where does each column come from?"),
    ]:
        tab.goto(f"{index}#!/{place}")
        tab.wait_for_selector(f"text={text} >> visible=true")
        assert tab.evaluate(LOST_ICONS) == 0, place
    assert problems == []
