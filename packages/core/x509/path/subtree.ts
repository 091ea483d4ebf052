import { toHex } from '../../bytes/index.ts';
import { DerError, type DerNode } from '../der/strict.ts';
import { rdnKeys, readName } from '../names.ts';

/**
 * A name as constraints see it, or the base of a subtree (RFC 5280 section 4.2.1.10). Forms that are not processed
 * keep their tag alone.
 */
export type FormedName =
  | { readonly form: 'dns' | 'email' | 'uri'; readonly text: string }
  | { readonly form: 'ip'; readonly octets: Uint8Array }
  | { readonly form: 'directory'; readonly rdns: readonly string[] }
  | { readonly form: `other:${string}` };

/** `tag` of a SmtpUTF8Mailbox (RFC 9598), an otherName to which rfc822Name constraints apply as well. */
const SMTP_UTF8_MAILBOX = Uint8Array.of(0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x08, 0x09);
/** Carries the name of a mailbox that is not processed. */
export const UTF8_MAILBOX_FORM = 'other:smtp-utf8-mailbox';

/** Reads a GeneralName for comparison. @throws DerError */
export function readFormedName(node: DerNode, what: string): FormedName {
  switch (node.tag) {
    case 0x81:
      return { form: 'email', text: ascii(node, what) };
    case 0x82:
      return { form: 'dns', text: ascii(node, what).toLowerCase() };
    case 0x86:
      return { form: 'uri', text: ascii(node, what) };
    case 0x87:
      return { form: 'ip', octets: node.value };
    case 0xa4:
      return { form: 'directory', rdns: rdnKeys(readName(node.counted(1, 1, what).child(0, 0x30, what), what)) };
    case 0xa0: {
      const type = node.children[0]?.bytes;
      const mailbox = type !== undefined && Buffer.compare(type, SMTP_UTF8_MAILBOX) === 0;
      return { form: mailbox ? UTF8_MAILBOX_FORM : 'other:a0' };
    }
    case 0x88:
    case 0xa3:
    case 0xa5:
      return { form: `other:${toHex(Uint8Array.of(node.tag))}` };
  }
  throw new DerError(`${what} holds a name of no known kind`);
}

function ascii(node: DerNode, what: string): string {
  const text = Buffer.from(node.value).toString('latin1');
  if (!/^[\x21-\x7e]*$/.test(text)) throw new DerError(`${what} holds a character that is not printable ASCII`);
  return text;
}

const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/i;
const isHost = (text: string): boolean => text.length <= 253 && text.split('.').every((label) => LABEL.test(label));
const isIpv4 = (text: string): boolean => /^[\d.]+$/.test(text);

/**
 * Whether a base of a subtree is well formed. One that is not would be taken for narrower or wider than it was meant:
 * it refuses the path.
 */
export function isBase(base: FormedName): boolean {
  switch (base.form) {
    case 'dns':
      // The empty name is the root: all names lie below it. A leading dot or a wildcard has no meaning here.
      return base.text === '' || isHost(base.text);
    case 'email': {
      const parts = base.text.split('@');
      if (parts.length === 1) return isHost(base.text.replace(/^\./, ''));
      return parts.length === 2 && parts[0] !== '' && isHost(parts[1] ?? '');
    }
    case 'uri':
      return isHost(base.text.replace(/^\./, '')) && !isIpv4(base.text);
    case 'ip':
      return (base.octets.length === 8 || base.octets.length === 32) && isPrefixMask(base.octets);
    default:
      return true;
  }
}

/** The mask, the second half of the octets, is ones and then zeros (RFC 4632 section 3.1). */
function isPrefixMask(octets: Uint8Array): boolean {
  const bits = [...octets.subarray(octets.length / 2)].map((octet) => octet.toString(2).padStart(8, '0')).join('');
  return /^1*0*$/.test(bits);
}

/** Whether a name can be compared at all. */
export function isComparable(name: FormedName): boolean {
  switch (name.form) {
    case 'dns':
      return isHost(name.text.replace(/^\*\./, ''));
    case 'email': {
      const [local, host, ...more] = name.text.split('@');
      return more.length === 0 && local !== '' && host !== undefined && isHost(host);
    }
    case 'uri':
      // RFC 5280 section 4.2.1.10: no host, or an address in its place, must be rejected.
      return hostOf(name.text) !== undefined;
    case 'ip':
      return name.octets.length === 4 || name.octets.length === 16;
    case 'directory':
      return true;
    default:
      return false;
  }
}

/** The host of a URI with an authority (RFC 3986 section 3.2), lower case; undefined for an address or none. */
function hostOf(uri: string): string | undefined {
  const authority = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(uri)?.[1];
  const host = authority?.slice(authority.lastIndexOf('@') + 1).replace(/:\d*$/, '');
  return host !== undefined && isHost(host) && !isIpv4(host) ? host.toLowerCase() : undefined;
}

/**
 * Whether `name` lies within the subtree of `base`; both of one form, well formed and comparable.
 * @param excluded a wildcard stands for many names: it lies in an excluded subtree when one of them does, in a
 *   permitted one when all of them do.
 */
export function isWithin(name: FormedName, base: FormedName, excluded: boolean): boolean {
  if (name.form === 'dns' && base.form === 'dns') return dnsWithin(name.text, base.text, excluded);
  if (name.form === 'email' && base.form === 'email') return emailWithin(name.text, base.text);
  if (name.form === 'uri' && base.form === 'uri') return hostWithin(hostOf(name.text) ?? '', base.text);
  if (name.form === 'ip' && base.form === 'ip') return ipWithin(name.octets, base.octets);
  if (name.form === 'directory' && base.form === 'directory')
    return base.rdns.length <= name.rdns.length && base.rdns.every((rdn, i) => rdn === name.rdns[i]);
  return false;
}

function dnsWithin(name: string, base: string, excluded: boolean): boolean {
  const below = (host: string): boolean => base === '' || host === base || host.endsWith(`.${base}`);
  if (!name.startsWith('*.')) return below(name);
  const parent = name.slice(2);
  // Of the names that `*.parent` stands for, one is `base` when base is one label more than the parent.
  const covers = base.endsWith(`.${parent}`) && !base.slice(0, -parent.length - 1).includes('.');
  return below(parent) || (excluded && covers);
}

function emailWithin(name: string, base: string): boolean {
  const at = name.lastIndexOf('@');
  const host = name.slice(at + 1).toLowerCase();
  const wanted = base.lastIndexOf('@');
  // The local part belongs to its host, which may tell cases apart (RFC 5321 section 2.4).
  if (wanted >= 0) return name.slice(0, at) === base.slice(0, wanted) && host === base.slice(wanted + 1).toLowerCase();
  return hostWithin(host, base);
}

/** A base with a leading dot is for the hosts below it, another for that one host. */
function hostWithin(host: string, base: string): boolean {
  const wanted = base.toLowerCase();
  return wanted.startsWith('.') ? host.endsWith(wanted) && host.length > wanted.length : host === wanted;
}

function ipWithin(address: Uint8Array, base: Uint8Array): boolean {
  if (base.length !== address.length * 2) return false;
  return address.every((octet, i) => ((octet ^ (base[i] ?? 0)) & (base[address.length + i] ?? 0)) === 0);
}
