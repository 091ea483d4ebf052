import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DerCertificate, toHex, toPem } from '@keystead/core/bytes';
import { generateSoftwareKey, randomBytes, sha256, spkiSha256 } from '@keystead/core/crypto';
import {
  type CommissionOrder,
  type CommissionStatement,
  type FactoryRequest,
  type FactorySlot,
  factoryIssuerId,
  factoryPolicy,
  formatFactoryRequest,
  profileOf,
  type Role,
  requestName,
  signCommissionStatement,
  statusUrls,
} from '@keystead/core/lifecycle';
import { formatVerifierKey } from '@keystead/core/log';
import {
  assembleSigned,
  CertificateTemplate,
  certificationRequest,
  namesFor,
  newSerial,
  type Profile,
  readCertificate,
} from '@keystead/core/x509';
import type { TakenUnit } from '../consigned/entries.ts';
import type { Result } from '../protocol.ts';
import { readJournal } from '../read-journal.ts';
import { type KeydBed, makeKey, type TestKey } from './bed.ts';

type Person = keyof KeydBed['people'];
const ROLES: Readonly<Record<Person, Role>> = {
  ada: 'ca-operator',
  lin: 'line-operator',
  aud: 'auditor',
  pol: 'policy-administrator',
};

const DAY = 86_400;
const wholeSecond = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;

/** The node of a factory as headquarters sees it: its keys, its request, and after the commission what it makes. */
export class TestNode {
  readonly name: string;
  readonly keys: Readonly<Record<FactorySlot, TestKey>>;
  readonly request: Uint8Array;

  private constructor(name: string, keys: TestNode['keys'], request: Uint8Array) {
    this.name = name;
    this.keys = keys;
    this.request = request;
  }

  static async make(
    name = 'berlin-1',
    keys: Partial<Record<FactorySlot, TestKey>> = {},
    more: Partial<FactoryRequest> = {},
  ): Promise<TestNode> {
    const all = { manufacturing: makeKey(), server: makeKey(), evidence: makeKey(), ...keys };
    const pem = async (slot: FactorySlot) =>
      toPem('CERTIFICATE REQUEST', await certificationRequest(requestName(slot), all[slot].signer));
    const origin = `${name}.example/log`;
    const request = formatFactoryRequest({
      version: 1,
      factory: name,
      createdAt: '2026-03-01T07:00:00.000Z',
      certificateRequests: {
        manufacturing: await pem('manufacturing'),
        server: await pem('server'),
        evidence: await pem('evidence'),
      },
      log: {
        vkey: formatVerifierKey(origin, 'ed25519', generateSoftwareKey('Ed25519').spki),
        cosignVkey: formatVerifierKey(`${origin}/time`, 'cosignature-v1', generateSoftwareKey('Ed25519').spki),
      },
      custody: 'sealed',
      counter: 'none',
      ...more,
    });
    return new TestNode(name, all, Buffer.from(request, 'utf8'));
  }

  order(more: Partial<CommissionOrder> = {}): CommissionOrder {
    return {
      id: toHex(randomBytes(8)),
      act: 'commission',
      factory: this.name,
      requestSha256: toHex(sha256(this.request)),
      deviceIdPrefixes: ['KS-'],
      serverNames: [`${this.name}.example`, '127.0.0.1'],
      seconds: 30 * DAY,
      ...more,
    };
  }

  /** An IDevID as the node makes it: by its certificate, or by another one for the key that signs. */
  async idevid(
    bed: KeydBed,
    certificate: DerCertificate,
    deviceId: string,
    key: TestKey = makeKey(),
    factory = this.name,
    changed: (profile: Profile) => Profile = (profile) => profile,
  ): Promise<{ certificate: DerCertificate; unit: TakenUnit; key: TestKey }> {
    const policy = factoryPolicy(bed.policy, factory);
    const profile = changed(profileOf(policy, 'idevid'));
    const hq = readCertificate(certificate);
    const { crl } = statusUrls(policy, 'manufacturing');
    const urls =
      crl === undefined ? {} : { crl: crl.replace('manufacturing', factoryIssuerId(factory)), crlIssuer: hq.issuer };
    const serial = newSerial();
    const { signer } = this.keys.manufacturing;
    const tbs = new CertificateTemplate(profile, { certificate }, urls).tbs({
      ...namesFor(profile, { deviceId }),
      serial,
      notBefore: new Date(Math.floor(bed.clock.now().getTime() / 1000) * 1000),
      notAfter: profile.validity.seconds === 'none' ? 'none' : new Date(bed.clock.now().getTime() + 86_400_000),
      spki: key.spki,
      signatureAlgorithm: signer.signatureAlgorithm,
    });
    const der = assembleSigned(tbs, signer.signatureAlgorithm, await signer.sign(tbs)) as DerCertificate;
    const ticket = { id: 'batch-b', sha256: 'b'.repeat(64) };
    const unit = { deviceId, serial, spkiSha256: spkiSha256(key.spki), ticket, at: bed.clock.now().toISOString() };
    return { certificate: der, unit, key };
  }
}

/** A statement about a factory by one of the bed's people, at its time. */
export function commissionBy(
  bed: KeydBed,
  name: Person,
  order: CommissionOrder,
  how: { act?: CommissionStatement['act']; proposer?: string; age?: number; seconds?: number; role?: Role } = {},
): Promise<string> {
  const { act = 'propose', proposer = 'ada', age = 0, seconds = 3600, role = ROLES[name] } = how;
  const at = bed.clock.now().getTime() - age * 1000;
  return signCommissionStatement(
    { act, order, proposer, role, signedAt: wholeSecond(at), expiresAt: wholeSecond(at + seconds * 1000) },
    name,
    bed.people[name].signer,
  );
}

/** Ada asks and pol approves. */
export const quorumFor = async (bed: KeydBed, order: CommissionOrder): Promise<string[]> => [
  await commissionBy(bed, 'ada', order),
  await commissionBy(bed, 'pol', order, { act: 'approve' }),
];

/** Carries an order out at keyd. */
export async function commissioned(
  bed: KeydBed,
  node: TestNode,
  more: Partial<CommissionOrder> = {},
): Promise<Result<'commissionFactory'>> {
  const statements = await quorumFor(bed, node.order(more));
  return bed.client.commissionFactory({ request: node.request, statements, crls: [], requestId: 'commission-1' });
}

/** What a journal has after headquarters took units in: keyd is stopped for it, and goes on from there. */
export async function takenIn(bed: KeydBed, factory: string, ...units: TakenUnit[]): Promise<void> {
  await bed.stop();
  const path = join(bed.dir, 'journal');
  const { entries } = readJournal(path);
  const before = entries.filter((entry) => entry.kind === 'taken' && entry.factory === factory).length;
  const entry = {
    n: entries.length + 1,
    time: bed.clock.now().toISOString(),
    kind: 'taken',
    factory,
    number: before + 1,
    sha256: toHex(randomBytes(32)),
    previousSha256: null,
    units,
    receipt: 'a receipt',
    requestId: 'taken',
  };
  appendFileSync(path, `${JSON.stringify(entry)}\n`);
  await bed.start();
}
