"""Both ends of gRPC calls, by a library that is not ours. Messages are plain bytes.

    grpc_peer.py serve PORT
        Serves echo.Echo. Prints a line once it listens.
    grpc_peer.py call PORT HOST CA METHOD TOKEN
        Makes one call and prints what came as JSON lines: each message as {"message": TEXT}, then
        {"code": NAME, "details": TEXT, "metadata": {…}} with the initial and the trailing metadata together.
"""

import concurrent.futures
import json
import queue
import sys

import grpc

SERVICE = "echo.Echo"


def tell(**what):
    print(json.dumps(what), flush=True)


def unary(request, context):
    context.set_trailing_metadata((("x-after", "unary"), ("x-user-id", "told")))
    return request


def down(request, context):
    for number in range(3):
        yield b"%b-%d" % (request, number)


def up(requests, context):
    return b"".join(requests)


def both(requests, context):
    for request in requests:
        yield request


def fail(request, context):
    context.set_trailing_metadata((("x-after", "fail"),))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not today")


def user(request, context):
    metadata = dict(context.invocation_metadata())
    return f"{metadata.get('x-user-id')} {metadata.get('authorization')}".encode()


def hold(request, context):
    yield request
    ended = concurrent.futures.Future()
    context.add_callback(lambda: ended.set_result(None))
    ended.result()


def serve(port):
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(16))
    methods = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Down": grpc.unary_stream_rpc_method_handler(down),
        "Up": grpc.stream_unary_rpc_method_handler(up),
        "Both": grpc.stream_stream_rpc_method_handler(both),
        "Fail": grpc.unary_unary_rpc_method_handler(fail),
        "User": grpc.unary_unary_rpc_method_handler(user),
        "Hold": grpc.unary_stream_rpc_method_handler(hold),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    print("listening", flush=True)
    server.wait_for_termination()


def one_after_another(texts, heard):
    """Sends each text only when the answer to the one before has come."""
    for text in texts:
        yield text
        heard.get(timeout=30)


def call(port, host, ca, method, token):
    with open(ca, "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    options = (("grpc.ssl_target_name_override", host), ("grpc.enable_http_proxy", 0))
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    with grpc.secure_channel(f"127.0.0.1:{port}", credentials, options) as channel:
        path, settings = f"/{SERVICE}/{method}", {"metadata": metadata, "timeout": 60}
        heard = queue.Queue()
        answers = {
            "Down": lambda: channel.unary_stream(path)(b"a", **settings),
            "Hold": lambda: channel.unary_stream(path)(b"a", **settings),
            "Up": lambda: channel.stream_stream(path)(iter([b"a", b"b", b"c"]), **settings),
            "Both": lambda: channel.stream_stream(path)(one_after_another([b"a", b"b", b"c"], heard), **settings),
        }.get(method, lambda: channel.unary_stream(path)(b"a", **settings))()
        try:
            for message in answers:
                tell(message=message.decode())
                heard.put(None)
        except grpc.RpcError:
            pass
        metadata = dict(answers.initial_metadata() or ()) | dict(answers.trailing_metadata() or ())
        tell(code=answers.code().name, details=answers.details(), metadata=metadata)


command = {"serve": serve, "call": call}[sys.argv[1]]
command(*sys.argv[2:])
