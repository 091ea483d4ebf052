import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { DerCertificate, DerSpki } from '../../bytes/index.ts';
import { sha1Identifier } from '../../crypto/index.ts';
import { signatureAlgorithmDer } from '../algorithms.ts';
import { assembleSigned } from '../assemble.ts';
import {
  booleanTrue,
  context,
  contextPrimitive,
  enumerated,
  integer,
  namedBits,
  octetString,
  oid,
  sequence,
  time,
  tlv,
} from '../der/writer.ts';
import { ipOctets } from '../ip-address.ts';
import { nameDer } from '../names.ts';
import { EXTENDED_KEY_USAGES, EXTENSIONS, type ExtendedKeyUsageName, KEY_USAGES, type KeyUsageName } from '../oids.ts';
import { readSpki } from '../spki.ts';

/**
 * Certificates and CRLs that say whatever a test wants, also what no profile allows, with signatures that are right.
 * It owes nothing to the issuing path.
 */
export class Forger {
  readonly privateKey: KeyObject;
  readonly spki: DerSpki;
  readonly ski: Uint8Array;

  constructor() {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    this.privateKey = privateKey;
    this.spki = new Uint8Array(publicKey.export({ format: 'der', type: 'spki' })) as DerSpki;
    this.ski = sha1Identifier(readSpki(this.spki).keyBits);
  }

  sign(tbs: Uint8Array): Uint8Array {
    return assembleSigned(tbs, 'ecdsa-with-SHA256', new Uint8Array(sign('sha256', tbs, this.privateKey)));
  }
}

export const START = new Date('2026-01-01T00:00:00Z');
export const NOW = new Date('2026-06-01T00:00:00Z');
export const END = new Date('2027-01-01T00:00:00Z');

/** A distinguished name from texts such as `CN=root`. */
export const dn = (...parts: readonly string[]): Uint8Array =>
  nameDer({
    rdns: parts.map((part) => ({ type: part.slice(0, part.indexOf('=')), value: part.slice(part.indexOf('=') + 1) })),
  });

const ia5 = (tag: number, text: string): Uint8Array => contextPrimitive(tag, Buffer.from(text, 'latin1'));

/** A GeneralName from `DNS:`, `email:`, `URI:`, `IP:` (for subtrees `IP:address/mask`), `dir:CN=a,CN=b`, `RID:`. */
export function generalName(text: string): Uint8Array {
  const value = text.slice(text.indexOf(':') + 1);
  switch (text.slice(0, text.indexOf(':'))) {
    case 'email':
      return ia5(1, value);
    case 'DNS':
      return ia5(2, value);
    case 'URI':
      return ia5(6, value);
    case 'IP':
      return contextPrimitive(
        7,
        Buffer.concat(value.split('/').map((part) => ipOctets(part) ?? Buffer.from(part, 'hex'))),
      );
    case 'dir':
      return context(4, dn(...value.split(',')));
    case 'RID':
      return contextPrimitive(8, oid(value).subarray(2));
    default:
      throw new RangeError(text);
  }
}

/** An extension, DER. */
export const extension = (id: string, critical: boolean, value: Uint8Array): Uint8Array =>
  sequence(oid(id), ...(critical ? [booleanTrue()] : []), octetString(value));

const subtrees = (tag: number, names: readonly string[]): Uint8Array[] =>
  names.length === 0 ? [] : [context(tag, ...names.map((name) => sequence(generalName(name))))];

export const nameConstraints = (
  { permitted = [], excluded = [] }: { permitted?: readonly string[]; excluded?: readonly string[] },
  critical = true,
): Uint8Array =>
  extension(EXTENSIONS.nameConstraints, critical, sequence(...subtrees(0, permitted), ...subtrees(1, excluded)));

export const altNames = (...names: readonly string[]): Uint8Array =>
  extension(EXTENSIONS.subjectAltName, false, sequence(...names.map(generalName)));

export const policies = (...ids: readonly string[]): Uint8Array =>
  extension(EXTENSIONS.certificatePolicies, false, sequence(...ids.map((id) => sequence(oid(id)))));

export const mappings = (...pairs: readonly (readonly [from: string, to: string])[]): Uint8Array =>
  extension(EXTENSIONS.policyMappings, true, sequence(...pairs.map(([from, to]) => sequence(oid(from), oid(to)))));

export const policyConstraints = (explicit: number | undefined, mapping?: number): Uint8Array =>
  extension(
    EXTENSIONS.policyConstraints,
    true,
    sequence(
      ...(explicit === undefined ? [] : [contextPrimitive(0, Uint8Array.of(explicit))]),
      ...(mapping === undefined ? [] : [contextPrimitive(1, Uint8Array.of(mapping))]),
    ),
  );

export const inhibitAnyPolicy = (skip: number): Uint8Array =>
  extension(EXTENSIONS.inhibitAnyPolicy, true, integer(skip));

/** One distribution point by URL or, with `crlIssuer`, by who signs. */
export const distributionPoint = (v: {
  url?: string;
  reasons?: readonly number[];
  crlIssuer?: Uint8Array;
}): Uint8Array =>
  sequence(
    ...(v.url === undefined ? [] : [context(0, context(0, ia5(6, v.url)))]),
    ...(v.reasons === undefined ? [] : [tlv(0x81, namedBits(v.reasons).subarray(2))]),
    ...(v.crlIssuer === undefined ? [] : [context(2, context(4, v.crlIssuer))]),
  );
