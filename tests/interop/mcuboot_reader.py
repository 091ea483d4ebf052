"""A reader of MCUboot images, written from the published layout (mcu-tools/mcuboot docs/design.md), which refuses what
bootutil refuses (boot/bootutil/src/image_validate.c, tlv.c).

mcuboot_reader.py IMAGE KEY OUT: prints what stands in the image as JSON, and writes OUT.message, what KEY (DER: of RSA
PKCS #1, of others SubjectPublicKeyInfo) signed, and OUT.signature. Ends with 1 and a word where the bootloader would refuse.
"""
import hashlib
import json
import struct
import sys

MAGIC, TLV_INFO, TLV_PROTECTED = 0x96F3B83D, 0x6907, 0x6908
HASHES = {0x10: hashlib.sha256, 0x11: hashlib.sha384}
# By the kind of a key: TLV of the digest, TLV of the signature, its most octets, whether it has just as many.
KINDS = {
    "RSA-2048": (0x10, 0x20, 256, True),
    "RSA-3072": (0x10, 0x23, 384, True),
    "P-256": (0x10, 0x22, 128, False),
    "P-384": (0x11, 0x22, 128, False),
    "Ed25519": (0x10, 0x24, 64, True),
}


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


def spki_kind(key):
    """A bootloader is built for one kind of key; here it is told by the octets of the key."""
    known = {91: "P-256", 120: "P-384", 44: "Ed25519", 270: "RSA-2048", 398: "RSA-3072"}
    return known[len(key)] if len(key) in known else fail("a key of no kind that MCUboot has")


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

# What a bootloader does that was built for the kind of this key and no other, in the order of bootutil_img_validate: a
# TLV that is neither its digest, nor a key's hash, nor a signature of its kind is refused (MCUBOOT_USE_TLV_ALLOW_LIST).
HASH, SIGNATURE, most, fixed = KINDS[spki_kind(spki)]
hasher = HASHES[HASH]
digest = hasher(signed).digest()
hashed = mine = False
signature = None
for kind, value in entries:
    if kind not in (0x01, HASH, SIGNATURE):
        fail("TLV 0x%02x is not permitted" % kind)
    if kind == HASH:
        if value != digest:
            fail("digest")
        hashed = True
    elif kind == 0x01:
        if len(value) > len(digest):
            fail("length of a key's hash")
        # Of another key: the signature that follows is passed over.
        mine = value == hasher(spki).digest()
    elif mine:
        if len(value) > most or (fixed and len(value) != most):
            fail("length of a signature")
        signature, mine = value, False
if not hashed:
    fail("no digest")
if signature is None:
    fail("no signature by this key")
# openssl hashes what ECDSA and RSA sign; Ed25519 signs the digest.
open(out + ".message", "wb").write(digest if SIGNATURE == 0x24 else signed)
open(out + ".signature", "wb").write(signature)
print(json.dumps(said))
