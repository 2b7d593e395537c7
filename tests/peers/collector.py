"""A collector of traces by the generated classes of OpenTelemetry, over gRPC.

    collector.py PORT [CHAIN KEY]
        Serves TraceService; with a certificate over TLS. Prints `listening`, then one JSON line for each export:
        {"raw": BASE64, "resource": {…}, "spans": [{…}]}; and {"idle": SECONDS} each second in which none came.
        A line on its input says what it answers from then on: `take`, `reject N`, or the name of a gRPC status.
"""

import base64
import concurrent.futures
import json
import queue
import sys
import threading
import time

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service
from opentelemetry.proto.trace.v1 import trace_pb2 as trace

behaviour = ["take"]
told = queue.Queue()
idle = [0]


def tell(what):
    """Whoever reads may be busy: no answer waits for that."""
    told.put(what)


def say():
    while True:
        print(told.get(), flush=True)


def watch():
    while True:
        time.sleep(1)
        idle[0] += 1
        tell(json.dumps({"idle": idle[0]}))


def plain(attributes):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}


def span(one):
    return {
        "trace": one.trace_id.hex(),
        "id": one.span_id.hex(),
        "parent": one.parent_span_id.hex(),
        "name": one.name,
        "kind": trace.Span.SpanKind.Name(one.kind).removeprefix("SPAN_KIND_").lower(),
        "start": one.start_time_unix_nano,
        "end": one.end_time_unix_nano,
        "attributes": plain(one.attributes),
        "failed": one.status.code == trace.Status.STATUS_CODE_ERROR,
        "flags": one.flags,
    }


def export(raw, context):
    request = service.ExportTraceServiceRequest.FromString(raw)
    # Nothing may stand in the message that the generated classes do not know.
    assert len(request.SerializeToString()) == len(raw), "unknown fields"
    idle[0] = 0
    word, *rest = behaviour[-1].split()
    if word not in ("take", "reject"):
        context.abort(grpc.StatusCode[word], "as told")
    for resource_spans in request.resource_spans:
        spans = [span(one) for scope in resource_spans.scope_spans for one in scope.spans]
        resource = plain(resource_spans.resource.attributes)
        tell(json.dumps({"raw": base64.b64encode(raw).decode(), "resource": resource, "spans": spans}))
    answer = service.ExportTraceServiceResponse()
    if word == "reject":
        answer.partial_success.rejected_spans = int(rest[0])
        answer.partial_success.error_message = "over the quota"
    return answer.SerializeToString()


def serve(port, *certificate):
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    methods = {"Export": grpc.unary_unary_rpc_method_handler(export)}
    name = "opentelemetry.proto.collector.trace.v1.TraceService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, methods),))
    if certificate:
        chain, key = (open(file, "rb").read() for file in certificate)
        server.add_secure_port(f"127.0.0.1:{port}", grpc.ssl_server_credentials([(key, chain)]))
    else:
        server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    tell("listening")
    threading.Thread(target=say, daemon=True).start()
    threading.Thread(target=watch, daemon=True).start()
    for line in sys.stdin:
        behaviour.append(line.strip())
    server.wait_for_termination()


serve(*sys.argv[1:])
