"""What the measuring scripts share: programs run as an unprivileged user with Debian's default
limits, cold caches, a server that is started and stopped, and a scratch directory.

The scripts run as root, because only root can drop the page cache; every program that is measured,
and the server, runs as another user (default postgres).
"""

import contextlib
import json
import os
import pwd
import shutil
import signal
import stat
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
GIB = 1 << 30
# What Debian gives a login: bytes of locked memory, open files (the soft limit).
MEMLOCK = 8 * MIB
OPEN_FILES = 1024


class Failure(Exception):
    """A measurement that cannot go on; its text is for the user."""


@dataclass
class Run:
    """One finished program."""

    seconds: float
    cpu_seconds: float  # user and system
    peak_rss_bytes: int
    stdout: str

    def json(self):
        return json.loads(self.stdout)


def end(process):
    """Asks a program of ours to end, and waits for it."""
    process.terminate()
    process.wait()


class User:
    """Runs programs as one unprivileged user, with nothing of this environment."""

    def __init__(self, name, bin_directory):
        self.name = name
        self.entry = pwd.getpwnam(name)
        self.bin_directory = bin_directory
        if self.entry.pw_uid == 0:
            raise Failure("--user root: limits that bind everyone else do not bind root")

    def command(self, arguments):
        return [
            "prlimit", f"--memlock={MEMLOCK}:{MEMLOCK}", f"--nofile={OPEN_FILES}:",
            "setpriv", f"--reuid={self.name}", f"--regid={self.entry.pw_gid}", "--init-groups",
            "env", "-i", f"PATH={self.bin_directory}:/usr/bin:/bin", "LC_ALL=C.UTF-8",
            "HOME=/nonexistent",
        ] + [str(argument) for argument in arguments]

    def start(self, arguments, stdout, stderr):
        return subprocess.Popen(
            self.command(arguments), stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, cwd="/"
        )

    def run(self, arguments, accepted=(0,)):
        """Runs a program to its end and measures it."""
        with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
            before = time.monotonic()
            process = self.start(arguments, stdout, stderr)
            try:
                _, status, usage = os.wait4(process.pid, 0)
            except BaseException:
                end(process)
                raise
            seconds = time.monotonic() - before
            process.returncode = os.waitstatus_to_exitcode(status)
            stdout.seek(0)
            stderr.seek(0)
            if process.returncode not in accepted:
                shown = " ".join(str(argument) for argument in arguments)
                raise Failure(f"{shown}: exit status {process.returncode}\n{stderr.read()}")
            return Run(
                seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, stdout.read()
            )


class Scratch:
    """A directory of the script's own, gone with all that is in it when the script ends."""

    def __init__(self, parent, user):
        self.path = Path(tempfile.mkdtemp(prefix="pghaul-bench-", dir=parent))
        os.chown(self.path, user.entry.pw_uid, user.entry.pw_gid)

    def program(self, path):
        """A copy that the user can run, whatever directory the build lies in."""
        if not path.is_file():
            raise Failure(f"{path} is not there: build it, or name its directory with --build")
        return Path(shutil.copy(path, self.path))

    def remove(self, name):
        target = self.path / name
        if target.exists():
            shutil.rmtree(target)

    def close(self):
        shutil.rmtree(self.path)


class Server:
    """The cluster's server, while it runs."""

    def __init__(self, user, pgdata, scratch):
        self.user = user
        self.pgdata = pgdata
        self.socket_directory = scratch.path
        self.log = scratch.path / "server.log"

    def start(self, *settings):
        options = [f"unix_socket_directories={self.socket_directory}", "listen_addresses="]
        shown = " ".join(f"-c {setting}" for setting in options + list(settings))
        self.user.run(
            ["pg_ctl", "-D", self.pgdata, "-l", self.log, "-o", shown, "-w", "-t", "300", "start"]
        )

    def stop(self):
        self.user.run(["pg_ctl", "-D", self.pgdata, "-m", "fast", "-w", "-t", "600", "stop"])

    def connection(self):
        return ["-h", str(self.socket_directory), "-U", "postgres"]

    def sql(self, statement, database="postgres"):
        return self.user.run(
            ["psql", "-X", "-At", "-v", "ON_ERROR_STOP=1", *self.connection(), "-d", database,
             "-c", statement]
        ).stdout.strip()


