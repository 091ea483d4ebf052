import { type Serial, type SpkiSha256, sameBytes } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import {
  type ListedCertificate,
  type ListedIssuer,
  type RevocationAct,
  type RevocationSelector,
  revocationListSha256,
} from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import type { Certificate, Reader } from '../store/index.ts';
import { type FinalReason, inForce } from './certificate-changes.ts';
import type { AuthorityDeps } from './deps.ts';
import { onlineIssuer } from './issued.ts';

/** What is named by whoever asks, as they have it. */
export type Selector =
  /** Hex in either case, also with colons and leading zero octets, as tools print it. */
  | { readonly serial: string; readonly issuer?: string }
  /** DER. */
  | { readonly certificate: Uint8Array }
  | { readonly spkiSha256: SpkiSha256 }
  | { readonly deviceId: string }
  | { readonly ticketId: string }
  | { readonly ca: string };

/** A selector with every name in its one form, and the reason that belongs to it. */
export interface Resolved {
  readonly selector: RevocationSelector;
  readonly reason: FinalReason | undefined;
}

/** The certificates of the CAs themselves, one for each of their keys. */
export type CaIdentities = readonly {
  readonly ca: ListedIssuer;
  readonly serial: Serial;
  readonly spkiSha256: SpkiSha256;
}[];

/** Who the CAs are, those of the factories among them. */
export const caIdentities = ({ issuers, factories }: Pick<AuthorityDeps, 'issuers' | 'factories'>): CaIdentities =>
  [...issuers, ...(factories?.() ?? [])].map(({ id, certificate }) => {
    const { serial, spkiSha256 } = readCertificate(certificate);
    return { ca: id, serial, spkiSha256 };
  });

/**
 * Finds what is named. The key of a CA is the CA; its compromise is `cACompromise`.
 * @throws KeysteadError `certificate.unknown`, `device.unknown`, `ticket.unknown`, `revocation.ca-unknown`, `cert.not-der`,
 *   `request.malformed` for a serial number that is none, or that two CAs have.
 */
export function resolve(
  records: Reader,
  named: Selector,
  reason: FinalReason | undefined,
  cas: CaIdentities,
): Resolved {
  if ('serial' in named) {
    const { issuer, serial } = bySerial(records, named, cas);
    return { selector: { kind: 'certificate', issuer: onlineIssuer({ issuer, serial }), serial }, reason };
  }
  if ('certificate' in named) {
    const { issuer, serial } = byCertificate(records, named.certificate);
    return { selector: { kind: 'certificate', issuer: onlineIssuer({ issuer, serial }), serial }, reason };
  }
  if ('spkiSha256' in named) {
    const ca = cas.find(({ spkiSha256 }) => spkiSha256 === named.spkiSha256);
    if (ca === undefined) return { selector: { kind: 'key', spkiSha256: named.spkiSha256 }, reason };
    return { selector: { kind: 'ca', ca: ca.ca }, reason: reason === 'keyCompromise' ? 'cACompromise' : reason };
  }
  if ('deviceId' in named) {
    const { deviceId } = named;
    if (records.device(deviceId) === undefined)
      throw new KeysteadError('device.unknown', { field: 'deviceId', seen: deviceId });
    return { selector: { kind: 'device', deviceId }, reason };
  }
  if ('ticketId' in named) {
    const { ticketId } = named;
    if (records.ticket(ticketId) === undefined)
      throw new KeysteadError('ticket.unknown', { field: 'ticketId', seen: ticketId });
    return { selector: { kind: 'batch', ticketId }, reason };
  }
  return { selector: { kind: 'ca', ca: issuerOf(named.ca, 'ca', cas) }, reason };
}

function issuerOf(text: string, field: string, cas: CaIdentities): ListedIssuer {
  const found = cas.find(({ ca }) => ca === text);
  if (found === undefined) throw new KeysteadError('revocation.ca-unknown', { field, seen: text.slice(0, 64) });
  return found.ca;
}

