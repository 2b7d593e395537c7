"""An HTTP/1.1 server in a process of its own, so that a scene can kill, stop and restart it.

    endpoint.py NAME HOST PORT [CHAIN KEY CLIENT_CA MAX_VERSION]

Answers every request with 200 and NAME, keeps connections open, and reads bodies with a Content-Length. With the four
last arguments it speaks TLS, asks for a certificate of CLIENT_CA, and speaks no version above MAX_VERSION (1.2 or 1.3).
Prints a line once it listens.
"""

import asyncio
import ssl
import sys


async def serve(reader, writer, name):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            for line in head.split(b"\r\n"):
                field, _, value = line.partition(b":")
                if field.lower() == b"content-length":
                    await reader.readexactly(int(value))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(name), name))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def tls(chain, key, client_ca, max_version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    context.load_verify_locations(client_ca)
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[max_version]
    return context


async def main(name, host, port, *secured):
    context = tls(*secured) if secured else None
    handler = lambda reader, writer: serve(reader, writer, name.encode())
    server = await asyncio.start_server(handler, host, int(port), ssl=context, backlog=1024)
    print("listening", flush=True)
    async with server:
        await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
