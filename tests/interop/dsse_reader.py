"""Rebuilds what a DSSE envelope signs by the specification alone, with nothing of Keystead.

usage: dsse_reader.py ENVELOPE DIRECTORY; writes DIRECTORY/pae and DIRECTORY/0.sig, 1.sig ..., and prints the payload's
type, the keyids and the payload as JSON.
"""

import base64
import json
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    envelope = json.load(file)
kind = envelope["payloadType"].encode("utf-8")
body = base64.b64decode(envelope["payload"], validate=True)
with open(f"{sys.argv[2]}/pae", "wb") as file:
    file.write(b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(body), body))
for number, signature in enumerate(envelope["signatures"]):
    with open(f"{sys.argv[2]}/{number}.sig", "wb") as file:
        file.write(base64.b64decode(signature["sig"], validate=True))
keyids = [signature["keyid"] for signature in envelope["signatures"]]
print(json.dumps({"payloadType": envelope["payloadType"], "keyids": keyids, "payload": body.decode("latin-1")}))
