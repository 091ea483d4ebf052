"""Reads a revocation filter by docs/filter.md alone, with nothing of Keystead: a second reader for the tests.

usage: filter_reader.py FILTER... < lines of 'issuer-spki-sha256 serial [notBefore [notAfter]]'; prints 0, 1 or - a line:
- for no such issuer, and for a certificate that is too new for what is known of its issuer, or had ended by the filter's
date (seconds since 1970).
"""

import hashlib
import struct
import sys


through = {}
date = 0


def blocks_of(path):
    global date
    data = open(path, "rb").read()
    assert data[:4] == b"KSRF" and data[4] == 1
    date = struct.unpack(">Q", data[6:14])[0]
    count = struct.unpack(">H", data[62:64])[0]
    at, blocks = 64, {}

    def take(length):
        nonlocal at
        at += length
        assert at <= len(data)
        return data[at - length : at]

    def ribbon():
        salt, columns, size = struct.unpack(">BBI", take(6))
        length = (size + 7) // 8
        return salt, size, [int.from_bytes(take(length), "little") for _ in range(columns)]

    for _ in range(count):
        issuer, flags, form = take(32).hex(), take(1)[0], take(1)[0]
        inverted = flags & 1
        through[issuer] = struct.unpack(">Q", take(8) if flags & 2 else data[14:22])[0]
        if form == 0:
            blocks[issuer] = (inverted, form, None)
        elif form == 1:
            width, entries = struct.unpack(">BI", take(5))
            blocks[issuer] = (inverted, form, (width, {take(width) for _ in range(entries)}))
        else:
            blocks[issuer] = (inverted, form, (ribbon(), ribbon()))
    assert at == len(data)
    return blocks


def digest(level, salt, issuer, serial):
    return hashlib.sha256(bytes([level, salt]) + bytes.fromhex(issuer) + bytes.fromhex(serial)).digest()


def sums(level, ribbon, issuer, serial):
    salt, size, columns = ribbon
    if not columns:
        return None
    words = struct.unpack(">8I", digest(level, salt, issuer, serial))
    start = (words[0] * (size - 224 + 1)) >> 32
    band = sum(word << (32 * k) for k, word in enumerate(words[1:])) | 1
    return [bin((column >> start) & band).count("1") % 2 for column in columns]


def says(block, issuer, serial):
    inverted, form, facts = block
    if form == 0:
        listed = False
    elif form == 1:
        listed = digest(3, 0, issuer, serial)[: facts[0]] in facts[1]
    else:
        first, second = sums(1, facts[0], issuer, serial), sums(2, facts[1], issuer, serial)
        listed = (first is None or not any(first)) and (second is None or second == [1])
    return listed != bool(inverted)


files = [blocks_of(path) for path in sys.argv[1:]]
for line in sys.stdin:
    issuer, serial, *times = line.split()
    begins, ends = [int(time) for time in times + [0, date + 1][len(times) :]]
    covered = begins <= through.get(issuer, 0) and ends > date
    answers = [says(blocks[issuer], issuer, serial) for blocks in files if covered and issuer in blocks]
    print("-" if not answers else sum(answers) % 2)
