"""Takes COSE_Sign1 and SUIT envelopes apart by RFC 8949, RFC 9052 and draft-ietf-suit-manifest alone: no CBOR library,
nothing of Keystead.

usage: cose_reader.py cose SIGNATURES PAYLOAD DIRECTORY, or cose_reader.py suit ENVELOPE DIRECTORY; writes what each
signature is over as DIRECTORY/N.signed and the signature as openssl takes it as DIRECTORY/N.sig, and prints what stands
in it as JSON, bytes in hexadecimal.
"""

import hashlib
import json
import sys


class Tag:
    def __init__(self, number, value):
        self.number, self.value = number, value


def read(data, at=0):
    head, at = data[at], at + 1
    major, short = head >> 5, head & 31
    assert short < 28, "definite lengths"
    if short < 24:
        value = short
    else:
        size = 1 << (short - 24)
        value, at = int.from_bytes(data[at : at + size], "big"), at + size
    if major == 0:
        return value, at
    if major == 1:
        return -1 - value, at
    if major in (2, 3):
        part = data[at : at + value]
        assert len(part) == value
        return (part if major == 2 else part.decode()), at + value
    if major == 4:
        items = []
        for _ in range(value):
            item, at = read(data, at)
            items.append(item)
        return items, at
    if major == 5:
        pairs = {}
        for _ in range(value):
            key, at = read(data, at)
            assert key not in pairs
            pairs[key], at = read(data, at)
        return pairs, at
    if major == 6:
        item, at = read(data, at)
        return Tag(value, item), at
    assert head == 0xF6, "null is the only simple value"
    return None, at


def one(data):
    value, end = read(data)
    assert end == len(data)
    return value


def byte_string(data):
    length = len(data)
    if length < 24:
        return bytes([0x40 + length]) + data
    size = 1 if length < 0x100 else 2 if length < 0x10000 else 4
    return bytes([{1: 0x58, 2: 0x59, 4: 0x5A}[size]]) + length.to_bytes(size, "big") + data


def integer(data):
    data = data.lstrip(b"\0") or b"\0"
    data = b"\0" + data if data[0] >= 0x80 else data
    return bytes([2, len(data)]) + data


def shown(value):
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return [shown(item) for item in value]
    if isinstance(value, dict):
        return {str(key): shown(item) for key, item in value.items()}
    return value


def sign1(item, detached, directory, number):
    assert item.number == 18
    protected, unprotected, payload, signature = item.value
    header = one(protected)
    payload_used = detached if payload is None else payload
    # RFC 9052 section 4.4: ["Signature1", protected, external_aad, payload].
    with open(f"{directory}/{number}.signed", "wb") as file:
        file.write(b"\x84\x6aSignature1" + byte_string(protected) + b"\x40" + byte_string(payload_used))
    if header[1] in (-7, -9, -35):
        half = len(signature) // 2
        numbers = integer(signature[:half]) + integer(signature[half:])
        length = bytes([len(numbers)]) if len(numbers) < 128 else bytes([0x81, len(numbers)])
        signature = b"\x30" + length + numbers
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
