"""The compose files: well formed, in agreement with the program, and closed."""

import unittest

import yaml

from support import ROOT, assert_settings, config_check, run, seconds_to_stop

PRODUCTION = ROOT / "deploy/compose/compose.yaml"
DEVELOPMENT = ROOT / "docker-compose.yml"
SETTINGS = ROOT / "deploy/compose/otp-auth.toml"


def services(path):
    return yaml.safe_load(path.read_text())["services"]


class Compose(unittest.TestCase):
    def test_compose_knows_every_key(self):
        for path in (PRODUCTION, DEVELOPMENT):
            run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(path))

    def test_the_program_takes_the_settings(self):
        service = services(PRODUCTION)["service"]
        said = assert_settings(self, service["environment"], SETTINGS.read_text())
        self.assertGreaterEqual(int(service["stop_grace_period"].rstrip("s")), seconds_to_stop(said) + 5)
        environment = services(DEVELOPMENT)["service"]["environment"]
        code, said = config_check(environment, "")
        self.assertEqual(code, 0, said)

    def test_every_secret_is_a_file_and_given_to_whoever_reads_it(self):
        known = yaml.safe_load(PRODUCTION.read_text())["secrets"]
        for name, service in services(PRODUCTION).items():
            read = {value.split("/")[-1] for key, value in service["environment"].items() if key.endswith("_FILE")}
            self.assertEqual(read, set(service["secrets"]), name)
            self.assertLessEqual(read, known.keys())
        docs = (ROOT / "docs/deploying.md").read_text()
        for secret in known:
            self.assertIn(f"secrets/{secret}", docs)

    def test_nothing_has_more_rights_than_it_needs(self):
        for path in (PRODUCTION, DEVELOPMENT):
            for name, service in services(path).items():
                self.assertIs(service["read_only"], True, name)
                self.assertEqual(service["cap_drop"], ["ALL"], name)
                self.assertEqual(service["security_opt"], ["no-new-privileges:true"], name)
                for port in service.get("ports", []):
                    self.assertTrue(port.startswith("127.0.0.1:"), port)
        networks = yaml.safe_load(PRODUCTION.read_text())["networks"]
        self.assertEqual(services(PRODUCTION)["postgres"]["networks"], ["database"])
        self.assertIs(networks["database"]["internal"], True)
