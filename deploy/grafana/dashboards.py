#!/usr/bin/env python3
"""The dashboards, as they are meant; `dashboards/*.json` are what Grafana reads.

    deploy/grafana/dashboards.py           writes the JSON anew
    deploy/grafana/dashboards.py --check   fails when it is not what stands here

A panel is a title, a question in words, and its queries; places on the grid follow from the order. `tests/deploy` checks
the JSON and every name in it, `tests/scene_monitoring.rs` asks a real Prometheus every query.
"""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent / "dashboards"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
J = 'job=~"$job"'
ERROR, DENIED = 'outcome="error"', 'outcome="denied"'
RED, ORANGE, GREEN = "red", "orange", "green"


def rate(metric, by="", where="", window="$__rate_interval"):
    """Events a second, summed by labels."""
    selector = ", ".join(part for part in (J, where) if part)
    return f"sum{f' by ({by})' if by else ''} (rate(tollgate_{metric}{{{selector}}}[{window}]))"


def quantile(q, metric, by=""):
    """A quantile of a histogram, by labels."""
    labels = ", ".join(part for part in (by, "le") if part)
    return f"histogram_quantile({q}, sum by ({labels}) (rate(tollgate_{metric}_bucket{{{J}}}[$__rate_interval])))"


def gauge(metric):
    return f"tollgate_{metric}{{{J}}}"


def steps(*limits):
    """Colours by value: green, then each (limit, colour)."""
    first = {"color": GREEN, "value": None}
    return {"mode": "absolute", "steps": [first] + [{"color": colour, "value": limit} for limit, colour in limits]}


def panel(kind, title, question, queries, unit="short", size=(8, 7), thresholds=None, stacked=False, maximum=None):
    custom = {}
    if kind == "timeseries":
        custom = {"lineWidth": 1, "fillOpacity": 30 if stacked else 8, "showPoints": "never"}
        custom["stacking"] = {"mode": "normal" if stacked else "none"}
    defaults = {"unit": unit, "custom": custom, "min": 0 if kind == "timeseries" else None, "max": maximum}
    defaults["thresholds"] = thresholds or steps()
    defaults["color"] = {"mode": "thresholds" if kind == "stat" else "palette-classic"}
    targets = []
    for ref, (legend, query) in zip("ABCDEF", queries.items()):
        instant = kind in ("stat", "table")
        targets.append({"refId": ref, "datasource": SOURCE, "expr": query, "legendFormat": legend,
                        "instant": instant, "range": not instant, "format": "table" if kind == "table" else "time_series"})
    made = {"type": kind, "title": title, "description": question, "datasource": SOURCE, "targets": targets,
            "fieldConfig": {"defaults": {key: value for key, value in defaults.items() if value is not None}, "overrides": []},
            "options": options(kind, title), "size": size}
    if kind == "table":
        hidden = {"id": "organize", "options": {"excludeByName": {"Time": True}, "renameByName": {"Value": title}}}
        made["transformations"] = [hidden]
    return made


def options(kind, title):
    if kind == "stat":
        return {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "background", "graphMode": "none"}
    if kind == "table":
        return {"showHeader": True, "sortBy": [{"displayName": title, "desc": True}]}
    return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}


def stat(title, question, query, unit="short", thresholds=None):
    return panel("stat", title, question, {title: query}, unit, (4, 4), thresholds)


def lines(title, question, queries, unit="short", **more):
    return panel("timeseries", title, question, queries, unit, **more)


def table(title, question, query, unit="short", size=(8, 7)):
    return panel("table", title, question, {title: query}, unit, size)


def variable(name, query):
    return {"name": name, "type": "query", "datasource": SOURCE, "query": {"query": query, "refId": name}, "refresh": 2,
            "includeAll": True, "multi": True, "allValue": ".*", "sort": 1,
            "current": {"text": ["All"], "value": ["$__all"]}}


def dashboard(uid, title, description, variables, rows):
    panels, top, number = [], 0, 0
    for heading, members in rows.items():
        number += 1
        panels.append({"id": number, "type": "row", "title": heading, "collapsed": False, "panels": [],
                       "gridPos": {"x": 0, "y": top, "w": 24, "h": 1}})
        top += 1
        left, tallest = 0, 0
        for member in members:
            width, height = member.pop("size")
            if left + width > 24:
                left, top, tallest = 0, top + tallest, 0
            number += 1
            panels.append({"id": number, **member, "gridPos": {"x": left, "y": top, "w": width, "h": height}})
            left, tallest = left + width, max(tallest, height)
        top += tallest
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "refresh": 1}
    job = variable("job", "label_values(tollgate_build_info, job)")
    alerts = {"name": "Alerts", "datasource": SOURCE, "enable": True, "iconColor": RED, "titleFormat": "{{alertname}}",
              "textFormat": "{{instance}}", "expr": 'ALERTS{alertname=~"Tollgate.*", alertstate="firing"}'}
    return {"uid": uid, "title": title, "description": description, "tags": ["tollgate"], "schemaVersion": 39,
            "editable": True, "graphTooltip": 1, "refresh": "30s", "time": {"from": "now-1h", "to": "now"}, "timezone": "",
            "templating": {"list": [source, job, *variables]}, "annotations": {"list": [alerts]},
            "links": [{"type": "dashboards", "title": "tollgate", "tags": ["tollgate"], "keepTime": True, "includeVars": True}],
            "panels": panels}


