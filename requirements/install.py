"""Install one locked environment: ``python install.py VENV LOCK [LOCK ...]``.

Runs on a bare Python 3.11: nothing but the standard library. Every file is installed with
``--require-hashes``, in the order given, so a later lock may replace a package of an earlier one.
A lock that names the project's build backend gets the project itself (editable) as well.
The environment keeps a copy of its locks; while they are equal there is nothing to do.
"""

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(venv: Path, locks: list[Path]) -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 (an older Python may run this file)
        sys.exit(f"retour needs Python 3.11 or newer, this is {sys.version.split()[0]}.")
    missing = [lock.name for lock in locks if not lock.is_file()]
    if missing:
        known = ", ".join(sorted(path.name for path in Path(__file__).parent.glob("*.txt")))
        sys.exit(f"No lock file {', '.join(missing)} in requirements/ (there is: {known}).")
    wanted = "".join(lock.read_text() for lock in locks)
    stamp = venv / "installed.txt"
    # the folder is part of the stamp: the scripts of a moved environment point to the old place
    wanted += f"# {sys.version.split()[0]} {venv.resolve()}\n"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    started = time.monotonic()
    print(f"Installing {venv.name} (once; needs the package index)", flush=True)
    create(venv)
    python = str(venv / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-compile"]
    for lock in locks:
        install(pip, lock)
    if "\nflit-core==" in wanted:
        run([*pip, "--quiet", "--no-deps", "--no-build-isolation", "--editable", str(ROOT)])
    # dbt starts a third faster from compiled modules, and where PYTHONDONTWRITEBYTECODE is set
    # nobody else writes them; modules that do not compile (templates) are none of our business
    subprocess.run([python, "-m", "compileall", "-qq", "-j", "0", "-x", "/tests?/", str(venv)])
    stamp.write_text(wanted)
    print(f"{venv.name} is ready ({time.monotonic() - started:.0f} s)", flush=True)


def create(venv: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(venv)], capture_output=True, text=True
    )
    if result.returncode:
        sys.exit(
            f"{sys.executable} could not create {venv.name}. On Debian and Ubuntu the package"
            f" python3-venv is needed.\n{result.stdout}{result.stderr}"
        )


def install(pip: list[str], lock: Path) -> None:
    """Run pip on one lock file, showing one line per package instead of pip's many."""
    total = sum("==" in line for line in lock.read_text().splitlines())
    # the lock is complete, so pip need not resolve anything
    command = [*pip, "--progress-bar", "off", "--no-deps", "--require-hashes", "-r", str(lock)]
    output: list[str] = []
    count = 0
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    assert process.stdout is not None
    for line in process.stdout:
        output.append(line)
        if line.startswith(("Collecting ", "Processing ")):
            count += 1
            name = line.split()[1].rpartition("/")[2]
            print(f"  [{count}/{total}] {name}", flush=True)
        elif line.startswith("Installing collected"):
            print("  unpacking", flush=True)
    if process.wait():
        sys.exit("".join(output[-25:]) + "\nThe packages could not be installed: see above.")


def run(command: list[str]) -> None:
    if subprocess.run(command).returncode:
        sys.exit(f"This step failed: {' '.join(command)}")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]])
    except KeyboardInterrupt:
        sys.exit(130)
