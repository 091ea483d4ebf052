import type { DerCertificate, Serial } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import {
  type IssuerName,
  isIssuerId,
  type KeyPurposeId,
  type KeyRecord,
  type KeyState,
  type Policy,
  stateAt,
  TSA_PROFILE,
} from '@keystead/core/lifecycle';
import { CA_ROLES, readCertificate } from '@keystead/core/x509';
import type { Device, JournalCertificate, KeyEventRow, Reader, ServiceKey } from '../store/index.ts';
import { awaitedPersonKey, deviceKeys, journalKey, personKeyIn, SERVE_TLS, serviceKey } from './certified.ts';
import { strengthOf } from './enter.ts';
import { factoryKeysOf } from './factory.ts';
import { houseKey } from './house.ts';

/** Which keys are asked for; what is not given does not matter. */
export interface KeyFilter {
  readonly purpose?: KeyPurposeId;
  /** The state now, not the one that was last written down. */
  readonly state?: KeyState;
  readonly owner?: string;
  readonly custody?: string;
  /** Only keys that may protect now and whose originator usage period ends before this, milliseconds since 1970. */
  readonly endingBefore?: number;
}

export interface KeyPage {
  readonly keys: readonly KeyRecord[];
  /** Where to go on; null after the last. A page may be short, even empty, and not be the last. */
  readonly next: string | null;
}

/** One key with what happened to it. */
export interface FoundKey {
  readonly record: KeyRecord;
  /** Empty for a key whose record is read off its certificate: what happened to it stands in the audit log. */
  readonly history: readonly KeyEventRow[];
}

/** The parts of the inventory, in the order in which it is listed. */
const SECTIONS = ['house', 'service', 'journal', 'device'] as const;
type Section = (typeof SECTIONS)[number];
/** How much of a section is looked at for one page: what a page costs does not depend on how rare a match is. */
const LOOKED_AT: Readonly<Record<Section, number>> = { house: 500, service: 500, journal: 500, device: 20 };
/** As many as it takes to see that a hash is not named unambiguously. */
const SEVERAL = 2;
const START = { subject: '', issuedAt: 0, serial: '' as Serial };

interface Piece {
  readonly keys: readonly KeyRecord[];
  /** Undefined at the end of the section. */
  readonly next: string | undefined;
}

/**
 * Every key there is: of the roots, the CAs, the signers, the log, the people, the servers, the OCSP responders and the
 * devices, as the records and the policy tell it at `now`. REQ-KEY-POL-01
 */
export class Inventory {
  readonly #records: Reader;
  readonly #policy: Policy;
  readonly #now: Date;

  /** @param records good for one moment, as `Store.read` gives them. */
  constructor(records: Reader, policy: Policy, now: Date) {
    this.#records = records;
    this.#policy = policy;
    this.#now = now;
  }

