"""Takes a trust bundle apart by docs/trust-bundle.md alone, with nothing of Keystead and no CBOR library.

usage: trust_bundle_reader.py BUNDLE SIGNED SIGNATURE; writes what was signed and the signature in DER, for openssl, and
prints the content as JSON, bytes in hexadecimal.
"""

import json
import sys


def read(data, at):
    head, at = data[at], at + 1
    major, short = head >> 5, head & 31
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
            pairs[key], at = read(data, at)
        return pairs, at
    assert head == 0xF6, "null is the only simple value"
    return None, at


def byte_string(data):
    length = len(data)
    head = bytes([0x40 + length]) if length < 24 else bytes([0x58, length]) if length < 256 else b"\x59" + length.to_bytes(2, "big")
    return head + data


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


bundle = open(sys.argv[1], "rb").read()
(header, unprotected, payload, signature), end = read(bundle, 0)
assert end == len(bundle) and unprotected == {}
protected = read(header, 0)[0]
# RFC 9052 section 4.4: ["Signature1", protected, external_aad, payload].
open(sys.argv[2], "wb").write(b"\x84\x6aSignature1" + byte_string(header) + b"\x40" + byte_string(payload))
half = len(signature) // 2
numbers = integer(signature[:half]) + integer(signature[half:])
length = bytes([len(numbers)]) if len(numbers) < 128 else bytes([0x81, len(numbers)])
open(sys.argv[3], "wb").write(signature if protected[1] == -19 else b"\x30" + length + numbers)
print(json.dumps({"header": shown(protected), "content": shown(read(payload, 0)[0])}))