/** A serial number in the one form that the records have: lower-case hex, whole octets, no leading zero octets. */
function serialOf(text: string): Serial {
  const hex = text.replaceAll(':', '').toLowerCase();
  if (!/^(?:[0-9a-f]{2}){1,21}$/.test(hex)) {
    throw new KeysteadError('request.malformed', { field: 'serial', seen: text.slice(0, 64) });
  }
  return hex.replace(/^(?:00)+(?=..)/, '') as Serial;
}

function bySerial(
  records: Reader,
  named: { readonly serial: string; readonly issuer?: string },
  cas: CaIdentities,
): Certificate {
  const serial = serialOf(named.serial);
  const issuer = named.issuer === undefined ? undefined : issuerOf(named.issuer, 'issuer', cas);
  const found = records.certificatesBySerial(serial).filter((one) => issuer === undefined || one.issuer === issuer);
  const [one, ...more] = found;
  if (one === undefined) {
    throw new KeysteadError('certificate.unknown', { field: 'serial', seen: `${issuer ?? 'any CA'} ${serial}` });
  }
  if (more.length > 0)
    throw new KeysteadError('request.malformed', { field: 'issuer', seen: 'more than one CA has it' });
  return one;
}

function byCertificate(records: Reader, der: Uint8Array): Certificate {
  const info = readCertificate(der);
  const found = records.certificatesBySerial(info.serial).find((one) => sameBytes(one.der, der));
  if (found !== undefined) return found;
  throw new KeysteadError('certificate.unknown', {
    field: 'certificate',
    seen: info.serial,
    ...(info.ca
      ? { remedy: 'the certificate of a CA is revoked by its root, in a ceremony: keystead ceremony crl' }
      : {}),
  });
}

/** What an act on a certificate, a key or a device takes. */
export interface Scope {
  readonly certificates: readonly Certificate[];
  /** Devices that get no certificate any more. */
  readonly devices: readonly string[];
  /** Keys that are never certified again. */
  readonly keys: readonly SpkiSha256[];
}

type SmallSelector = Extract<RevocationSelector, { kind: 'certificate' | 'key' | 'device' }>;

/**
 * What goes with what is named. A compromised key takes every certificate on it and is blocked; when it is that of an
 * IDevID, whoever has it can be the device, which loses all it has.
 * @throws KeysteadError `certificate.unknown`, `revocation.expired`, `revocation.final`, `revocation.not-on-hold`.
 */
export function scopeOf(
  records: Reader,
  v: {
    readonly selector: SmallSelector;
    readonly act: RevocationAct;
    readonly reason?: FinalReason;
    readonly now: Date;
  },
): Scope {
  const { selector, act, reason, now } = v;
  const named = certificatesOf(records, selector, now);
  const fit = named.filter(({ notAfter }) => notAfter >= now.getTime());
  if (selector.kind === 'certificate') requireOne(named, fit, act, reason);
  if (act === 'release') {
    const held = fit.filter(({ status }) => status === 'hold');
    if (held.length > 0) return { certificates: held, devices: [], keys: [] };
    throw new KeysteadError('revocation.not-on-hold', { field: selector.kind, seen: 'nothing of it is on hold' });
  }
  const compromised = act === 'revoke' && reason === 'keyCompromise';
  if (selector.kind === 'key' && named.length === 0 && !compromised) {
    throw new KeysteadError('certificate.unknown', { field: 'spkiSha256', seen: selector.spkiSha256 });
  }
  const devices = new Set(act === 'revoke' && selector.kind === 'device' ? [selector.deviceId] : []);
  if (!compromised) return { certificates: fit, devices: [...devices], keys: [] };
  const keys = new Set(named.map(({ spkiSha256 }) => spkiSha256));
  if (selector.kind === 'key') keys.add(selector.spkiSha256);
  const all = new Map(fit.map((one) => [`${one.issuer} ${one.serial}`, one]));
  const add = (more: readonly Certificate[]): void => {
    for (const one of more) if (one.notAfter >= now.getTime()) all.set(`${one.issuer} ${one.serial}`, one);
  };
  for (const key of keys) add(onKey(records, key));
  for (const { profile, deviceId } of [...all.values()]) {
    if (profile !== 'idevid' || deviceId === null) continue;
    devices.add(deviceId);
    add(inForce(records, deviceId, now));
  }
  return { certificates: [...all.values()], devices: [...devices], keys: [...keys] };
}

