"""CBOR (RFC 8949), what COSE_Sign1 signs (RFC 9052) and DER of ECDSA signatures, for the readers of this directory: from the
RFCs alone, with no CBOR library and nothing of Keystead.
"""


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


def sig_structure(protected, payload):
    """RFC 9052 section 4.4: ["Signature1", protected, external_aad, payload]."""
    return b"\x84\x6aSignature1" + byte_string(protected) + b"\x40" + byte_string(payload)


def integer(data):
    data = data.lstrip(b"\0") or b"\0"
    data = b"\0" + data if data[0] >= 0x80 else data
    return bytes([2, len(data)]) + data


def ecdsa_der(signature):
    """The two numbers of an ECDSA signature of COSE as openssl takes them."""
    half = len(signature) // 2
    numbers = integer(signature[:half]) + integer(signature[half:])
    length = bytes([len(numbers)]) if len(numbers) < 128 else bytes([0x81, len(numbers)])
    return b"\x30" + length + numbers


def shown(value):
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return [shown(item) for item in value]
    if isinstance(value, dict):
        return {str(key): shown(item) for key, item in value.items()}
    return value
