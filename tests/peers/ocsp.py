"""An authority made by `cryptography`: its certificate, one of a server, and what it says of it by OCSP.

    ocsp.py DIRECTORY NAME

writes ca.pem, new.pem (the chain), new.key, and for each case of `RESPONSES` a file CASE.der.
"""

import datetime
import pathlib
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
HOUR = datetime.timedelta(hours=1)
DAY = 24 * HOUR


def named(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


class Authority:
    def __init__(self, name):
        self.key = ec.generate_private_key(ec.SECP256R1())
        own = [(x509.BasicConstraints(ca=True, path_length=0), True)]
        usage = dict.fromkeys(
            ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"], False)
        usage |= {"key_cert_sign": True, "crl_sign": True, "digital_signature": True}
        own.append((x509.KeyUsage(**usage), True))
        self.name = named(name)
        self.certificate = self.issue(self.name, self.key.public_key(), own, 3650)

    def issue(self, subject, key, extensions, days):
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(NOW - HOUR).not_valid_after(NOW + days * DAY)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key)
        of_authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        for extension, critical in [*extensions, (identifier, False), (of_authority, False)]:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, hashes.SHA256())

    def server(self, name):
        key = ec.generate_private_key(ec.SECP256R1())
        at = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier("http://ocsp.example.test/"))
        extensions = [
            (x509.SubjectAlternativeName([x509.DNSName(name)]), False),
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
            (x509.AuthorityInformationAccess([at]), False),
        ]
        return key, self.issue(named(name), key.public_key(), extensions, 90)

    def delegate(self):
        key = ec.generate_private_key(ec.SECP256R1())
        extensions = [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False), (x509.OCSPNoCheck(), False)]
        return key, self.issue(named("responder"), key.public_key(), extensions, 30)


def response(about, authority, signer=None, status=ocsp.OCSPCertStatus.GOOD, since=-HOUR, until=DAY, hash_=hashes.SHA1()):
    key, certificate = signer or (authority.key, authority.certificate)
    revoked = status == ocsp.OCSPCertStatus.REVOKED
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=about, issuer=authority.certificate, algorithm=hash_, cert_status=status, this_update=NOW + since,
        next_update=until and NOW + until, revocation_time=NOW if revoked else None, revocation_reason=None)
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, certificate)
    if signer:
        builder = builder.certificates([certificate])
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def main(directory, name):
    authority, stranger = Authority("authority of the edge"), Authority("stranger")
    key, edge = authority.server(name)
    _, other = authority.server(name)
    pem = serialization.Encoding.PEM
    chain = edge.public_bytes(pem) + authority.certificate.public_bytes(pem)
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    later = 4 * HOUR
    files = {
        "ca.pem": authority.certificate.public_bytes(pem), "new.pem": chain, "new.key": plain,
        "good.der": response(edge, authority),
        "delegated.der": response(edge, authority, signer=authority.delegate(), hash_=hashes.SHA256()),
        "stale.der": response(edge, authority, since=-later, until=-HOUR),
        "early.der": response(edge, authority, since=HOUR),
        "endless.der": response(edge, authority, until=None),
        "foreign.der": response(other, authority),
        "revoked.der": response(edge, authority, status=ocsp.OCSPCertStatus.REVOKED),
        "unknown.der": response(edge, authority, status=ocsp.OCSPCertStatus.UNKNOWN),
        "forged.der": response(edge, authority, signer=stranger.delegate()),
        "usurped.der": response(edge, authority, signer=authority.server("not a responder")),
        "busy.der": ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER).public_bytes(
            serialization.Encoding.DER),
        "nonsense.der": b"nonsense",
    }
    for file, content in files.items():
        pathlib.Path(directory, file).write_bytes(content)


if __name__ == "__main__":
    main(*sys.argv[1:])
