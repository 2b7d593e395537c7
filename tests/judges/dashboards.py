"""Grafana's own model of a dashboard: reads each file named, and fails when it can't, or when it knows nothing of a field.

No Grafana comes from a package registry, so that this is the nearest to one that a test can have.
"""

import json
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

# Of the data source Prometheus alone; the model of annotations knows what all data sources have.
BEYOND_THE_MODEL = {"titleFormat", "textFormat"}


def unknown(given, kept, place=""):
    """The fields of `given` that the model has lost."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for key in given.keys() - BEYOND_THE_MODEL:
            if key not in kept:
                yield f"{place}/{key}"
            else:
                yield from unknown(given[key], kept[key], f"{place}/{key}")
    elif isinstance(given, list) and isinstance(kept, list):
        for index, (one, other) in enumerate(zip(given, kept, strict=True)):
            yield from unknown(one, other, f"{place}/{index}")


register_default_plugins()
for path in sys.argv[1:]:
    given = json.load(open(path, encoding="utf-8"))
    dashboard = Dashboard.from_json(given)
    lost = list(unknown(given, json.loads(JSONEncoder().encode(dashboard))))
    if lost:
        sys.exit(f"{path}: Grafana's model knows nothing of {', '.join(lost)}")
    print(f"{path}: {len(dashboard.panels)} panels")
