"""What a published demonstration of drift monitoring claims, and what its files say.

python -m proofs.drift_claims FOLDER    writes the table of docs/drift-claimed-measured.md anew

FOLDER holds train.parquet, batch_1_normal.parquet, batch_2_flash_sale.parquet and
batch_3_supply_crisis.parquet; they are not part of this repository.
"""

import re
import sys
from pathlib import Path

from proofs.harness import ROOT
from retour import drift

PAGE = ROOT / "docs" / "drift-claimed-measured.md"
MARKS = ("<!-- drift batches -->\n", "<!-- end -->")
BASELINE = "train.parquet"
# what the publication says: return rate %, discount %, delivery days, score of 100, severity
CLAIMS = {
    "batch_1_normal": (17.4, 26, 3.0, 27, "normal"),
    "batch_2_flash_sale": (35.4, 61, 6.2, 100, "critical"),
    "batch_3_supply_crisis": (45.4, 26, 7.3, 87, "critical"),
}


def table(folder: Path) -> str:
    """Claimed and measured, as Markdown."""
    check = drift.check(
        str(folder / BASELINE),
        [str(folder / f"{batch}.parquet") for batch in CLAIMS],
        root=ROOT,
        warehouse=ROOT / "none.duckdb",
    )
    out = [
        "| | training data | " + " | ".join(name[8:].replace("_", " ") for name in CLAIMS) + " |",
        "|---|---:|---:|---:|---:|",
    ]
    rows = {
        row["batch"].rpartition("/")[2]: row for row in check.rows("select * from drift_batches")
    }
    first = next(iter(rows.values()))
    figures = (
        ("return rate, %", 0, "return_rate", 100, 1),
        ("average discount, %", 1, "average_discount", 100, 1),
        ("delivery time, days", 2, "delivery_days", 1, 2),
    )
    for title, place, column, factor, digits in figures:
        claimed = [f"{claims[place]:g}" for claims in CLAIMS.values()]
        out.append(f"| {title}: claimed | | {' | '.join(claimed)} |")
        measured = [f"{factor * rows[name][column]:.{digits}f}" for name in CLAIMS]
        base = f"{factor * first['baseline_' + column]:.{digits}f}"
        out.append(f"| measured | {base} | {' | '.join(measured)} |")
    claimed = [f"{claims[3]} / 100" for claims in CLAIMS.values()]
    out.append(f"| score: claimed (no unit) | | {' | '.join(claimed)} |")
    scores = [f"{rows[name]['drift_score']:.0f}" for name in CLAIMS]
    out.append(f"| measured: lines of 100 out of place | 0 | {' | '.join(scores)} |")
    out.append(f"| severity: claimed | | {' | '.join(claims[4] for claims in CLAIMS.values())} |")
    out.append(f"| measured | | {' | '.join(rows[name]['severity'] for name in CLAIMS)} |")
    drivers = [rows[name]["top_feature"].replace("_", " ") for name in CLAIMS]
    out.append(f"| top driver | | {' | '.join(drivers)} |")
    sentences = [rows[name]["sentence"].split(";")[0].rstrip(".") for name in CLAIMS]
    out.append(f"| in words | | {' | '.join(sentences)} |")
    moved = [
        f"{rows[name]['moved_features']} of {rows[name]['compared_features']}" for name in CLAIMS
    ]
    out.append(f"| columns that moved beyond chance | | {' | '.join(moved)} |")
    told = [f"{rows[name]['classifier_auc']:.2f}" for name in CLAIMS]
    out.append(f"| ROC-AUC of telling its rows from training data | | {' | '.join(told)} |")
    returns = [f"{rows[name]['extra_returns']:.0f}" for name in CLAIMS]
    out.append(f"| returns more than at the rate of training | | {' | '.join(returns)} |")
    return "\n".join(out)


def block(text: str) -> str:
    """What stands between the marks of the page."""
    return text.partition(MARKS[0])[2].partition(MARKS[1])[0].strip()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    page = PAGE.read_text(encoding="utf-8")
    made = f"{MARKS[0]}\n{table(Path(sys.argv[1]))}\n\n{MARKS[1]}"
    pattern = f"{re.escape(MARKS[0])}.*?{re.escape(MARKS[1])}"
    PAGE.write_text(re.sub(pattern, lambda _: made, page, count=1, flags=re.DOTALL), "utf-8")
    print(table(Path(sys.argv[1])))
