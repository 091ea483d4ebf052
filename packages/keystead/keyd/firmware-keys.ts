import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DerCertificate, sameBytes, toPem } from '@keystead/core/bytes';
import { spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  certificateOf,
  certify,
  FIRMWARE_PROFILE,
  type FirmwareKey,
  firmwareKeystoreId,
  firmwareProfile,
  firmwareProfileOf,
  type Policy,
  profileOf,
} from '@keystead/core/lifecycle';
import { formatName, namesFor, readCertificate } from '@keystead/core/x509';
import { durableWrite, removeUnfinished, syncDirectory } from '../files/durable.ts';
import type { Keystore } from '../keystore/index.ts';

/** Makes a key for firmware, unless it is there. */
export async function makeFirmwareKey(keystore: Keystore, key: FirmwareKey): Promise<void> {
  const { id, algorithm, product, environment } = key;
  const name = firmwareKeystoreId(id);
  if (keystore.list().some((one) => one.id === name)) return;
  await keystore.generate(name, algorithm, `firmware of ${product}, ${environment}`);
}

/**
 * A policy whose keys for firmware the keystore can never make would be in force, and keyd could not start by it.
 * @throws KeysteadError `keystore.mechanism-unsupported` with the key.
 */
export function requireMakeable(keystore: Keystore, policy: Policy): void {
  const made = new Set(keystore.list().map(({ id }) => id));
  for (const { id, algorithm } of policy.firmware?.keys ?? []) {
    if (made.has(firmwareKeystoreId(id)) || keystore.makes?.(algorithm) !== false) continue;
    throw new KeysteadError('keystore.mechanism-unsupported', {
      field: `firmware.keys ${id}`,
      seen: algorithm,
      remedy:
        'such keys are kept in a sealed file: let keyd have one for them (docs/keystore.md), or take another algorithm',
    });
  }
}

/** Where keyd keeps the certificate of a development key, in its own directory. */
const developmentFile = (dir: string, key: string): string => join(dir, 'firmware', `${key}.pem`);

/**
 * Whether the key with this id was certified as one of development: images that it signed then, by the agreement of fewer,
 * would be of production with it. REQ-KEY-SOD-01
 */
export const wasDevelopment = (dir: string, id: string): boolean => existsSync(developmentFile(dir, id));

/**
 * The certificates of the keys for firmware, at a start. A key that the policy names and the keystore has not is made. A
 * development key certifies itself, once: nothing that anybody else vouches for leads to it. A production key is
 * certified by the signing root in a ceremony, and until then has none. docs/decisions/0038, REQ-KEY-SOD-01
 * @param production what the ceremonies certified, of the keys that the last one still knew.
 * @param wasProduction whether a ceremony ever certified the key with this SHA-256 of its public key.
 * @param closed while nobody has agreed to a restore: no key is made, and none certifies itself.
 * @throws KeysteadError `keystore.*`, `keyd.not-ready` where the file of a certificate is damaged.
 */
export async function openFirmwareKeys(
  dir: string,
  keystore: Keystore,
  policy: Policy,
  production: ReadonlyMap<string, DerCertificate>,
  wasProduction: (spkiSha256: string) => boolean,
  now: Date,
  closed = false,
): Promise<ReadonlyMap<string, DerCertificate>> {
  const certificates = new Map(production);
  for (const key of policy.firmware?.keys ?? []) {
    // What was once of production never becomes one of development: it keeps the certificate that it has. Where a key that
    // was certified is destroyed no other one takes its id.
    if (production.has(key.id) || isDestroyed(dir, keystore, key)) continue;
    if (closed && !isMade(dir, keystore, key)) continue;
    await makeFirmwareKey(keystore, key);
    if (key.environment === 'production') continue;
    if (wasProduction(spkiSha256(keystore.signer(firmwareKeystoreId(key.id)).spki))) continue;
    certificates.set(key.id, await developmentCertificate(dir, keystore, policy, key, now));
  }
  return certificates;
}

/** Whether there is nothing left to make of it: the key, and of a development key its certificate. */
const isMade = (dir: string, keystore: Keystore, { id, environment }: FirmwareKey): boolean =>
  keystore.list().some((one) => one.id === firmwareKeystoreId(id)) &&
  (environment === 'production' || wasDevelopment(dir, id));

/** Whether a development key has been certified and is gone since. */
const isDestroyed = (dir: string, keystore: Keystore, { id }: FirmwareKey): boolean =>
  wasDevelopment(dir, id) && !keystore.list().some((one) => one.id === firmwareKeystoreId(id));

async function developmentCertificate(
  dir: string,
  keystore: Keystore,
  policy: Policy,
  key: FirmwareKey,
  now: Date,
): Promise<DerCertificate> {
  const signer = keystore.signer(firmwareKeystoreId(key.id));
  const path = developmentFile(dir, key.id);
  if (existsSync(path)) {
    const left = certificateOf(readFileSync(path, 'latin1'), path);
    if (sameBytes(readCertificate(left).spki, signer.spki)) return left;
    throw new KeysteadError('keyd.not-ready', { field: path, seen: 'a certificate for another key' });
  }
  const profile = firmwareProfileOf(profileOf(policy, FIRMWARE_PROFILE), key);
  const made = await certify({ profile, issuer: 'self', signer, spki: signer.spki, urls: {}, now });
  mkdirSync(join(dir, 'firmware'), { recursive: true, mode: 0o700 });
  syncDirectory(dir);
  removeUnfinished(path);
  durableWrite(path, toPem('CERTIFICATE', made), 0o600);
  return made;
}

/**
 * Whether a certificate is for this key as the policy in force has it: the product and the environment that stand in
 * it are those that the key was made for, and no policy changes them.
 */
export function isCertifiedFor(certificate: DerCertificate, policy: Policy, key: FirmwareKey): boolean {
  const profile = firmwareProfile(policy);
  if (profile === undefined) return false;
  const { subject, issuerDer, subjectDer, keyAlgorithm } = readCertificate(certificate);
  const wanted = namesFor(firmwareProfileOf(profile, key), {}).subject;
  const itself = sameBytes(issuerDer, subjectDer);
  return (
    formatName(subject) === formatName(wanted) &&
    itself === (key.environment === 'development') &&
    keyAlgorithm === key.algorithm
  );
}
