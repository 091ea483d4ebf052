import { toHex } from '../bytes/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { DerError, type DerNode } from './der/strict.ts';
import { contextPrimitive, sequence } from './der/writer.ts';
import { ipOctets, ipText } from './ip-address.ts';
import { formatName, readName } from './names.ts';

/** Context tags of GeneralName (RFC 5280 section 4.2.1.6). */
const EMAIL = 1;
const DNS = 2;
const URI = 6;
const IP = 7;

/** A preferred-name-syntax DNS name with LDH labels, or a wildcard before two of them at least (RFC 9525 section 6.3). */
const DNS_NAME =
  /^(?:\*\.(?=[^.]+\.))?(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/;
/** An absolute URI in its characters (RFC 3986): a scheme and something after it. */
const ABSOLUTE_URI = /^[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=%]+$/;

/**
 * The GeneralName of `URI:…`, `DNS:…` or `IP:…`.
 * @throws KeysteadError `name.malformed` for another kind or a value that the kind does not have.
 */
export function generalNameDer(name: string): Uint8Array {
  const colon = name.indexOf(':');
  const value = name.slice(colon + 1);
  switch (name.slice(0, colon)) {
    case 'URI':
      if (ABSOLUTE_URI.test(value)) return contextPrimitive(URI, Buffer.from(value, 'latin1'));
      break;
    case 'DNS':
      if (DNS_NAME.test(value)) return contextPrimitive(DNS, Buffer.from(value, 'latin1'));
      break;
    case 'IP': {
      const octets = ipOctets(value);
      if (octets !== undefined) return contextPrimitive(IP, octets);
    }
  }
  throw new KeysteadError('name.malformed', { field: 'subjectAltName', seen: JSON.stringify(name.slice(0, 80)) });
}

/** GeneralNames from entries such as `DNS:localhost`. @throws KeysteadError `name.malformed` */
export const generalNamesDer = (names: readonly string[]): Uint8Array => sequence(...names.map(generalNameDer));

/**
 * Reads GeneralNames: `URI:…`, `DNS:…`, `IP:…`, `email:…`, `dirName:…`, and for the other kinds their tag and hex,
 * so that none is lost and none equals a name that Keystead gives.
 * @throws DerError
 */
export function readGeneralNames(node: DerNode, what: string): string[] {
  return node
    .expect(0x30, what)
    .counted(1, 256, what)
    .children.map((name) => readGeneralName(name, what));
}

/** Reads one GeneralName. @throws DerError */
export function readGeneralName(node: DerNode, what: string): string {
  switch (node.tag) {
    case 0x80 | EMAIL:
      return `email:${ia5(node, what)}`;
    case 0x80 | DNS:
      return `DNS:${ia5(node, what)}`;
    case 0x80 | URI:
      return `URI:${ia5(node, what)}`;
    case 0x80 | IP:
      return `IP:${ipText(node.value, what)}`;
    case 0xa4:
      return `dirName:${formatName(readName(node.child(0, 0x30, what), what))}`;
    case 0x88:
    case 0xa0:
    case 0xa3:
    case 0xa5:
      return `other:${toHex(node.bytes)}`;
  }
  throw new DerError(`${what} holds a name of no known kind`);
}

/** Control characters and NUL make one name look like another; no IA5 name has them. */
function ia5(node: DerNode, what: string): string {
  const text = Buffer.from(node.value).toString('latin1');
  if (!/^[\x20-\x7e]+$/.test(text)) throw new DerError(`${what} holds a character that is not printable ASCII`);
  return text;
}
