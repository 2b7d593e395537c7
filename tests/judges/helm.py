"""Helm itself (its Go library, without the command): lints a chart strictly, then prints what it renders, as JSON.

    helm.py CHART VALUES.json    exit 1 and a message where Helm says no
"""

import json
import sys

import yaml
from helm_python.chart import Chart, lint
from helm_python.errors import HelmError

chart, values = sys.argv[1], json.load(open(sys.argv[2], encoding="utf-8"))
try:
    report = lint(chart, values, strict=True)
    if report["errors"] or report["messages"]:
        sys.exit(f"helm lint: {json.dumps(report)}")
    with Chart.load(chart) as loaded:
        rendered = loaded.render(values, name="edge", namespace="tollgate")
except HelmError as fault:
    sys.exit(f"helm: {fault}")
documents = [document for name, text in rendered.items() if name.endswith(".yaml") for document in yaml.safe_load_all(text)]
print(json.dumps([document for document in documents if document]))
