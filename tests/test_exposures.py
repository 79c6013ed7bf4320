"""Exposures say who reads which mart; the code that reads decides whether that is true."""

import re

import pytest

from reports.render import PAGES, SITE
from retour import cli
from retour.export import FORMATS
from tests.support import ROOT, Build

TABLES = re.compile(r"(?:from|join)\s+(?:published\.)?(?:marts|reports)\.(\w+)", re.IGNORECASE)


@pytest.fixture(scope="module")
def exposures(demo: Build) -> dict[str, dict]:
    """The exposures of the project by name; `reads` are the names of their models."""
    manifest = demo.manifest
    return {
        exposure["name"]: exposure
        | {"reads": {name.split(".")[-1] for name in exposure["depends_on"]["nodes"]}}
        for exposure in manifest["exposures"].values()
    }


def test_every_page_of_the_report_is_an_exposure_of_what_its_queries_read(
    exposures: dict[str, dict],
) -> None:
    pages = {f"report_{page.name}": page for page in PAGES}
    assert {name for name in exposures if name.startswith("report_")} == set(pages)
    for name, page in pages.items():
        read = {
            table
            for dataset in (*page.datasets, *SITE)
            for table in TABLES.findall((ROOT / f"reports/queries/{dataset}.sql").read_text())
        }
        # what publishing writes is no model
        assert exposures[name]["reads"] == read - {"publication", "publication_tables"}, name
        assert exposures[name]["url"].endswith(f"/{page.name}.html")
        assert exposures[name]["label"] == f"Report page {page.title}"


def test_commands_that_hand_marts_out_are_exposures_of_what_they_read(
    exposures: dict[str, dict],
) -> None:
    service = "".join(
        (ROOT / f"retour/{name}.py").read_text()
        for name in ("scoring", "scoring_tables", "publication", "reasons", "checkout")
    )
    views = re.findall(r"for mart in (.+?):\n +execute\(f\"create view", service, re.DOTALL)
    read = {name for found in views for name in re.findall(r'"(\w+)"', found)}
    read |= set(TABLES.findall(service))
    read -= {"publication"}
    assert exposures["scoring_service"]["reads"] == read
    sender = (ROOT / "retour/alerts.py").read_text()
    assert exposures["alerts_sender"]["reads"] == set(TABLES.findall(sender))
    for name, commands in {
        "scoring_service": ["serve", "score"],
        "alerts_sender": ["alerts"],
        "exports": ["export"],
    }.items():
        for command in commands:
            assert command in cli.main.commands
            assert f"retour {command}" in exposures[name]["description"]
    for kind in FORMATS:
        assert kind in exposures["exports"]["description"]


def test_exposures_say_what_who_and_where(exposures: dict[str, dict], demo: Build) -> None:
    public = {
        node["name"]
        for node in demo.manifest["nodes"].values()
        if node["resource_type"] == "model" and node["schema"] in ("marts", "reports")
    }
    for name, exposure in exposures.items():
        assert exposure["label"], name
        assert exposure["description"], name
        assert exposure["owner"]["name"], name
        assert exposure["url"], name
        assert exposure["reads"] <= public, name
        page = ROOT / exposure["url"]
        assert page.suffix != ".md" or page.is_file(), name
