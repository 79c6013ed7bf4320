"""Compute the proofs whose SQL, generator or Python changed, and print their figures.

README.md says what is proved and how to read it.
"""

import argparse
import sys

from proofs import PROOFS, harness


def main() -> int:
    """Run the command line; return 1 if a target is missed or a stored row is not reproduced."""
    parser = argparse.ArgumentParser(prog="python -m proofs", description=__doc__)
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help=f"only these: {', '.join(PROOFS)}")
    add("--force", action="store_true", help="also those that are up to date")
    add("--subset", action="store_true", help="redo some worlds and compare with what is stored")
    add("--worlds", type=int, metavar="N", help="only the first N worlds; writes nothing")
    options = parser.parse_args()
    if unknown := set(options.names) - set(PROOFS):
        parser.error(f"there is no proof {', '.join(sorted(unknown))}, only {', '.join(PROOFS)}")
    chosen = [PROOFS[name] for name in options.names or PROOFS]

    if options.subset:
        problems = [text for proof in chosen for text in harness.recompute_subset(proof, say=say)]
        print("\n".join(problems) or "All stored rows were reproduced.")
        return 1 if problems else 0

    manifest = harness.parse()
    missed = []
    for proof in chosen:
        stored = harness.read(proof.file)
        stale = harness.changed(stored, harness.ingredients(proof, manifest))
        if stale or options.force or options.worlds:
            say(f"{proof.name}: {_why(stored, stale)}")
            stored = harness.run(proof, manifest, say=say, only=options.worlds)
        else:
            say(f"{proof.name} is up to date")
        print(f"\n## {proof.name}\n\n{proof.claim}\n\n{proof.show(stored['figures'])}\n")
        missed += [f"{proof.name}: {text}" for text in proof.missed(stored["figures"])]
    print("\n".join(["Targets missed:", *missed]) if missed else "All targets are met.")
    return 1 if missed else 0


def _why(stored: object, stale: list[str]) -> str:
    if not stored:
        return "no result yet"
    return f"changed: {', '.join(stale[:5])}{' …' if len(stale) > 5 else ''}" if stale else "again"


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
