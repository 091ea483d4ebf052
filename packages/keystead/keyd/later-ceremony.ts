import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DerCertificate, type DerCrl, sameBytes, toHex, toPem } from '@keystead/core/bytes';
import { certSha256, type Signer, sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type CeremonyBundle,
  type CeremonyKind,
  OFFLINE_CAS,
  ONLINE_CAS,
  type OnlineCa,
  requestName,
  revokedCas,
} from '@keystead/core/lifecycle';
import { readCertificate, readCrl } from '@keystead/core/x509';
import type { CeremonyOutputs } from '../files/ceremony-outputs.ts';
import { durableWrite } from '../files/durable.ts';
import type { Keystore } from '../keystore/index.ts';
import { evidenceSignerOf, type Importing } from './evidence-signer.ts';
import { type CeremonyPins, pinnedCertificate, pinsPath, trustFile } from './hierarchy.ts';

/** The id of the key of each CA, and the CAs that change. */
interface Changes {
  readonly keys: Readonly<Record<OnlineCa, string>>;
  readonly changed: readonly OnlineCa[];
}

/**
 * Takes over a ceremony after the founding, which was verified and follows from the last one: that it changes what its
 * kind changes and nothing else, that no CRL goes back, that every new certificate is for a key that this keystore
 * holds. It can be called again after a crash: the pins are written last. REQ-KEY-SOD-01
 * @throws KeysteadError `bundle.*`; nothing is written then.
 */
export async function takeOverLater(
  importing: Importing,
  pins: CeremonyPins,
  outputs: CeremonyOutputs,
): Promise<CeremonyPins> {
  const { bundle, transcript, transcriptSha256 } = outputs;
  // The published copy of the policy in force; a quorum may have changed that of the founding.
  if (bundle.policySha256 !== toHex(sha256(readFileSync(importing.layout.policy)))) {
    throw new KeysteadError('bundle.policy-differs', { field: 'policySha256', seen: bundle.policySha256 });
  }
  const changes = changesOf(bundle, pins, importing.keystore);
  requireKind(bundle.ceremony, bundle, pins, changes);
  requireForward(bundle, pins);
  const revoked = [...revokedCas(bundle)];
  const fresh = changes.changed.find((role) => revoked.includes(role));
  if (fresh !== undefined) throw new KeysteadError('bundle.revoked', { field: `certificates.${fresh}` });
  requireOldRevoked(bundle, pins, changes, importing);
  const server: Signer = importing.keystore.signer(changes.keys.server);
  const evidence = await evidenceSignerOf(importing, outputs, server);
  const rollovers = rolloverCertificates(bundle);
  const now = importing.clock.now().toISOString();
  const next: CeremonyPins = {
    ...pins,
    certificates: {
      root: certSha256(bundle.certificates.root),
      'signing-root': certSha256(bundle.certificates['signing-root']),
      manufacturing: certSha256(bundle.certificates.manufacturing),
      operational: certSha256(bundle.certificates.operational),
      server: certSha256(bundle.certificates.server),
      operator: certSha256(bundle.certificates.operator),
      'evidence-signer': certSha256(evidence),
    },
    later: [
      ...pins.later,
      {
        number: bundle.number,
        ceremony: bundle.ceremony,
        transcriptSha256,
        importedAt: now,
        offline: transcript.offline,
        witnesses: [...transcript.witnesses],
      },
    ],
    keys: Object.fromEntries(
      ONLINE_CAS.filter((ca) => changes.keys[ca] !== requestName(ca)).map((ca) => [ca, changes.keys[ca]]),
    ),
    activated: { ...pins.activated, ...activations(changes, importing.keystore) },
    revoked,
    rootCrls: {
      root: readCrl(bundle.crls.root).number,
      'signing-root': readCrl(bundle.crls['signing-root']).number,
    },
    rollovers: Object.fromEntries(rollovers.map(([name, der]) => [name, certSha256(der)])),
  };
  writeTrust(importing, bundle, evidence, rollovers);
  // Last: until it is there, a keyd that starts refuses what it finds, and the same import finishes it.
  durableWrite(pinsPath(importing.layout), `${JSON.stringify(next, null, 2)}\n`, 0o600);
  return next;
}

function changesOf(bundle: CeremonyBundle, pins: CeremonyPins, keystore: Keystore): Changes {
  const held = keystore.list();
  const idOf = (role: OnlineCa): string => {
    const { spki, spkiSha256 } = readCertificate(bundle.certificates[role]);
    const key = held.find((one) => sameBytes(one.spki, spki));
    // Its own key and no other: a certificate of one CA for the key of another would let it do that one's work.
    if (key === undefined || !new RegExp(`^ca-${role}(-\\d+)?$`).test(key.id)) {
      throw new KeysteadError('bundle.foreign', {
        field: `certificates.${role}`,
        seen: `a key with SHA-256 ${spkiSha256}`,
      });
    }
    return key.id;
  };
  const keys = Object.fromEntries(ONLINE_CAS.map((role) => [role, idOf(role)])) as Record<OnlineCa, string>;
  const changed = ONLINE_CAS.filter((role) => certSha256(bundle.certificates[role]) !== pins.certificates[role]);
  return { keys, changed };
}