function certificatesOf(records: Reader, selector: SmallSelector, now: Date): Certificate[] {
  if (selector.kind === 'device') return inForce(records, selector.deviceId, now);
  if (selector.kind === 'key') return onKey(records, selector.spkiSha256);
  const found = records.certificate(selector.issuer, selector.serial);
  if (found !== undefined) return [found];
  throw new KeysteadError('certificate.unknown', { field: 'serial', seen: `${selector.issuer} ${selector.serial}` });
}

/** Every certificate on a key: a device's key has one, those of people and servers may have more. */
function onKey(records: Reader, spkiSha256: SpkiSha256): Certificate[] {
  const use = records.keyUse(spkiSha256);
  const last =
    use === undefined || use.issuer === null || use.serial === null
      ? undefined
      : records.certificate(use.issuer, use.serial);
  if (last === undefined || last.deviceId === null) return records.certificatesOfKey(spkiSha256);
  return records.certificatesOfDevice(last.deviceId).filter((one) => one.spkiSha256 === spkiSha256);
}

/** What may not be done to the one certificate that was named: whoever named it hears so. */
function requireOne(
  [one]: readonly Certificate[],
  fit: readonly Certificate[],
  act: RevocationAct,
  reason: FinalReason | undefined,
): void {
  if (one === undefined) return;
  if (one.status === 'revoked' && (act !== 'revoke' || one.reason !== reason)) {
    const seen = `${one.reason ?? 'unspecified'}, then ${act === 'revoke' ? reason : act}`;
    throw new KeysteadError('revocation.final', { field: 'reason', seen });
  }
  if (fit.length === 0 && one.status !== 'revoked') {
    throw new KeysteadError('revocation.expired', { field: 'notAfter', seen: new Date(one.notAfter).toISOString() });
  }
}

/** A page of units: enough that the end of a large batch is near, and few enough to hold nobody up. */
const LISTED_AT_ONCE = 1000;

/**
 * The list that a statement binds by count and hash: what people look at before they agree. Of a certificate, a key and
 * a device it is each certificate that changes. Of a batch it is its IDevIDs, for LDevIDs are renewed while people look;
 * those that the devices have when it is carried out go with them. Of a CA it is the CA: all that it issued follows.
 */
export function boundList(
  records: Reader,
  v: {
    readonly selector: RevocationSelector;
    readonly act: RevocationAct;
    readonly reason?: FinalReason;
    readonly now: Date;
  },
  cas: CaIdentities,
): ListedCertificate[] {
  const { selector, ...rest } = v;
  if (selector.kind === 'ca') {
    return cas.filter(({ ca }) => ca === selector.ca).map(({ serial }) => ({ issuer: 'root', serial }));
  }
  if (selector.kind === 'batch') return idevidsOf(records, selector.ticketId);
  const { certificates } = scopeOf(records, { selector, ...rest });
  return certificates.filter(({ status }) => status !== 'revoked').map(({ issuer, serial }) => ({ issuer, serial }));
}

function idevidsOf(records: Reader, ticketId: string): ListedCertificate[] {
  const list: ListedCertificate[] = [];
  for (let after = ''; ; ) {
    const units = records.unitsOfBatch(ticketId, after, LISTED_AT_ONCE);
    for (const { idevidSerial } of units) list.push({ issuer: 'manufacturing', serial: idevidSerial });
    const last = units.at(-1);
    if (last === undefined || units.length < LISTED_AT_ONCE) return list;
    after = last.deviceId;
  }
}

/** How many stand on a list, and its hash. */
export const boundTo = (list: readonly ListedCertificate[]): { count: number; listSha256: string } => ({
  count: list.length,
  listSha256: revocationListSha256(list),
});

/** The names in a statement, as the records are asked for them. */
export function namedBy(selector: RevocationSelector): Selector {
  switch (selector.kind) {
    case 'certificate':
      return { serial: selector.serial, issuer: selector.issuer };
    case 'key':
      return { spkiSha256: selector.spkiSha256 };
    case 'device':
      return { deviceId: selector.deviceId };
    case 'batch':
      return { ticketId: selector.ticketId };
    case 'ca':
      return { ca: selector.ca };
  }
}
