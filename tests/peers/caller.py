#!/usr/bin/env python3
"""Gets a bound token and calls a protected resource with it, by PyPI `requests-oauth2client`.

Its one argument is JSON, as caller.mjs describes it, and so is the line it prints. Every call has a connection of its
own.
"""

import json
import socket
import sys

import requests
from requests_oauth2client import OAuth2Client

asked = json.loads(sys.argv[1])
certificate = asked.get("certificate") and (asked["certificate"], asked["key"])

find = socket.getaddrinfo
socket.getaddrinfo = lambda host, *more, **options: find(
    "127.0.0.1" if host.endswith(".test") else host, *more, **options
)


def session():
    made = requests.Session()
    # What the environment says of authorities and proxies is not for us.
    made.trust_env = False
    made.verify, made.cert = asked["ca"], certificate
    return made


client = OAuth2Client(
    token_endpoint=f"{asked['issuer']}/token",
    client_id=asked["client_id"],
    client_secret=asked["client_secret"],
    dpop_bound_access_tokens=not certificate,
    session=session(),
)
token = client.client_credentials(scope="orders:read")
answers = []
for _ in range(asked["calls"]):
    answer = session().get(asked["url"], auth=token)
    answers.append({"status": answer.status_code, "body": answer.text})
print(json.dumps({"token": token.access_token, "answers": answers}))
