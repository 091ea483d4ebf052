"""A reader of MCUboot images, written from the published layout alone (mcu-tools/mcuboot docs/design.md).

mcuboot_reader.py IMAGE KEY OUT: prints what stands in the image as JSON, and writes OUT.message, what KEY (DER: of RSA
PKCS #1, of others SubjectPublicKeyInfo) signed, and OUT.signature. Ends with 1 and a word where the bootloader would refuse.
"""
import hashlib
import json
import struct
import sys

MAGIC, TLV_INFO, TLV_PROTECTED = 0x96F3B83D, 0x6907, 0x6908
HASHES = {0x10: hashlib.sha256, 0x11: hashlib.sha384}


def fail(word):
    sys.exit(word)


def area(data, at, magic):
    found, total = struct.unpack_from("<HH", data, at)
    if found != magic:
        fail("magic of TLVs at %d" % at)
    end = at + total
    entries = []
    at += 4
    while at < end:
        kind, length = struct.unpack_from("<HH", data, at)
        entries.append((kind, data[at + 4 : at + 4 + length]))
        at += 4 + length
    if at != end or end > len(data):
        fail("length of TLVs")
    return entries, end


def version(octets):
    return "%d.%d.%d+%d" % struct.unpack("<BBHI", octets)


image, spki, out = sys.argv[1:]
data, spki = open(image, "rb").read(), open(spki, "rb").read()
magic, load, header, protected, size, flags, ver, pad = struct.unpack_from("<IIHHII8sI", data, 0)
if magic != MAGIC:
    fail("magic")
signed_end = header + size
said = {"load": load, "header": header, "size": size, "flags": flags, "version": version(ver), "pad": pad}
said["padding"] = sorted(set(data[32:header]))
said["code"] = hashlib.sha256(data[header : header + size]).hexdigest()
said["dependencies"], said["counter"], said["record"] = [], None, None
if protected:
    entries, signed_end = area(data, signed_end, TLV_PROTECTED)
    if signed_end != header + size + protected:
        fail("protected size")
    said["protected"] = [kind for kind, _ in entries]
    for kind, value in entries:
        if kind == 0x50:
            said["counter"] = struct.unpack("<I", value)[0]
        elif kind == 0x40:
            number, minimum = struct.unpack("<B3x8s", value)
            said["dependencies"].append([number, version(minimum)])
        elif kind == 0x60:
            said["record"] = value.hex()
signed = data[:signed_end]
entries, end = area(data, signed_end, TLV_INFO)
if end != len(data):
    fail("something after the TLVs")
said["tlvs"] = [kind for kind, _ in entries]
digest = hasher = None
for kind, value in entries:
    if kind in HASHES:
        if HASHES[kind](signed).digest() != value:
            fail("digest")
        if hasher is None or len(spki) == 120:
            hasher = HASHES[kind]
            digest = value
if digest is None:
    fail("no digest")
# bootutil looks for the key by its hash, and takes the signature that follows.
mine = False
signature = None
for kind, value in entries:
    if kind == 0x01:
        mine = value == hasher(spki).digest()
    elif kind in (0x20, 0x22, 0x23, 0x24) and mine:
        signature = value
        message = digest if kind == 0x24 else signed
        break
if len(sys.argv) > 3 and signature is None and out != "-":
    fail("no signature by this key")
if signature is not None:
    open(out + ".message", "wb").write(message)
    open(out + ".signature", "wb").write(signature)
print(json.dumps(said))