@contextlib.contextmanager
def running(server, *settings):
    server.start(*settings)
    try:
        yield server
    finally:
        server.stop()


def drop_caches():
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3\n")


def pgbackrest(user, server, directory, *settings):
    """A command line with a configuration and a repository of its own, its stanza created."""
    user.run(["mkdir", "-p", directory / "repo", directory / "log", directory / "lock"])
    config = directory / "pgbackrest.conf"
    config.write_text("\n".join([
        "[global]", f"repo1-path={directory}/repo", f"log-path={directory}/log",
        f"lock-path={directory}/lock", "log-level-console=warn", "log-level-file=off",
        "archive-async=n", *settings, "", "[main]", f"pg1-path={server.pgdata}",
        f"pg1-socket-path={server.socket_directory}", "pg1-user=postgres", ""]))
    command = ["pgbackrest", f"--config={config}", "--stanza=main"]
    user.run([*command, "stanza-create"])
    return command


def files_of_backup(user, pghaul, repository, pgdata):
    """The files of the newest backup that also lie in the cluster: not its label."""
    listing = user.run([pghaul, "ls", "--repo", repository, "latest", "--json"]).json()
    paths = [entry["path"] for entry in listing["entries"] if entry["kind"] == "file"]
    return [path for path in paths if is_regular(pgdata / path)]


def is_regular(path):
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False


def add_options(parser, takes_cluster=True):
    """What every script takes; one without --pgdata makes a cluster of its own."""
    here = Path(__file__).resolve().parent
    if takes_cluster:
        parser.add_argument("--pgdata", type=Path, required=True,
                            help="a cluster of make-cluster's")
    parser.add_argument("--work", type=Path, default=Path("/var/tmp"),
                        help="where the scratch directory is made, on the device to be measured")
    parser.add_argument("--build", type=Path, default=here.parent / "build" / "release",
                        help="where pghaul and reference were built")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--user", default="postgres", help="who runs what is measured")
    parser.add_argument("--io", choices=["auto", "uring", "threads"], default="auto")
    parser.add_argument("-Z", "--compress", default="lz4", metavar="CODEC")
    parser.add_argument("--pg-bin", type=Path, default=Path("/usr/lib/postgresql/15/bin"))
    parser.add_argument("--output", type=Path, metavar="PREFIX",
                        help="write PREFIX.md and PREFIX.json instead of standard output")


def check(options):
    if os.geteuid() != 0:
        raise Failure("must run as root, which alone can drop the page cache")
    if options.rounds < 1:
        raise Failure("--rounds must be at least 1")
    if "pgdata" not in options:
        return
    if (options.pgdata / "postmaster.pid").exists():
        raise Failure(f"a server runs in {options.pgdata}, or did not end cleanly")
    if options.pgdata.stat().st_dev != options.work.stat().st_dev:
        say(f"{options.pgdata} and {options.work} lie on different devices")


def machine():
    cpuinfo = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":", 1)[1].strip() for line in cpuinfo if line.startswith("model name")]
    kernel = os.uname().release
    return f"{len(models)} cores, {models[0] if models else os.uname().machine}, Linux {kernel}"


def median(values):
    return statistics.median(values)


def say(text):
    print(text, file=sys.stderr, flush=True)


def publish(options, markdown, result):
    text = json.dumps(result, indent=2) + "\n"
    if options.output is None:
        print(markdown)
        print(text, end="")
        return
    options.output.with_suffix(".md").write_text(markdown)
    options.output.with_suffix(".json").write_text(text)


def main(name, measure):
    """Runs a script's measure() and turns what stops it into an exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        measure()
    except KeyboardInterrupt:
        sys.exit(130)
    except Failure as failure:
        sys.exit(f"{name}: {failure}")
    except (OSError, KeyError) as error:
        sys.exit(f"{name}: {error}")
