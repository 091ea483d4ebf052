import { toPem } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { type SecretBytes, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type FirmwareKey,
  firmwareKeystoreId,
  formatFirmwareRequest,
  MOST_ASKED_FIRMWARE_KEYS,
  type Policy,
  requestName,
} from '@keystead/core/lifecycle';
import { certificationRequest } from '@keystead/core/x509';
import type { Layout } from '../files/layout.ts';
import { asOwnerOf } from '../host/as-owner.ts';
import { type Keystore, openKeystore, readKeystoreConfig } from '../keystore/index.ts';
import { makeFirmwareKey, wasDevelopment } from './firmware-keys.ts';
import { type Hierarchy, lastTranscript, loadHierarchy } from './hierarchy.ts';
import { becomeSole } from './single.ts';
import { type StoppedState, stoppedState } from './stopped-state.ts';

/**
 * What keyd asks of a ceremony for keys that sign firmware of production. A key of the policy in force that the keystore
 * has not yet is made now, and keyd must not run then; the evidence key signs the request. REQ-KEY-SOD-01, REQ-KEY-ROT-02
 * @param passphrase of the keystore, or the user PIN of the token; stays with the caller.
 * @param ids of the policy; none for all production keys that no ceremony has certified.
 * @returns the request's file.
 * @throws KeysteadError `ceremony.firmware-key` for what the policy has not so, or a key that never signs again;
 *   `keyd.not-ready`, `keyd.already-running`, `policy.*`, `keystore.*`.
 */
export async function requestFirmware(
  layout: Layout,
  passphrase: SecretBytes,
  clock: Clock,
  ids: readonly string[] = [],
): Promise<string> {
  const hierarchy = loadHierarchy(layout);
  const stopped = stoppedState(layout, hierarchy.pins);
  const asked = askedKeys(stopped.policy.policy, hierarchy, ids);
  const keystore = await openKeystore(readKeystoreConfig(layout.keyd), passphrase, clock);
  try {
    await makeMissing(layout, keystore, asked);
    for (const key of asked) {
      requireAlive(keystore, key, stopped);
      if (wasDevelopment(layout.keyd, key.id))
        throw new KeysteadError('ceremony.firmware-key', { field: 'keys', seen: `${key.id}, a key of development` });
    }
    const firmware = await Promise.all(
      asked.map(async ({ id }) => {
        const csr = await certificationRequest(firmwareKeystoreId(id), keystore.signer(firmwareKeystoreId(id)));
        return { key: id, certificateRequest: toPem('CERTIFICATE REQUEST', csr) };
      }),
    );
    const { pins } = hierarchy;
    return await formatFirmwareRequest(
      {
        createdAt: clock.now().toISOString(),
        rootSha256: pins.certificates.root,
        signingRootSha256: pins.certificates['signing-root'],
        transcriptSha256: lastTranscript(pins),
        policySha256: stopped.policy.sha256,
        firmware,
      },
      keystore.signer(requestName('evidence')),
    );
  } finally {
    keystore.close();
  }
}

function askedKeys(policy: Policy, { firmware }: Hierarchy, ids: readonly string[]): FirmwareKey[] {
  const production = (policy.firmware?.keys ?? []).filter(({ environment }) => environment === 'production');
  const wanted = ids.length > 0 ? ids : production.map(({ id }) => id).filter((id) => !firmware.has(id));
  const refused = (seen: string) => new KeysteadError('ceremony.firmware-key', { field: 'keys', seen });
  if (wanted.length === 0) throw refused('none: each production key of the policy has its certificate');
  if (wanted.length > MOST_ASKED_FIRMWARE_KEYS)
    throw refused(`${wanted.length}, where one request has ${MOST_ASKED_FIRMWARE_KEYS} at the most: name some`);
  return wanted.map((id, at) => {
    const key = production.find((one) => one.id === id);
    if (key === undefined) throw refused(`${id}, no production key of the policy in force`);
    if (wanted.indexOf(id) !== at) throw refused(`${id} twice`);
    return key;
  });
}

/** The keystore's file stays keyd's, also when root runs the command. */
async function makeMissing(layout: Layout, keystore: Keystore, asked: readonly FirmwareKey[]): Promise<void> {
  const made = new Set(keystore.list().map(({ id }) => id));
  const missing = asked.filter(({ id }) => !made.has(firmwareKeystoreId(id)));
  if (missing.length === 0) return;
  const right = await becomeSole(layout.run);
  try {
    for (const key of missing) await asOwnerOf(layout.keyd, () => makeFirmwareKey(keystore, key));
  } finally {
    right.release();
  }
}

function requireAlive(keystore: Keystore, { id }: FirmwareKey, { dead }: StoppedState): void {
  if (!dead.has(spkiSha256(keystore.signer(firmwareKeystoreId(id)).spki))) return;
  throw new KeysteadError('ceremony.firmware-key', { field: 'keys', seen: `${id}, which never signs again` });
}
