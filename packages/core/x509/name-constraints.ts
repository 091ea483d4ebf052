import { context, contextPrimitive, sequence } from './der/writer.ts';
import { nameDer } from './names.ts';
import type { PermittedNames } from './profile.ts';

/** Every IPv4 and every IPv6 address: address and mask of zeros (RFC 5280 section 4.2.1.10). */
const EVERY_ADDRESS = [new Uint8Array(8), new Uint8Array(32)];

/**
 * NameConstraints (RFC 5280 section 4.2.1.10), DER. The permitted subtree is a directoryName, so that whoever holds the
 * CA's key cannot name a device of another factory. Nothing can be said there of the URN in the alternative name: a
 * constraint on URIs is one on hosts, and a URI without a host would be refused altogether. Where no hosts may be named,
 * the empty dNSName, below which all names lie, and all addresses are excluded: such a CA makes no server.
 * @throws KeysteadError `name.malformed`.
 */
export function nameConstraintsDer({ organization, organizationalUnit, hosts }: PermittedNames): Uint8Array {
  const base = nameDer({
    rdns: [
      { type: 'O', value: organization },
      { type: 'OU', value: organizationalUnit },
    ],
  });
  // GeneralSubtree with minimum 0, which DER leaves out, and no maximum. A Name is a CHOICE: its tag is explicit.
  const permitted = context(0, sequence(context(4, base)));
  if (hosts) return sequence(permitted);
  const names = sequence(contextPrimitive(2, new Uint8Array(0)));
  const addresses = EVERY_ADDRESS.map((all) => sequence(contextPrimitive(7, all)));
  return sequence(permitted, context(1, names, ...addresses));
}
