"""dbt as the tests run it: where the files are does not decide what is parsed.

Plain dbt parses the whole project anew whenever a var differs, which for a warehouse in a folder of
its own is always, and takes longer than many a build. Of these vars a model sees none but the name
of the warehouse's file; so with the others left out of dbt's check one build reads what another has
parsed (`--partial-parse-file-path`).
"""

import sys

from dbt.cli.main import cli
from dbt.contracts.files import FileHash
from dbt.contracts.graph.manifest import ManifestStateCheck
from dbt.parser.manifest import ManifestLoader

from tests.support import decisive


def state_check(loader: ManifestLoader) -> ManifestStateCheck:
    """dbt's own check, without the places."""
    check = whole_check(loader)
    check.vars_hash = FileHash.from_contents(decisive(loader.root_project.cli_vars))
    check.profile_hash = FileHash.from_contents("")
    return check


if __name__ == "__main__":
    whole_check = ManifestLoader.build_manifest_state_check
    ManifestLoader.build_manifest_state_check = state_check
    sys.exit(cli())
