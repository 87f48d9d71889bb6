"""What builds the program: Dockerfile, workflows, and the bill of materials of a release."""

import json
import sys
import unittest

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from support import ROOT, run


class Build(unittest.TestCase):
    def test_the_dockerfile_is_clean(self):
        run("hadolint", str(ROOT / "Dockerfile"))

    def test_the_workflows_are_clean(self):
        workflows = sorted(str(path) for path in (ROOT / ".github/workflows").glob("*.yml"))
        self.assertGreaterEqual(len(workflows), 2)
        run("actionlint", "-shellcheck=", "-pyflakes=", *workflows)
        run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)

    def test_the_bill_of_materials_has_what_is_in_the_program_and_nothing_else(self):
        script = str(ROOT / "deploy/release/sbom.py")
        text = run(sys.executable, script, "aarch64-unknown-linux-gnu")
        self.assertIsNone(JsonStrictValidator(SchemaVersion.V1_6).validate_str(text))
        self.assertEqual(text, run(sys.executable, script, "aarch64-unknown-linux-gnu"))
        bom = json.loads(text)
        parts = {part["name"]: part for part in bom["components"]}
        self.assertGreater(len(parts), 200)
        self.assertLessEqual({"actix-web", "aws-lc-sys", "rustls", "sqlx"}, parts.keys())
        # What only tests, builds, or another machine has.
        self.assertFalse({"proptest", "syn", "ring", "windows-sys", "libfuzzer-sys"} & parts.keys())
        for part in parts.values():
            self.assertIn("licenses", part)
            self.assertIn("hashes", part)
