"""Real PostgreSQL and MariaDB servers of their own for tests: on loopback, in temporary folders.

`make servers` installs them (Debian's packages, as root). Where they are not installed the tests
are skipped with that reason; on CI (CI=true) that is a failure.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PASSWORD = "hunter2:@/%"
QUOTED_PASSWORD = "hunter2%3A%40%2F%25"


def missing(what: str) -> None:
    """Skip a test that needs what is not installed, or fail where it has to be."""
    reason = f"{what} is not installed: `make servers` does it (Debian or Ubuntu, as root)"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server that can be killed and started again; `address` is that of its superuser."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen | None = None

    scheme: str
    superuser: str
    account: str | None = None

    def address(self, database: str, user: str | None = None, password: str = "") -> str:
        """An address with password."""
        login = f"{user or self.superuser}:{password or QUOTED_PASSWORD}"
        return f"{self.scheme}://{login}@127.0.0.1:{self.port}/{database}"

    def command(self) -> list[str]:
        raise NotImplementedError

    def connect(self, database: str, **options: Any) -> Any:
        raise NotImplementedError

    def run(self, command: list[str], **options: Any) -> None:
        """Run a program as the server's account."""
        result = subprocess.run(
            command, user=self.account, capture_output=True, text=True, cwd=self.folder, **options
        )
        assert result.returncode == 0, result.stdout + result.stderr

    def start(self) -> None:
        """Start and wait until it answers."""
        log = (self.folder / "server.log").open("a")
        self.process = subprocess.Popen(
            self.command(),
            user=self.account,
            cwd=self.folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        deadline = time.monotonic() + 120
        while True:
            try:
                self.connect("").close()
                return
            except Exception:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError((self.folder / "server.log").read_text()) from None
                time.sleep(0.1)

    def kill(self) -> None:
        """kill -9, with everything it has started."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Postgres(Server):
    scheme, superuser = "postgresql", "owner"

    def command(self) -> list[str]:
        settings = ["fsync=off", f"unix_socket_directories={self.folder}", "listen_addresses="]
        settings[-1] += "127.0.0.1"
        options = [part for setting in settings for part in ("-c", setting)]
        data = str(self.folder / "data")
        return [str(self.program("postgres")), "-D", data, "-p", str(self.port), *options]

    def connect(self, database: str, **options: Any) -> Any:
        import psycopg

        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            dbname=database or "postgres",
            **({"user": self.superuser, "password": PASSWORD, "autocommit": True} | options),
        )

    @staticmethod
    def program(name: str) -> Path | None:
        """Debian does not put the programs of the server on the PATH."""
        found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}")) or shutil.which(name)
        return Path(found if isinstance(found, str) else found[-1]) if found else None

    def create(self) -> None:
        (self.folder / "password").write_text(PASSWORD)
        self.run(
            [
                *(str(self.program("initdb")), "-D", str(self.folder / "data")),
                *("-U", self.superuser, "--pwfile", str(self.folder / "password")),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"),
            ]
        )


class MariaDB(Server):
    scheme, superuser = "mysql", "root"

    def command(self) -> list[str]:
        return [
            *("mariadbd", "--no-defaults", f"--datadir={self.folder / 'data'}"),
            *(f"--port={self.port}", "--bind-address=127.0.0.1"),
            *(f"--socket={self.folder / 'socket'}", f"--pid-file={self.folder / 'pid'}"),
            *("--local-infile=1", "--character-set-server=latin1", "--innodb-fast-shutdown=0"),
            *(("--user=root",) if os.getuid() == 0 else ()),
        ]

    def connect(self, database: str, **options: Any) -> Any:
        import pymysql

        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            database=database or None,
            charset="utf8mb4",
            **({"user": self.superuser, "password": PASSWORD, "autocommit": True} | options),
        )

    def create(self) -> None:
        script = self.folder / "init.sql"
        data = str(self.folder / "data")
        self.run(
            [
                *("mariadb-install-db", "--no-defaults", f"--datadir={data}"),
                *("--auth-root-authentication-method=normal", "--skip-test-db"),
                *(("--user=root",) if os.getuid() == 0 else ()),
            ]
        )
        script.write_text(
            f"alter user root@localhost identified by '{PASSWORD}';\n"
            f"create or replace user root@'127.0.0.1' identified by '{PASSWORD}';\n"
            "grant all on *.* to root@'127.0.0.1' with grant option;\n"
        )
        self.first_time = [f"--init-file={script}"]

    def start(self) -> None:
        command, first_time = self.command, getattr(self, "first_time", [])
        self.command = lambda: [*command(), *first_time]  # type: ignore[method-assign]
        super().start()
        self.command, self.first_time = command, []  # type: ignore[method-assign]


@contextlib.contextmanager
def running(kind: type[Postgres] | type[MariaDB]) -> Iterator[Any]:
    """A new server, removed afterwards."""
    if kind is Postgres and not Postgres.program("initdb"):
        missing("PostgreSQL")
    if kind is MariaDB and not shutil.which("mariadbd"):
        missing("MariaDB")
    # not in pytest's folder, which no other account may enter
    folder = Path(tempfile.mkdtemp(prefix="retour-server-"))
    server = kind(folder)
    if kind is Postgres and os.getuid() == 0:
        # it refuses to run as root
        server.account = "postgres"
        account = pwd.getpwnam("postgres")
        os.chown(folder, account.pw_uid, account.pw_gid)
    try:
        server.create()
        server.start()
        yield server
    finally:
        if server.process:
            server.kill()
        shutil.rmtree(folder, ignore_errors=True)
