#!/usr/bin/env python3
"""Mints and reads tokens with jwcrypto and joserfc, so that tollgate is tested against tokens it did not make.

A long-lived JSON-lines server: one request object a line on standard input, one answer object a line on standard
output, in order. `lib` chooses the library; nothing here falls back from one library to the other.

    {"op": "about"}                                                   {"libs": {NAME: VERSION}, "lacks": {NAME: [...]}}
    {"op": "keygen",  "lib", "alg", "enc"?, "crv"?}                   {"private": JWK, "public": JWK or null}
    {"op": "sign",    "lib", "alg", "key", "header"?, CONTENT}        {"token": "..."}
    {"op": "encrypt", "lib", "alg", "enc", "key", "header"?, CONTENT} {"token": "..."}
    {"op": "nest",    "lib", "sign": {...}, "encrypt": {...}, CONTENT} {"token": "..."}    sign, then encrypt
    {"op": "read",    "lib", "alg", "enc"?, "key", "token"}           {"header": {...}, "payload": "..."}

CONTENT is `claims` (an object) or `payload` (the exact text, for claims sets no library would write). A failed request
is answered with {"error": "..."} and the server goes on.
"""

import base64
import importlib.metadata
import json
import secrets
import sys
import warnings

import joserfc.jwe
import joserfc.jwk
import joserfc.jws
import jwcrypto.jwe
import jwcrypto.jwk
import jwcrypto.jws

# The bytes of a symmetric key; the `dir` ones follow the content encryption instead.
OCT_BYTES = {
    "HS256": 32, "HS384": 48, "HS512": 64,
    "A128KW": 16, "A192KW": 24, "A256KW": 32,
    "A128GCMKW": 16, "A192GCMKW": 24, "A256GCMKW": 32,
}
DIR_BYTES = {
    "A128GCM": 16, "A192GCM": 24, "A256GCM": 32,
    "A128CBC-HS256": 32, "A192CBC-HS384": 48, "A256CBC-HS512": 64,
}
EC_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
# Both libraries do every algorithm of the contract; a gap would be listed here, never passed over.
LACKS = {"jwcrypto": [], "joserfc": []}


def content(request):
    """The exact text that goes into the token."""
    if "payload" in request:
        return request["payload"]
    return json.dumps(request["claims"], separators=(",", ":"))


def jose_header(request):
    """`alg` and `enc` first, then whatever the request adds or overrides."""
    header = {"alg": request["alg"]}
    if "enc" in request:
        header["enc"] = request["enc"]
    return header | request.get("header", {})


def first_segment(token):
    """The header of a compact token, read without trusting it."""
    segment = token.split(".")[0]
    return json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))


def key_shape(alg, enc, crv):
    """(kty, what the key generator needs): an octet count, a curve or a modulus size."""
    if alg == "dir":
        return "oct", DIR_BYTES[enc]
    if alg in OCT_BYTES:
        return "oct", OCT_BYTES[alg]
    if alg in EC_CURVES:
        return "EC", EC_CURVES[alg]
    if alg in ("EdDSA", "Ed25519"):
        return "OKP", "Ed25519"
    if alg.startswith("ECDH-ES"):
        curve = crv or "P-256"
        return ("OKP" if curve.startswith("X") else "EC"), curve
    if alg[:2] in ("RS", "PS"):  # RS256, PS256, … and RSA-OAEP
        return "RSA", 2048
    raise ValueError(f"no key shape for algorithm {alg}")


