# SPDX-License-Identifier: BSD-3-Clause
"""The real Prometheus and node_exporter on the loopback of the tests' own network, and their text."""

import http.client
import json
import re
import shutil
import urllib.parse

from .deadline import wait_until
from .process import Process

PROGRAMS = ("prometheus", "prometheus-node-exporter", "promtool")
MISSING = [program for program in PROGRAMS if shutil.which(program) is None]

_SAMPLE = re.compile(r'(\w+)(?:\{((?:\w+="(?:[^"\\]|\\.)*",?)*)\})? (\S+)')
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

SERVER_PORT, EXPORTER_PORT = 9090, 9100


def parse(text):
    """Samples of a text in Prometheus' format: {(name, frozenset of (label, value)): value}."""
    samples = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        found = _SAMPLE.fullmatch(line)
        assert found, line
        key = found[1], frozenset(_LABEL.findall(found[2] or ""))
        assert key not in samples, f"{line} stands there twice"
        samples[key] = float(found[3])
    return samples


def get(port, path, timeout=5):
    """(status, body) of a request to the loopback; status 0 when nobody listens yet."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except ConnectionRefusedError:
        return 0, ""
    finally:
        connection.close()


class NodeExporter(Process):
    """prometheus-node-exporter with the textfile collector alone."""

    def __init__(self, directory, **process):
        super().__init__(["prometheus-node-exporter",
                          f"--web.listen-address=127.0.0.1:{EXPORTER_PORT}",
                          "--collector.disable-defaults", "--collector.textfile",
                          f"--collector.textfile.directory={directory}"], **process)

    def wait_ready(self):
        wait_until(lambda: get(EXPORTER_PORT, "/")[0] == 200, "node_exporter")
        return self

    @staticmethod
    def scrape():
        status, text = get(EXPORTER_PORT, "/metrics")
        assert status == 200, text
        return text


class Prometheus(Process):
    """prometheus with a configuration of its own, scraping and evaluating every `interval`.

    targets: as in static_configs: [{"targets": [address], "labels": {...}}].
    """

    def __init__(self, directory, targets, rules, interval="200ms", **process):
        directory.mkdir()
        # JSON is YAML.
        configuration = {
            "global": {"scrape_interval": interval, "evaluation_interval": interval},
            "rule_files": [str(rules)],
            "scrape_configs": [{"job_name": "node", "static_configs": targets}],
        }
        (directory / "prometheus.yml").write_text(json.dumps(configuration))
        super().__init__(["prometheus", f"--config.file={directory / 'prometheus.yml'}",
                          f"--storage.tsdb.path={directory / 'data'}", "--log.level=warn",
                          f"--web.listen-address=127.0.0.1:{SERVER_PORT}"], **process)

    def wait_ready(self):
        wait_until(lambda: get(SERVER_PORT, "/-/ready")[0] == 200, "prometheus")
        return self

    @staticmethod
    def query(expression):
        """[(labels, value)] of an instant query."""
        status, body = get(SERVER_PORT, "/api/v1/query?" +
                           urllib.parse.urlencode({"query": expression}))
        assert status == 200, f"{expression}: {body}"
        return [(result["metric"], float(result["value"][1]))
                for result in json.loads(body)["data"]["result"]]

    @staticmethod
    def alerts(state="firing"):
        """[labels] of alerts."""
        body = get(SERVER_PORT, "/api/v1/alerts")[1]
        return [alert["labels"] for alert in json.loads(body)["data"]["alerts"]
                if alert["state"] == state]
