"""What the tests share: the repository, its tools, and the program's view of settings."""

import base64
import os
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = os.environ["OTP_AUTH_PROGRAM"]

# What each file of a secret holds, by its name.
SECRETS = {
    "database-url": "postgres://otp_auth:secret@postgres:5432/otp_auth",
    "owner-database-url": "postgres://owner:secret@postgres:5432/otp_auth",
    "master-key": base64.b64encode(bytes(range(7, 256, 8))[:31] + b"\x99").decode(),
    "admin-token": "0123456789abcdef" * 4,
    "startmessaging-api-key": "sm_live_for_a_test",
}


def run(*command, **options):
    """Runs a command; what it says is shown if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def in_files(environment, settings, directory):
    """The environment with its files in this directory: each secret, and the settings."""
    directory = Path(directory)
    placed = {}
    for name, value in environment.items():
        if name.endswith("_FILE"):
            path = directory / Path(value).name
            path.write_text(SECRETS[path.name])
            value = str(path)
        elif name == "OTP_AUTH_CONFIG":
            path = directory / "otp-auth.toml"
            path.write_text(settings)
            value = str(path)
        placed[name] = value
    return placed


def config_check(environment, settings):
    """What `otp-auth config check` says of an environment; its exit code and words."""
    with tempfile.TemporaryDirectory() as directory:
        placed = in_files(environment, settings, directory)
        done = subprocess.run(
            [PROGRAM, "config", "check"], env=placed, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr


def assert_settings(test, environment, settings):
    """The program takes these settings, for production, and knows each name: none can be misspelt. Returns them."""
    code, said = config_check(environment, settings)
    test.assertEqual(code, 0, said)
    test.assertEqual(environment["OTP_AUTH_ENV"], "production")
    ours = [name for name in environment if name.startswith("OTP_AUTH__")]
    code, complaints = config_check(environment | {f"{name}_": "x" for name in ours}, settings)
    test.assertNotEqual(code, 0)
    for name in ours:
        test.assertIn(f"{name}_:", complaints)
    return said


def seconds_to_stop(said):
    """The longest that a replica takes to end, by the settings that are in force."""
    total = 0
    for line in said.splitlines():
        key, _, value = line.partition("=")
        if key.strip() in ("server.shutdown_grace_seconds", "server.drain_seconds"):
            total += int(value.split()[0])
    assert total > 0, said
    return total
