"""Takes COSE_Sign1 and SUIT envelopes apart by RFC 8949, RFC 9052 and draft-ietf-suit-manifest alone: no CBOR library,
nothing of Keystead.

usage: cose_reader.py cose SIGNATURES PAYLOAD DIRECTORY, or cose_reader.py suit ENVELOPE DIRECTORY; writes what each
signature is over as DIRECTORY/N.signed and the signature as openssl takes it as DIRECTORY/N.sig, and prints what stands
in it as JSON, bytes in hexadecimal.
"""

import hashlib
import json
import sys

from cose_parts import byte_string, ecdsa_der, one, read, shown, sig_structure


def sign1(item, detached, directory, number):
    assert item.number == 18
    protected, unprotected, payload, signature = item.value
    header = one(protected)
    payload_used = detached if payload is None else payload
    with open(f"{directory}/{number}.signed", "wb") as file:
        file.write(sig_structure(protected, payload_used))
    if header[1] in (-7, -9, -35):
        signature = ecdsa_der(signature)
    with open(f"{directory}/{number}.sig", "wb") as file:
        file.write(signature)
    return {"protected": shown(header), "unprotected": shown(unprotected), "payload": shown(payload)}


def main():
    with open(sys.argv[2], "rb") as file:
        data = file.read()
    if sys.argv[1] == "cose":
        with open(sys.argv[3], "rb") as file:
            payload = file.read()
        at, found = 0, []
        while at < len(data):
            item, at = read(data, at)
            found.append(sign1(item, payload, sys.argv[4], len(found)))
        print(json.dumps(found))
        return
    envelope = one(data)
    assert envelope.number == 107
    manifest = envelope.value[3]
    digest, *blocks = one(envelope.value[2])
    assert one(digest) == [-16, hashlib.sha256(byte_string(manifest)).digest()]
    signatures = [sign1(one(block), digest, sys.argv[3], number) for number, block in enumerate(blocks)]
    body = one(manifest)
    common = one(body[3])
    told = {
        "version": body[1],
        "sequence": body[2],
        "components": shown(common[2]),
        "shared": shown(one(common[4])),
        "validate": shown(one(body[7])),
        "install": shown(one(body[20])),
    }
    print(json.dumps({"manifest": told, "signatures": signatures}))


main()