HEALTH = dashboard(
    "tollgate-health", "tollgate: is it healthy?", "Traffic, latency, store, issuers, upstreams, certificates.", [], {
        "At a glance": [
            stat("Replicas up", "How many replicas answer Prometheus?", f"sum(up{{{J}}})", thresholds=steps((0, RED), (1, ORANGE), (2, GREEN))),
            stat("Requests", "How many requests a second?", rate("requests_total"), "reqps"),
            stat("Failing", "Which share ends with a fault on our side of the client (5xx)? The service level allows 0.1 %.",
                 f'{rate("requests_total", where=ERROR)} / {rate("requests_total")}', "percentunit", steps((0.001, ORANGE), (0.01, RED))),
            stat("Store degraded", "How many replicas can't rely on their store?", f"sum({gauge('store_degraded')})", thresholds=steps((1, RED))),
            stat("Endpoints down", "How many endpoints of upstreams get no requests?", f"count({gauge('upstream_healthy')} == 0) or vector(0)", thresholds=steps((1, ORANGE))),
            stat("Next certificate expires", "When does the first certificate expire?", f"min({gauge('certificate_expiry_timestamp_seconds')}) - time()", "s",
                 {"mode": "absolute", "steps": [{"color": RED, "value": None}, {"color": ORANGE, "value": 172800}, {"color": GREEN, "value": 1209600}]}),
        ],
        "Traffic": [
            lines("Requests by outcome", "What becomes of requests?", {"{{outcome}}": rate("requests_total", "outcome")}, "reqps", stacked=True),
            lines("Requests by route", "Where do they go?", {"{{route}}": rate("requests_total", "route")}, "reqps", stacked=True),
            lines("Answers by status", "What are clients answered?", {"{{code}}": rate("request_seconds_count", "code")}, "reqps", stacked=True),
        ],
        "Latency": [
            lines("A request, its upstream, its decision (p99)", "How much of a request is ours? The decision is what the gateway adds, store included.",
                  {"request": quantile(0.99, "request_seconds"), "upstream": quantile(0.99, "upstream_seconds"), "decision": quantile(0.99, "decision_seconds")}, "s"),
            lines("Decision by route (p50, p99)", "Which route is expensive to decide?",
                  {"{{route}} p50": quantile(0.5, "decision_seconds", "route"), "{{route}} p99": quantile(0.99, "decision_seconds", "route")}, "s"),
            lines("Request by route (p99)", "Which route is slow for clients?", {"{{route}}": quantile(0.99, "request_seconds", "route")}, "s"),
            lines("Opening a token by algorithm (p99)", "What does cryptography cost?", {"{{algorithm}}": quantile(0.99, "verify_seconds", "algorithm")}, "s"),
            lines("Tokens opened", "How many tokens a second are verified or decrypted?", {"{{algorithm}}": rate("verify_seconds_count", "algorithm")}, "ops", stacked=True),
            lines("Waiting for cryptography", "How much work waits for the threads of RSA keys, P-384 and P-521?", {"{{instance}}": gauge("crypto_queue_depth")}),
            lines("Verdict cache", "How many tokens were known already?", {"{{result}}": rate("verdict_cache_total", "result")}, "ops", stacked=True),
        ],
        "Replay and store": [
            lines("One-time claims", "What did the store say of one-time tokens?", {"{{mode}} {{result}}": rate("replay_claims_total", "mode, result")}, "ops", stacked=True),
            lines("Store (p99)", "How long does the store take?", {"{{operation}}": quantile(0.99, "store_seconds", "operation")}, "s"),
            lines("Store errors", "Why could it not answer?", {"{{kind}}": rate("store_errors_total", "kind")}, "ops"),
            lines("Keys thrown out", "Did the store forget claims for want of memory?", {"{{instance}}": gauge("store_evicted_keys_total")}),
            lines("Claims taken twice", "Tokens that were spent at two places while the store was away.", {"{{instance}}": rate("local_claim_conflicts_total", "instance")}, "ops"),
            lines("Degraded", "Which replicas can't rely on it?", {"{{instance}}": gauge("store_degraded")}, maximum=1),
            lines("Memory of the store", "Since when has it not forgotten?", {"{{instance}}": f"time() - {gauge('store_epoch_timestamp_seconds')}"}, "s"),
            lines("Clock offset", "How far is each replica ahead of the store?", {"{{instance}}": gauge("store_clock_offset_seconds")}, "s"),
            lines("Revocations", "How many hold?", {"{{instance}}": gauge("revocations")}),
            lines("Age of the revocations", "How long has each replica not heard of new ones?", {"{{instance}}": gauge("revocation_age_seconds")}, "s"),
            lines("Claims to be given back", "Requests that got no byte to an upstream: what became of their claims?", {"{{result}}": rate("claim_releases_total", "result")}, "ops"),
        ],
        "Issuers' keys": [
            lines("Keys", "How many keys of each issuer may be believed?", {"{{issuer}} {{instance}}": gauge("issuer_keys")}),
            lines("Age of the keys", "When were they last fetched?", {"{{issuer}} {{instance}}": gauge("issuer_keys_age_seconds")}, "s"),
            lines("Fetches", "How did fetches end?", {"{{issuer}} {{result}}": rate("issuer_fetch_total", "issuer, result")}, "ops"),
        ],
        "Upstreams": [
            lines("Healthy endpoints", "Which endpoints get requests?", {"{{upstream}} {{endpoint}}": f"min by (upstream, endpoint) ({gauge('upstream_healthy')})"}, maximum=1),
            lines("Failed attempts", "Which attempts failed, and how?", {"{{upstream}} {{kind}}": rate("upstream_errors_total", "upstream, kind")}, "ops"),
            lines("Time to the first byte (p99)", "How slow is each upstream?", {"{{upstream}}": quantile(0.99, "upstream_seconds", "upstream")}, "s"),
        ],
        "Listeners": [
            lines("Days until certificates expire", "Which certificate has to be renewed?", {"{{name}}": f"min by (name) ({gauge('certificate_expiry_timestamp_seconds')} - time()) / 86400"}, "d"),
            lines("TLS handshakes", "How do handshakes end?", {"{{version}} {{result}}": rate("tls_handshakes_total", "version, result")}, "ops", stacked=True),
            lines("Cut and unheard", "What ended before a request could tell of it?", {"cut: {{why}}": rate("connections_cut_total", "why"), "unheard over HTTP/2": rate("http2_unheard_requests_total")}, "ops"),
            lines("Connections and tunnels", "What is open?", {"{{listener}}": f"sum by (listener) ({gauge('connections')})", "tunnels {{route}}": f"sum by (route) ({gauge('tunnels')})"}),
        ],
        "Audit log, traces, log": [
            lines("Records", "Are decisions written down?", {"{{instance}} {{result}}": rate("audit_records_total", "instance, result")}, "ops"),
            lines("Last record on the disk", "Does the log grow?", {"{{instance}}": gauge("audit_head")}),
            lines("Spans", "Do traces arrive at their collector?", {"{{result}}": rate("trace_spans_total", "result")}, "ops", stacked=True),
            lines("Lines lost", "Is the log slower than what it is told?", {"{{instance}}": rate("log_lines_lost_total", "instance")}, "ops"),
        ],
        "Process": [
            lines("CPU", "How many cores does each replica use?", {"{{instance}}": f"rate(process_cpu_seconds_total{{{J}}}[$__rate_interval])"}),
            lines("Memory", "How much does each replica hold?", {"{{instance}}": f"process_resident_memory_bytes{{{J}}}"}, "bytes"),
            lines("Open files", "How near is the limit?", {"{{instance}}": f"process_open_fds{{{J}}}", "limit {{instance}}": f"process_max_fds{{{J}}}"}),
            table("Version", "Which version runs where?", f"sum by (instance, version) ({gauge('build_info')})"),
            lines("Configuration", "Which generation is in force?", {"{{instance}}": gauge("config_generation")}),
            lines("Last reload", "Was it taken?", {"{{instance}}": gauge("config_last_reload_success")}, maximum=1),
        ],
    })