export const crlPoints = (...points: readonly Uint8Array[]): Uint8Array =>
  extension(EXTENSIONS.cRLDistributionPoints, false, sequence(...points));

export interface ForgedCertificate {
  readonly key: Forger;
  readonly subject: Uint8Array;
  readonly der: DerCertificate;
  readonly serial: number;
}

export interface Wish {
  /** As `dn` takes it; undefined makes the empty name. */
  readonly subject?: readonly string[];
  /** Self-signed when left out. */
  readonly by?: ForgedCertificate;
  /** A new one when left out. */
  readonly key?: Forger;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly ca?: boolean;
  readonly pathLength?: number;
  readonly keyUsage?: readonly KeyUsageName[];
  readonly extKeyUsage?: readonly ExtendedKeyUsageName[];
  readonly extensions?: readonly Uint8Array[];
  /** False leaves out both key identifiers. */
  readonly identifiers?: boolean;
  readonly serial?: number;
}

let serials = 1000;

/** A certificate that says what is wished, signed by `by`. */
export function forge(wish: Wish): ForgedCertificate {
  const key = wish.key ?? new Forger();
  const subject = dn(...(wish.subject ?? []));
  const signer = wish.by?.key ?? key;
  serials += 1;
  const serial = wish.serial ?? serials;
  const extensions: Uint8Array[] = [];
  if (wish.identifiers !== false) {
    extensions.push(extension(EXTENSIONS.subjectKeyIdentifier, false, octetString(key.ski)));
    extensions.push(extension(EXTENSIONS.authorityKeyIdentifier, false, sequence(contextPrimitive(0, signer.ski))));
  }
  if (wish.ca) {
    const length = wish.pathLength === undefined ? [] : [integer(wish.pathLength)];
    extensions.push(extension(EXTENSIONS.basicConstraints, true, sequence(booleanTrue(), ...length)));
  }
  const usage = wish.keyUsage ?? (wish.ca ? ['keyCertSign', 'cRLSign'] : ['digitalSignature']);
  if (usage.length > 0)
    extensions.push(extension(EXTENSIONS.keyUsage, true, namedBits(usage.map((name) => KEY_USAGES.indexOf(name)))));
  if (wish.extKeyUsage !== undefined) {
    const ids = wish.extKeyUsage.map((name) => oid(EXTENDED_KEY_USAGES[name]));
    extensions.push(extension(EXTENSIONS.extKeyUsage, false, sequence(...ids)));
  }
  const tbs = sequence(
    context(0, integer(2)),
    integer(serial),
    signatureAlgorithmDer('ecdsa-with-SHA256'),
    wish.by?.subject ?? subject,
    sequence(time(wish.notBefore ?? START), time(wish.notAfter ?? END)),
    subject,
    key.spki,
    context(3, sequence(...extensions, ...(wish.extensions ?? []))),
  );
  return { key, subject, der: signer.sign(tbs) as DerCertificate, serial };
}

export interface CrlWish {
  /** Whose name and key: a CA, or a CRL signer. */
  readonly by: ForgedCertificate;
  readonly number?: number;
  readonly base?: number;
  readonly thisUpdate?: Date;
  readonly nextUpdate?: Date;
  readonly revoked?: readonly { serial: number; reason?: number; issuer?: Uint8Array; at?: Date }[];
  /** The content of IssuingDistributionPoint. */
  readonly point?: readonly Uint8Array[];
  readonly extensions?: readonly Uint8Array[];
  /** Signs instead of the key of `by`. */
  readonly key?: Forger;
}

/** A CRL that says what is wished. */
export function forgeCrl(wish: CrlWish): Uint8Array {
  const key = wish.key ?? wish.by.key;
  const entries = (wish.revoked ?? []).map(({ serial, reason, issuer, at = START }) => {
    const extensions = [
      ...(reason === undefined ? [] : [extension(EXTENSIONS.reasonCode, false, enumerated(reason))]),
      ...(issuer === undefined ? [] : [extension(EXTENSIONS.certificateIssuer, true, sequence(context(4, issuer)))]),
    ];
    return sequence(integer(serial), time(at), ...(extensions.length === 0 ? [] : [sequence(...extensions)]));
  });
  const point =
    wish.point === undefined ? [] : [extension(EXTENSIONS.issuingDistributionPoint, true, sequence(...wish.point))];
  const base = wish.base === undefined ? [] : [extension(EXTENSIONS.deltaCRLIndicator, true, integer(wish.base))];
  return key.sign(
    sequence(
      integer(1),
      signatureAlgorithmDer('ecdsa-with-SHA256'),
      wish.by.subject,
      time(wish.thisUpdate ?? START),
      time(wish.nextUpdate ?? END),
      ...(entries.length === 0 ? [] : [sequence(...entries)]),
      context(
        0,
        sequence(
          extension(EXTENSIONS.authorityKeyIdentifier, false, sequence(contextPrimitive(0, key.ski))),
          extension(EXTENSIONS.cRLNumber, false, integer(wish.number ?? 1)),
          ...base,
          ...point,
          ...(wish.extensions ?? []),
        ),
      ),
    ),
  );
}