/** A new certificate makes no key younger: its cryptoperiod goes on from when the key was made. REQ-KEY-POL-01 */
function activations({ changed, keys }: Changes, keystore: Keystore): Partial<Record<OnlineCa, string>> {
  const made = new Map(keystore.list().map(({ id, createdAt }) => [id, createdAt]));
  return Object.fromEntries(changed.map((role) => [role, made.get(keys[role])]));
}

/** A ceremony changes only what it is held for. */
function requireKind(kind: CeremonyKind, bundle: CeremonyBundle, pins: CeremonyPins, { changed, keys }: Changes): void {
  const roots = OFFLINE_CAS.filter((role) => certSha256(bundle.certificates[role]) !== pins.certificates[role]);
  const rollovers = bundle.rollovers.length * 3 - Object.keys(pins.rollovers).length;
  const newKeys = ONLINE_CAS.filter((role) => keys[role] !== (pins.keys[role] ?? requestName(role)));
  const allowed: Record<CeremonyKind, boolean> = {
    founding: false,
    crl: changed.length === 0 && roots.length === 0 && rollovers === 0,
    intermediate: changed.length === 1 && roots.length === 0 && rollovers === 0,
    rollover: roots.length === 1 && rollovers === 3 && newKeys.length === 0,
  };
  if (allowed[kind]) return;
  throw new KeysteadError('bundle.change-unexpected', {
    field: `ceremony ${kind}`,
    seen: `changes of ${[...roots, ...changed].join(', ') || 'nothing'}, ${rollovers / 3} rollovers`,
  });
}

/** No CRL goes back, by number or in what it revokes. A new key of a root begins with none of it, but counts on. */
function requireForward(bundle: CeremonyBundle, pins: CeremonyPins): void {
  for (const role of OFFLINE_CAS) {
    const { number } = readCrl(bundle.crls[role]);
    if (number >= pins.rootCrls[role]) continue;
    throw new KeysteadError('bundle.older', { field: `crls.${role}`, seen: `${number}, after ${pins.rootCrls[role]}` });
  }
}

/** Two living generations of one CA are more than keyd serves: the old key must be done with. */
function requireOldRevoked(bundle: CeremonyBundle, pins: CeremonyPins, changes: Changes, { layout }: Importing): void {
  const { entries } = readCrl(bundle.crls.root);
  for (const role of changes.changed) {
    if (changes.keys[role] === (pins.keys[role] ?? requestName(role))) continue;
    const old = pinnedCertificate(layout, role, pins.certificates[role]);
    if (old === undefined || entries.has(readCertificate(old).serial)) continue;
    throw new KeysteadError('bundle.overlap-planned', { field: `certificates.${role}` });
  }
}

/** The certificates of each change of a root's key, by their names in `trust/`. */
function rolloverCertificates({ rollovers }: CeremonyBundle): [string, DerCertificate][] {
  const generations = { root: 0, 'signing-root': 0 };
  return rollovers.flatMap(({ role, old, newWithOld, oldWithNew }): [string, DerCertificate][] => {
    generations[role] += 1;
    const name = `${role}-${generations[role]}`;
    return [
      [name, old],
      [`${name}-new-with-old`, newWithOld],
      [`${name}-old-with-new`, oldWithNew],
    ];
  });
}

function writeTrust(
  { layout }: Importing,
  bundle: CeremonyBundle,
  evidence: DerCertificate,
  rollovers: readonly [string, DerCertificate][],
): void {
  const { certificates, crls } = bundle;
  const all: [string, DerCertificate][] = [
    ['evidence-signer', evidence],
    ...(Object.entries(certificates) as [string, DerCertificate][]),
    ...rollovers,
  ];
  for (const [name, der] of all) durableWrite(trustFile(layout, name), toPem('CERTIFICATE', der), 0o644);
  // A relying party that knows the old root finds its way by the certificate of the new key by the old one.
  const across = rollovers.filter(([name]) => /^root-\d+-new-with-old$/.test(name)).map(([, der]) => der);
  const chain = [...ONLINE_CAS.map((role) => certificates[role]), ...across, certificates.root];
  const pem = chain.map((der) => toPem('CERTIFICATE', der)).join('');
  durableWrite(join(layout.trust, 'ca-chain.pem'), pem, 0o644);
  for (const [role, crl] of Object.entries(crls) as [string, DerCrl][]) {
    durableWrite(join(layout.crl, `${role}.crl`), crl, 0o644);
  }
}