WHERE = 'route=~"$route", issuer=~"$issuer", reason=~"$reason"'
FORGED = 'reason=~"bad_signature|decryption_failed|algorithm_refused|header_refused|wrong_form|type_refused|unknown_key|unknown_issuer"'
STOLEN = 'reason=~"replayed|proof_replayed|revoked|binding_missing|binding_mismatch|proof_mismatch|plaintext_token"'
OURS = 'reason=~"keys_unavailable|store_unavailable|overloaded|upstream_.*"'

REFUSALS = dashboard(
    "tollgate-refusals", "tollgate: who is refused, and why?", "Refusals by reason, issuer and route.",
    [variable("route", "label_values(tollgate_requests_total, route)"), variable("issuer", "label_values(tollgate_denials_total, issuer)"),
     variable("reason", "label_values(tollgate_denials_total, reason)")], {
        "At a glance": [
            stat("Refused", "How many requests a second?", rate("denials_total", where=WHERE), "reqps"),
            stat("Share refused", "Which share of all requests?", f'{rate("requests_total", where=DENIED)} / {rate("requests_total")}', "percentunit", steps((0.2, ORANGE), (0.5, RED))),
            stat("Forged", "Tokens a second that were never issued so.", rate("denials_total", where=FORGED) + " or vector(0)", "reqps", steps((0.5, ORANGE))),
            stat("Used, stolen or revoked", "Tokens a second that are no longer, or not, this client's.", rate("denials_total", where=STOLEN) + " or vector(0)", "reqps", steps((1, ORANGE))),
            stat("Our fault", "Requests a second that we could not serve.", rate("denials_total", where=OURS) + " or vector(0)", "reqps", steps((0.1, ORANGE), (1, RED))),
            stat("Reasons in use", "How many different reasons, in the time shown?", f"count(count by (reason) (increase(tollgate_denials_total{{{J}}}[$__range]) > 0))"),
        ],
        "Reason × issuer × route": [
            table("Refusals", "Everything that was refused in the time shown. A counter that is new counts from its second event.",
                  f"sort_desc(sum by (reason, issuer, route) (increase(tollgate_denials_total{{{J}, {WHERE}}}[$__range])))", size=(12, 12)),
            lines("By reason", "Why?", {"{{reason}}": rate("denials_total", "reason", WHERE)}, "reqps", stacked=True, size=(12, 12)),
            lines("By issuer", "Whose tokens? `none`: nobody's, or not known yet.", {"{{issuer}}": rate("denials_total", "issuer", WHERE)}, "reqps", stacked=True, size=(12, 8)),
            lines("By route", "On the way where?", {"{{route}}": rate("denials_total", "route", WHERE)}, "reqps", stacked=True, size=(12, 8)),
        ],
        "What kind of trouble is it?": [
            lines("Forged", "Attacks, scanners, or keys changed in place.", {"{{reason}}": rate("denials_total", "reason", FORGED)}, "reqps"),
            lines("Used, stolen or revoked", "Retries without a new token, or tokens in other hands.", {"{{reason}}": rate("denials_total", "reason", STOLEN)}, "reqps"),
            lines("Limited", "Whose limits were reached, and where?", {"{{route}} {{kind}}": rate("rate_limited_total", "route, kind", 'route=~"$route"')}, "reqps"),
            lines("Our fault", "503, 502, 504.", {"{{reason}}": rate("denials_total", "reason", OURS)}, "reqps"),
        ],
        "Report mode": [
            lines("Would be refused, by reason", "What would happen if the routes in report mode were enforced?", {"{{reason}}": rate("would_deny_total", "reason", WHERE)}, "reqps", stacked=True, size=(12, 7)),
            lines("Would be refused, by route", "Which route can be enforced?", {"{{route}} {{issuer}}": rate("would_deny_total", "route, issuer", WHERE)}, "reqps", stacked=True, size=(12, 7)),
        ],
        "Beside what passes": [
            lines("Share refused by route", "Where is it unusual?",
                  {"{{route}}": 'sum by (route) (rate(tollgate_requests_total{job=~"$job", outcome="denied", route=~"$route"}[$__rate_interval])) / sum by (route) (rate(tollgate_requests_total{job=~"$job", route=~"$route"}[$__rate_interval]))'}, "percentunit", maximum=1),
            lines("One-time claims", "How many were fresh?", {"{{result}}": rate("replay_claims_total", "result")}, "ops", stacked=True),
            lines("Requests by outcome", "What became of all?", {"{{outcome}}": rate("requests_total", "outcome")}, "reqps", stacked=True),
        ],
    })


def written(made):
    """JSON with a line for each panel, so that a change shows as what it is."""
    def compact(value):
        return json.dumps(value, ensure_ascii=False)
    fields = [f"  {compact(key)}: {compact(value)}" for key, value in made.items() if key != "panels"]
    panels = ",\n".join(f"    {compact(one)}" for one in made["panels"])
    return "{\n" + ",\n".join(fields) + ',\n  "panels": [\n' + panels + "\n  ]\n}\n"


def main():
    status = 0
    for name, made in (("health", HEALTH), ("refusals", REFUSALS)):
        path, text = HERE / f"{name}.json", written(made)
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            print(f"{path} is not what dashboards.py says: run it and commit what it writes", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
