import { context, contextPrimitive, sequence } from './der/writer.ts';
import { hostSan, wildcardSan } from './identity.ts';
import { ipOctets } from './ip-address.ts';
import { nameDer } from './names.ts';
import type { PermittedNames } from './profile.ts';

/** Every IPv4 and every IPv6 address: address and mask of zeros (RFC 5280 section 4.2.1.10). */
const EVERY_ADDRESS = [new Uint8Array(8), new Uint8Array(32)];

/**
 * NameConstraints (RFC 5280 section 4.2.1.10), DER. The permitted subtree is a directoryName, so that whoever holds the
 * CA's key cannot put another factory into a subject. Nothing can be said there of an empty subject, nor of the URN in the
 * alternative name: a constraint on URIs is one on hosts, and a URI without a host would be refused altogether. So who
 * believes a device by its URN alone must know more than the path. Where no hosts may be named,
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
  const named = typeof hosts === 'boolean' ? [] : hosts.map(hostBase);
  // GeneralSubtree with minimum 0, which DER leaves out, and no maximum. A Name is a CHOICE: its tag is explicit.
  const permitted = context(0, sequence(context(4, base)), ...named.map(({ base: host }) => sequence(host)));
  if (hosts === true) return sequence(permitted);
  // A form of which nothing is permitted is not constrained at all: it is excluded.
  const excluded = [
    ...(named.some(({ form }) => form === 'dns') ? [] : [contextPrimitive(2, new Uint8Array(0))]),
    ...(named.some(({ form }) => form === 'ip') ? [] : EVERY_ADDRESS.map((all) => contextPrimitive(7, all))),
  ];
  if (excluded.length === 0) return sequence(permitted);
  return sequence(permitted, context(1, ...excluded.map((name) => sequence(name))));
}

/**
 * Whether a CA that is constrained to `bases` may name this host: one of the DNS names or what lies below it, or one of the
 * addresses (RFC 5280 section 4.2.1.10). A wildcard is below its base.
 * @throws KeysteadError `name.malformed`.
 */
export function isHostWithin(host: string, bases: readonly string[]): boolean {
  const name = host.startsWith('*.') ? wildcardSan(host) : hostSan(host);
  return bases.some((base) => {
    const permitted = hostSan(base);
    if (name === permitted) return true;
    return permitted.startsWith('DNS:') && name.startsWith('DNS:') && name.endsWith(`.${permitted.slice(4)}`);
  });
}

/** A dNSName, with what lies below it, or one iPAddress. */
function hostBase(host: string): { form: 'dns' | 'ip'; base: Uint8Array } {
  const san = hostSan(host);
  const address = ipOctets(host);
  if (address === undefined) return { form: 'dns', base: contextPrimitive(2, Buffer.from(san.slice(4), 'latin1')) };
  const mask = new Uint8Array(address.length).fill(0xff);
  return { form: 'ip', base: contextPrimitive(7, Buffer.concat([address, mask])) };
}
