"""The manifests: as Kubernetes wants them, as safe as they can be, and in agreement with each other."""

import re
import unittest

import yaml

from support import ROOT, assert_settings, config_check, run, seconds_to_stop

DIRECTORY = ROOT / "deploy/kubernetes"
# The oldest that the README of the manifests names, and the newest that the validator knows.
VERSIONS = ["1.29", "1.37"]


class Kubernetes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.text = run("kubectl", "kustomize", str(DIRECTORY / "example"))
        cls.objects = list(yaml.safe_load_all(cls.text))
        cls.pod = cls.one("Deployment")["spec"]["template"]

    @classmethod
    def one(cls, kind):
        (found,) = [thing for thing in cls.objects if thing["kind"] == kind]
        return found

    def all_containers(self):
        spec = self.pod["spec"]
        return spec["containers"] + spec.get("initContainers", [])

    def environment(self, container):
        return {variable["name"]: variable["value"] for variable in container["env"]}

    def settings(self):
        return self.one("ConfigMap")["data"]["otp-auth.toml"]

    def test_every_object_is_one_that_kubernetes_knows(self):
        for version in VERSIONS:
            run("kubernetes-validate", "--strict", "--quiet", "-k", version, "-", input=self.text)
        wrong = self.text.replace("maxUnavailable: 1", "maxUnavailabel: 1")
        with self.assertRaises(AssertionError):
            run("kubernetes-validate", "--strict", "--quiet", "-", input=wrong)

    def test_the_base_alone_is_good_too(self):
        text = run("kubectl", "kustomize", str(DIRECTORY / "base"))
        run("kubernetes-validate", "--strict", "--quiet", "-", input=text)

    def test_the_program_takes_the_settings_of_each_container(self):
        for container in self.all_containers():
            assert_settings(self, self.environment(container), self.settings())

    def test_nothing_runs_with_more_rights_than_it_needs(self):
        spec = self.pod["spec"]
        self.assertIs(spec["automountServiceAccountToken"], False)
        self.assertIs(spec["securityContext"]["runAsNonRoot"], True)
        self.assertEqual(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            self.assertNotIn(key, spec)
        for container in self.all_containers():
            rights = container["securityContext"]
            self.assertIs(rights["allowPrivilegeEscalation"], False)
            self.assertIs(rights["readOnlyRootFilesystem"], True)
            self.assertEqual(rights["capabilities"], {"drop": ["ALL"]})
            self.assertNotIn("privileged", rights)
            self.assertIn("memory", container["resources"]["limits"])
            self.assertIn("cpu", container["resources"]["requests"])
            self.assertNotRegex(container["image"], r":latest$|^[^:@]*$")
            self.assertTrue(all(mount["readOnly"] for mount in container["volumeMounts"]))

    def test_it_has_the_time_to_end_that_its_settings_give(self):
        said = config_check(self.environment(self.pod["spec"]["containers"][0]), self.settings())[1]
        grace = self.pod["spec"]["terminationGracePeriodSeconds"]
        self.assertGreaterEqual(grace, seconds_to_stop(said) + 5)

    def test_probes_and_services_find_the_listeners(self):
        (container,) = self.pod["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        environment = self.environment(container)
        self.assertEqual(environment["OTP_AUTH__SERVER__BIND"], f"0.0.0.0:{ports['http']}")
        self.assertEqual(environment["OTP_AUTH__SERVER__ADMIN_BIND"], f"0.0.0.0:{ports['admin']}")
        for probe, path in (("startup", "/livez"), ("liveness", "/livez"), ("readiness", "/readyz")):
            self.assertEqual(container[f"{probe}Probe"]["httpGet"], {"path": path, "port": "admin"})
        used = [
            port["targetPort"] for thing in self.objects if thing["kind"] == "Service" for port in thing["spec"]["ports"]
        ]
        used += [
            port["port"] for rule in self.one("NetworkPolicy")["spec"]["ingress"] for port in rule["ports"]
        ]
        self.assertEqual(sorted(used), ["admin", "admin", "http", "http"])

    def test_every_selector_selects_the_replicas(self):
        labels = self.pod["metadata"]["labels"]
        spec = self.pod["spec"]
        selectors = [spread["labelSelector"]["matchLabels"] for spread in spec["topologySpreadConstraints"]]
        selectors += [self.one(kind)["spec"]["selector"]["matchLabels"] for kind in ("Deployment", "PodDisruptionBudget")]
        selectors.append(self.one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"])
        selectors += [thing["spec"]["selector"] for thing in self.objects if thing["kind"] == "Service"]
        self.assertEqual(len(selectors), 7)
        for selector in selectors:
            self.assertTrue(selector and selector.items() <= labels.items())

    def test_every_file_of_a_secret_is_mounted_and_made_by_the_docs(self):
        docs = (ROOT / "docs/deploying.md").read_text()
        volumes = {volume["name"]: volume for volume in self.pod["spec"]["volumes"]}
        for container in self.all_containers():
            mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}
            for name, path in self.environment(container).items():
                if name.endswith("_FILE"):
                    directory, _, key = path.rpartition("/")
                    secret = mounts[directory]["secret"]["secretName"]
                    pattern = rf"create secret generic {secret} (\\\n|[^\n])*--from-file={key}="
                    self.assertRegex(docs, re.compile(pattern))

    def test_the_replicas_fit_into_postgresql(self):
        said = config_check(self.environment(self.pod["spec"]["containers"][0]), self.settings())[1]
        (each,) = re.findall(r"database\.max_connections\s*=\s*(\d+)", said)
        most = self.one("HorizontalPodAutoscaler")["spec"]["maxReplicas"]
        self.assertLessEqual(most * (int(each) + 1), 97)

    def test_the_autoscaler_asks_for_the_metric_that_the_rule_makes(self):
        rule = yaml.safe_load((DIRECTORY / "in-flight/adapter-rule.yaml").read_text())["rules"][0]
        metrics = self.one("HorizontalPodAutoscaler")["spec"]["metrics"]
        asked = [metric["pods"]["metric"]["name"] for metric in metrics if metric["type"] == "Pods"]
        self.assertEqual(asked, [rule["name"]["as"]])
