"""Takes a trust bundle apart by docs/trust-bundle.md alone, with nothing of Keystead and no CBOR library.

usage: trust_bundle_reader.py BUNDLE SIGNED SIGNATURE; writes what was signed and the signature in DER, for openssl, and
prints the content as JSON, bytes in hexadecimal.
"""

import json
import sys

from cose_parts import ecdsa_der, one, shown, sig_structure

bundle = open(sys.argv[1], "rb").read()
header, unprotected, payload, signature = one(bundle)
assert unprotected == {}
protected = one(header)
open(sys.argv[2], "wb").write(sig_structure(header, payload))
open(sys.argv[3], "wb").write(signature if protected[1] == -19 else ecdsa_der(signature))
print(json.dumps({"header": shown(protected), "content": shown(one(payload))}))
