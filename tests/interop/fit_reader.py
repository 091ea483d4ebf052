"""A reader of signed flattened image trees, written from U-Boot's documents and the devicetree specification alone.

fit_reader.py IMAGE CONFIGURATION SIGNATURE OUT: writes OUT.message, the regions that U-Boot hashes for the configuration
by `hashed-nodes` and `hashed-strings` of the signature node, and OUT.signature (of ECDSA as DER). Prints the hashes of
the images that it covers, which it has checked against their data, as JSON.
"""
import hashlib
import json
import struct
import sys

BEGIN, END_NODE, PROP, NOP, END = 1, 2, 3, 4, 9
LEFT_OUT = ("data", "data-size", "data-position", "data-offset")

image, configuration, signature, out = sys.argv[1:]
blob = open(image, "rb").read()
magic, total, struct_at, strings_at, _, version, _, _, strings_size, struct_size = struct.unpack_from(">10I", blob)
assert magic == 0xD00DFEED and version == 17


def text(at):
    return blob[at : blob.index(b"\0", at)].decode()


# Every token: (kind, from, to, path of its node, name, value)
tokens, stack, at = [], [], struct_at
while True:
    start = at
    kind = struct.unpack_from(">I", blob, at)[0]
    at += 4
    if kind == BEGIN:
        name = text(at)
        at += (len(name) + 4) // 4 * 4
        stack.append(name)
        tokens.append((kind, start, at, "/".join(stack) or "/", None, None))
    elif kind == END_NODE:
        tokens.append((kind, start, at, "/".join(stack) or "/", None, None))
        stack.pop()
    elif kind == PROP:
        length, offset = struct.unpack_from(">II", blob, at)
        value = blob[at + 8 : at + 8 + length]
        at += 8 + (length + 3) // 4 * 4
        tokens.append((kind, start, at, "/".join(stack) or "/", text(strings_at + offset), value))
    elif kind == END:
        tokens.append((kind, start, at, "", None, None))
        break
    else:
        assert kind == NOP
assert at == struct_at + struct_size

props = {}
for kind, _, _, path, name, value in tokens:
    if kind == PROP:
        props.setdefault(path, {})[name] = value
mine = props["/configurations/%s/%s" % (configuration, signature)]
listed = mine["hashed-nodes"].decode().rstrip("\0").split("\0")

# fdt_find_regions: a listed node with its properties, each child of one without them, and nothing else.
message, want, wants = b"", 0, []
for kind, start, end, path, name, _ in tokens:
    if kind == BEGIN:
        wants.append(want)
        want = 2 if path in listed else max(want - 1, 0)
        take = want > 0
    elif kind == END_NODE:
        take = want > 0
        want = wants.pop()
    elif kind == PROP:
        take = want == 2 and name not in LEFT_OUT
    else:
        take = kind == END
    if take:
        message += blob[start:end]
zero, hashed_strings = struct.unpack(">II", mine["hashed-strings"])
assert zero == 0
message += blob[strings_at : strings_at + hashed_strings]

hashes = {}
for path in listed:
    if not path.startswith("/images/") or "/hash" in path:
        continue
    image_props = props[path]
    if "data" in image_props:
        data = image_props["data"]
    else:
        size = struct.unpack(">I", image_props["data-size"])[0]
        if "data-offset" in image_props:
            begin = (total + 3) // 4 * 4 + struct.unpack(">I", image_props["data-offset"])[0]
        else:
            begin = struct.unpack(">I", image_props["data-position"])[0]
        data = blob[begin : begin + size]
        assert len(data) == size
    for node in [each for each in listed if each.startswith(path + "/hash")]:
        algorithm = props[node]["algo"].decode().rstrip("\0")
        assert props[node]["value"] == hashlib.new(algorithm, data).digest(), node
        hashes[path] = props[node]["value"].hex()


def integer(octets):
    octets = octets.lstrip(b"\0") or b"\0"
    octets = (b"\0" if octets[0] & 0x80 else b"") + octets
    return b"\x02" + bytes([len(octets)]) + octets


value = mine["value"]
if b"ecdsa" in mine["algo"]:
    body = integer(value[: len(value) // 2]) + integer(value[len(value) // 2 :])
    value = b"\x30" + bytes([len(body)]) + body
open(out + ".message", "wb").write(message)
open(out + ".signature", "wb").write(value)
print(json.dumps({"hashes": hashes, "signer": mine["signer-name"].decode().rstrip("\0"), "time": int.from_bytes(mine["timestamp"], "big")}))