  /**
   * A page of the keys that match.
   * @param after `''` to begin, or `next` of the page before.
   * @throws KeysteadError `request.malformed` for an `after` that is no such value.
   */
  page(filter: KeyFilter, after = ''): KeyPage {
    const { section, rest } = cursorOf(after);
    const owned = filter.owner?.startsWith('device:') === true ? filter.owner.slice('device:'.length) : undefined;
    const piece = this.#isOutside(section, filter)
      ? { keys: [], next: undefined }
      : section === 'device' && owned !== undefined
        ? this.#oneDevice(owned)
        : this.#piece(section, rest);
    const keys = piece.keys.filter((key) => this.#matches(key, filter)).map((key) => this.#withAlgorithm(key));
    const following = SECTIONS[SECTIONS.indexOf(section) + 1];
    if (piece.next !== undefined) return { keys, next: `${section} ${piece.next}` };
    return { keys, next: following === undefined ? null : `${following} ` };
  }

  /** All the keys that match, page after page: for those who have the time. */
  *all(filter: KeyFilter): Generator<KeyRecord> {
    for (let after: string | null = ''; after !== null; ) {
      const { keys, next }: KeyPage = this.page(filter, after);
      yield* keys;
      after = next;
    }
  }

  /** Every key but those of devices: what the house answers for, all of it. */
  *ofTheHouse(): Generator<KeyRecord> {
    for (let after = ''; !after.startsWith('device '); ) {
      const { keys, next } = this.page({}, after);
      yield* keys;
      if (next === null) return;
      after = next;
    }
  }

  /**
   * The key with this id, or whose hash begins so (at least 8 hex digits).
   * @throws KeysteadError `key.unknown`, also when several begin so.
   */
  find(name: string): FoundKey {
    const row = this.#records.key(name);
    if (row !== undefined) return { record: houseKey(this.#policy, row), history: this.#records.keyEvents(row.id) };
    if (!/^[0-9a-f]{8,64}$/.test(name)) throw new KeysteadError('key.unknown', { field: 'key', seen: name });
    const found = [...this.#startingWith(name)];
    const [only] = found;
    if (only === undefined) throw new KeysteadError('key.unknown', { field: 'key', seen: name });
    if (found.length > 1) throw new KeysteadError('key.unknown', { field: 'key', seen: `${name}, of several keys` });
    return { record: this.#withAlgorithm(only), history: this.#records.keyEvents(only.id) };
  }

  *#startingWith(prefix: string): Generator<KeyRecord> {
    const records = this.#records;
    for (const row of records.keys('', LOOKED_AT.house)) {
      if (row.spkiSha256?.startsWith(prefix) === true) yield houseKey(this.#policy, row);
    }
    for (const use of records.keyUsesByPrefix(prefix, SEVERAL)) {
      const { issuer, serial, owner, firstSeen, spkiSha256 } = use;
      const certificate = issuer === null || serial === null ? undefined : records.certificate(issuer, serial);
      if (certificate === undefined) continue;
      const device = certificate.deviceId === null ? undefined : records.device(certificate.deviceId);
      const keys = device === undefined ? this.#ofService({ ...certificate, owner, firstSeen }) : this.#keysOf(device);
      yield* keys.filter((key) => key.spkiSha256 === spkiSha256);
    }
    for (const key of this.#awaited()) if (key.spkiSha256?.startsWith(prefix) === true) yield key;
    for (const made of records.journalCertificatesByPrefix(prefix, SEVERAL)) yield* this.#ofJournal(made);
  }

  #isOutside(section: Section, { purpose, owner }: KeyFilter): boolean {
    const device = section === 'device';
    if (purpose !== undefined && purpose.startsWith('device-') !== device && section !== 'journal') return true;
    return owner !== undefined && owner.startsWith('device:') !== device && section !== 'journal';
  }

  #piece(section: Section, rest: string): Piece {
    switch (section) {
      case 'house':
        return this.#housePiece(rest);
      case 'service':
        return this.#servicePiece(rest);
      case 'journal':
        return this.#journalPiece(rest);
      case 'device':
        return this.#devicePiece(rest);
    }
  }

  #housePiece(after: string): Piece {
    const rows = this.#records.keys(after, LOOKED_AT.house);
    const keys = rows.map((row) => houseKey(this.#policy, row));
    if (rows.length === LOOKED_AT.house) return { keys, next: rows.at(-1)?.id };
    return { keys: [...keys, ...this.#awaited()], next: undefined };
  }

  /** People whose key stands in the policy and who have not asked for a certificate yet. */
  #awaited(): KeyRecord[] {
    return this.#policy.operators.flatMap(({ name }) => {
      const key = personKeyIn(this.#policy, name);
      const known = key === null || this.#records.keyUse(key)?.serial != null;
      return known ? [] : [awaitedPersonKey(this.#policy, name, key)];
    });
  }

  #servicePiece(rest: string): Piece {
    const [subject = '', issuedAt = '0', serial = ''] = rest === '' ? [] : decode(rest);
    const after = rest === '' ? START : { subject, issuedAt: Number(issuedAt), serial: serial as Serial };
    const rows = this.#records.serviceKeys(after, LOOKED_AT.service);
    const last = rows.length === LOOKED_AT.service ? rows.at(-1) : undefined;
    return {
      keys: rows.flatMap((row) => this.#ofService(row)),
      next: last === undefined ? undefined : encode([last.subject, String(last.issuedAt), last.serial]),
    };
  }

  /** None for a key that has a row of its own: the TLS keys that serve keeps. */
  #ofService(row: ServiceKey): KeyRecord[] {
    if (row.owner === SERVE_TLS && this.#records.keyBySpki(row.spkiSha256) !== undefined) return [];
    const factory = factoryKeysOf(this.#records, row.owner);
    return [serviceKey(this.#policy, row, this.#records.nextServiceKey(row), factory)];
  }

  #journalPiece(rest: string): Piece {
    const [issuer = '', signedAt = '0', serial = ''] = rest === '' ? [] : decode(rest);
    const after = { issuer: issuer as IssuerName | '', signedAt: Number(signedAt), serial: serial as Serial };
    const rows = this.#records.journalCertificates(after, LOOKED_AT.journal);
    const last = rows.length === LOOKED_AT.journal ? rows.at(-1) : undefined;
    return {
      keys: rows.flatMap((row) => this.#ofJournal(row)),
      next: last === undefined ? undefined : encode([last.issuer, String(last.signedAt), last.serial]),
    };
  }

  #ofJournal(made: JournalCertificate): KeyRecord[] {
    // The signers of evidence and of time stamps have rows of their own; an abandoned key that was certified later has its certificate's.
    if (made.profile === 'evidence-signer' || made.profile === TSA_PROFILE) return [];
    const use = made.fate === 'abandoned' ? this.#records.keyUse(made.spkiSha256) : undefined;
    if (use?.serial != null) return [];
    const next = made.fate === 'own' ? this.#records.nextJournalCertificate(made) : undefined;
    return [journalKey(this.#policy, made, use, next)];
  }

  #devicePiece(after: string): Piece {
    const devices = this.#records.devices(after, LOOKED_AT.device);
    const last = devices.length === LOOKED_AT.device ? devices.at(-1) : undefined;
    return { keys: devices.flatMap((device) => this.#keysOf(device)), next: last?.deviceId };
  }

  #oneDevice(deviceId: string): Piece {
    const device = this.#records.device(deviceId);
    return { keys: device === undefined ? [] : this.#keysOf(device), next: undefined };
  }

  #keysOf(device: Device): KeyRecord[] {
    return deviceKeys(this.#policy, device, this.#records.keysOfDevice(device.deviceId));
  }

  #matches(key: KeyRecord, { purpose, state, owner, custody, endingBefore }: KeyFilter): boolean {
    const now = stateAt(key, this.#now);
    const ends = key.originatorEnd ?? Number.POSITIVE_INFINITY;
    return (
      (purpose === undefined || key.purpose === purpose) &&
      (state === undefined || now === state) &&
      (owner === undefined || key.owner === owner) &&
      (custody === undefined || key.custody === custody) &&
      (endingBefore === undefined || (now === 'active' && ends < endingBefore))
    );
  }

  /** Read from the certificate only now: it is the one part that costs, and few of those looked at are asked for. */
  #withAlgorithm(key: KeyRecord): KeyRecord {
    if (key.algorithm !== '') return key;
    const { issuer, serial } = key.evidence;
    const role = typeof issuer === 'string' && isIssuerId(issuer) ? issuer : CA_ROLES.find((one) => one === issuer);
    const found =
      role === undefined || typeof serial !== 'string' ? undefined : this.#records.certificate(role, serial as Serial);
    const algorithm =
      found === undefined ? 'not recorded' : (readCertificate(found.der as DerCertificate).keyAlgorithm ?? 'unknown');
    return { ...key, algorithm, strengthBits: strengthOf(algorithm) };
  }
}

/** A cursor is `<section> <where in it>`; names of subjects may hold anything, so they are encoded. */
function cursorOf(after: string): { section: Section; rest: string } {
  if (after === '') return { section: 'house', rest: '' };
  const at = after.indexOf(' ');
  const section = SECTIONS.find((one) => one === after.slice(0, Math.max(at, 0)));
  if (section === undefined) throw new KeysteadError('request.malformed', { field: 'after', seen: after.slice(0, 64) });
  return { section, rest: after.slice(at + 1) };
}

const encode = (parts: readonly string[]): string => Buffer.from(JSON.stringify(parts)).toString('base64url');

function decode(rest: string): string[] {
  try {
    const parts: unknown = JSON.parse(Buffer.from(rest, 'base64url').toString('utf8'));
    const [first, number, serial] = Array.isArray(parts) ? parts : [];
    if (
      typeof first === 'string' &&
      /^\d{1,15}$/.test(String(number)) &&
      /^(?:[0-9a-f]{2}){1,20}$/.test(String(serial))
    )
      return [first, String(number), String(serial)];
  } catch {
    // Told below.
  }
  throw new KeysteadError('request.malformed', { field: 'after', seen: rest.slice(0, 64) });
}
