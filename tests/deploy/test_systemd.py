"""The unit for systemd: well formed, closed as far as it can be, and one under which the program runs."""

import ctypes
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import pyseccomp

from support import PROGRAM, ROOT, SECRETS, assert_settings, in_files, run, seconds_to_stop

UNIT = ROOT / "deploy/systemd/otp-auth.service"
SETTINGS = ROOT / "deploy/systemd/otp-auth.toml"
# 0 is closed, 10 is open. The rest is the network, which it needs.
MOST_EXPOSED = 1.5
PR_SET_NO_NEW_PRIVS = 38
PR_SET_MDWE = 65
# A user that nobody is, as DynamicUser= takes one.
NOBODY = 64999


def values(key):
    return re.findall(rf"^{key}=(.*)$", UNIT.read_text(), re.MULTILINE)


def environment():
    pairs = (line.split("=", 1) for line in values("Environment"))
    return {name: value.replace("%d", "/credentials") for name, value in pairs}


def system_calls(group):
    """The names in one of systemd's groups, and in those within."""
    names = set()
    for line in run("systemd-analyze", "syscall-filter", group).splitlines()[1:]:
        word = line.strip()
        if word.startswith("@"):
            names |= system_calls(word)
        elif word and not word.startswith("#"):
            names.add(word)
    return names


def allowed_calls():
    allowed = set()
    for line in values("SystemCallFilter"):
        for group in line.lstrip("~").split():
            if line.startswith("~"):
                allowed -= system_calls(group)
            else:
                allowed |= system_calls(group)
    return allowed


def confine(allowed, families):
    """Does to this process what the unit asks for, as far as that goes without systemd."""
    libc = ctypes.CDLL(None)
    # Nothing can be written to any file; what is written to a pipe does not count.
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    os.chdir("/")
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    # Linux 6.3 and newer know it.
    libc.prctl(PR_SET_MDWE, 1, 0, 0, 0)
    rules = pyseccomp.SyscallFilter(pyseccomp.ERRNO(1))
    for name in allowed - {"socket"}:
        try:
            rules.add_rule(pyseccomp.ALLOW, name)
        except OSError:
            # One that this library or machine does not have.
            pass
    for family in families:
        rules.add_rule(pyseccomp.ALLOW, "socket", pyseccomp.Arg(0, pyseccomp.EQ, family))
    rules.load()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Systemd(unittest.TestCase):
    def test_systemd_takes_the_unit(self):
        with tempfile.TemporaryDirectory() as directory:
            copy = Path(directory) / "otp-auth.service"
            copy.write_text(UNIT.read_text().replace("/usr/local/bin/otp-auth", PROGRAM))
            done = subprocess.run(
                ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False
            )
            about_ours = [line for line in done.stderr.splitlines() if "otp-auth" in line]
            self.assertEqual(about_ours, [])

    def test_it_is_closed_as_far_as_it_can_be(self):
        table = json.loads(run("systemd-analyze", "security", "--offline=yes", "--json=short", str(UNIT)))
        self.assertGreater(len(table), 50)
        said = subprocess.run(
            ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(UNIT)],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        (score,) = re.findall(r"Overall exposure level for otp-auth.service: ([0-9.]+)", said)
        print(f"systemd-analyze security: {score}")
        self.assertLessEqual(float(score), MOST_EXPOSED)

    def test_the_program_takes_its_settings(self):
        said = assert_settings(self, environment(), SETTINGS.read_text())
        (stop,) = values("TimeoutStopSec")
        self.assertGreaterEqual(int(stop), seconds_to_stop(said) + 5)

    def test_every_credential_is_loaded_and_named(self):
        loaded = {line.split(":")[0] for line in values("LoadCredential")}
        named = {value.split("/")[-1] for name, value in environment().items() if name.endswith("_FILE")}
        self.assertEqual(loaded, named)
        self.assertLessEqual(named, SECRETS.keys())

    @unittest.skipUnless(os.getuid() == 0, "needs root to become nobody")
    def test_the_program_runs_under_what_the_unit_allows(self):
        families = [getattr(socket, name) for name in values("RestrictAddressFamilies")[0].split()]
        allowed = allowed_calls()
        self.assertNotIn("mount", allowed)
        with tempfile.TemporaryDirectory() as directory:
            placed = in_files(environment(), SETTINGS.read_text(), directory)
            Path(placed["OTP_AUTH__DATABASE__URL_FILE"]).write_text(os.environ["DATABASE_URL"])
            placed["OTP_AUTH__SERVER__BIND"] = f"127.0.0.1:{free_port()}"
            placed["OTP_AUTH__SERVER__ADMIN_BIND"] = f"127.0.0.1:{free_port()}"
            for path in [Path(directory), *Path(directory).iterdir()]:
                os.chown(path, NOBODY, NOBODY)
            confined = {"env": placed, "preexec_fn": lambda: confine(allowed, families)}
            # Where it is built, such as in a home directory, nobody may look.
            program = Path(directory) / "otp-auth"
            shutil.copy(PROGRAM, program)
            with subprocess.Popen(
                [str(program), "serve"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **confined
            ) as service:
                try:
                    for _ in range(100):
                        asked = subprocess.run(
                            [str(program), "healthcheck"], capture_output=True, text=True, check=False, **confined
                        )
                        if asked.returncode == 0 or service.poll() is not None:
                            break
                        time.sleep(0.1)
                finally:
                    service.send_signal(signal.SIGTERM)
                    said, _ = service.communicate(timeout=seconds_to_stop_of(placed))
            self.assertEqual(asked.returncode, 0, said + asked.stdout + asked.stderr)
            self.assertEqual(service.returncode, 0, said)
            self.assertNotIn("EPERM", said)


def seconds_to_stop_of(placed):
    done = subprocess.run([PROGRAM, "config", "check"], env=placed, capture_output=True, text=True, check=True)
    return seconds_to_stop(done.stdout) + 5