class Jwcrypto:
    """jwcrypto: https://jwcrypto.readthedocs.io"""

    # The library's default list leaves some of the contract's algorithms out: name the one asked for.

    def keygen(self, kty, size):
        if kty == "oct":
            key = jwcrypto.jwk.JWK(kty="oct", k=base64.urlsafe_b64encode(secrets.token_bytes(size)).rstrip(b"=").decode())
            return key.export(as_dict=True), None
        options = {"size": size} if kty == "RSA" else {"crv": size}
        key = jwcrypto.jwk.JWK.generate(kty=kty, **options)
        return key.export_private(as_dict=True), key.export_public(as_dict=True)

    def sign(self, header, text, key):
        jws = jwcrypto.jws.JWS(text)
        jws.allowed_algs = [header["alg"]]
        jws.add_signature(jwcrypto.jwk.JWK(**key), None, json.dumps(header), None)
        return jws.serialize(compact=True)

    def encrypt(self, header, text, key):
        jwe = jwcrypto.jwe.JWE(text, json.dumps(header), algs=[header["alg"], header["enc"]])
        jwe.add_recipient(jwcrypto.jwk.JWK(**key))
        return jwe.serialize(compact=True)

    def verify(self, alg, token, key):
        jws = jwcrypto.jws.JWS()
        jws.allowed_algs = [alg]
        jws.deserialize(token, jwcrypto.jwk.JWK(**key))
        return jws.payload

    def decrypt(self, alg, enc, token, key):
        jwe = jwcrypto.jwe.JWE(algs=[alg, enc])
        jwe.deserialize(token, jwcrypto.jwk.JWK(**key))
        return jwe.payload


class Joserfc:
    """joserfc: https://jose.authlib.org"""

    def keygen(self, kty, size):
        bits_or_curve = size * 8 if kty == "oct" else size
        key = joserfc.jwk.generate_key(kty, bits_or_curve, private=True)
        return key.as_dict(private=True), None if kty == "oct" else key.as_dict(private=False)

    def sign(self, header, text, key):
        registry = joserfc.jws.JWSRegistry(algorithms=[header["alg"]], strict_check_header=False)
        return joserfc.jws.serialize_compact(header, text, joserfc.jwk.import_key(key), registry=registry)

    def encrypt(self, header, text, key):
        registry = joserfc.jwe.JWERegistry(algorithms=[header["alg"], header["enc"]], strict_check_header=False)
        return joserfc.jwe.encrypt_compact(header, text, joserfc.jwk.import_key(key), registry=registry)

    def verify(self, alg, token, key):
        registry = joserfc.jws.JWSRegistry(algorithms=[alg], strict_check_header=False)
        return joserfc.jws.deserialize_compact(token, joserfc.jwk.import_key(key), registry=registry).payload

    def decrypt(self, alg, enc, token, key):
        registry = joserfc.jwe.JWERegistry(algorithms=[alg, enc], strict_check_header=False)
        return joserfc.jwe.decrypt_compact(token, joserfc.jwk.import_key(key), registry=registry).plaintext


LIBRARIES = {"jwcrypto": Jwcrypto(), "joserfc": Joserfc()}


def answer(request):
    """Does one request; raises what the library raises."""
    operation = request["op"]
    if operation == "about":
        return {"libs": {name: importlib.metadata.version(name) for name in LIBRARIES}, "lacks": LACKS}
    library = LIBRARIES[request["lib"]]
    if operation == "keygen":
        private, public = library.keygen(*key_shape(request["alg"], request.get("enc"), request.get("crv")))
        return {"private": private, "public": public}
    if operation == "sign":
        return {"token": library.sign(jose_header(request), content(request), request["key"])}
    if operation == "encrypt":
        return {"token": library.encrypt(jose_header(request), content(request), request["key"])}
    if operation == "nest":
        inner, outer = request["sign"], request["encrypt"]
        signed = library.sign(jose_header(inner), content(request), inner["key"])
        return {"token": library.encrypt({"cty": "JWT"} | jose_header(outer), signed, outer["key"])}
    if operation == "read":
        token = request["token"]
        if token.count(".") == 4:
            payload = library.decrypt(request["alg"], request["enc"], token, request["key"])
        else:
            payload = library.verify(request["alg"], token, request["key"])
        return {"header": first_segment(token), "payload": payload.decode()}
    raise ValueError(f"no operation {operation}")


def main():
    # joserfc warns of algorithms it finds old-fashioned; the answers must stay one JSON object a line all the same.
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line))
        except Exception as fault:  # every fault belongs to the request that caused it
            reply = {"error": f"{type(fault).__name__}: {fault}"}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
