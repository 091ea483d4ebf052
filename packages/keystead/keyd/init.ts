import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { toHex, toPem } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { type GeneratedKeyAlgorithm, type SecretBytes, sha256 } from '@keystead/core/crypto';
import {
  type CeremonyRequest,
  type FirmwareKey,
  firmwareKeystoreId,
  formatCeremonyRequest,
  type OptionalSlot,
  parseCeremonyRequest,
  REQUEST_SLOTS,
  type RequestSlot,
  ROOT_CRL_KEY,
  requestName,
  TSA_KEY,
} from '@keystead/core/lifecycle';
import { formatVerifierKey } from '@keystead/core/log';
import { certificationRequest } from '@keystead/core/x509';
import { durableWrite } from '../files/durable.ts';
import type { Layout } from '../files/layout.ts';
import { type Keystore, openOrCreateKeystore, readKeystoreConfig } from '../keystore/index.ts';
import { makeFirmwareKey } from './firmware-keys.ts';

/** Every key that keyd holds for good, by id in its keystore. */
export const KEYD_KEYS: Readonly<Record<string, { algorithm: GeneratedKeyAlgorithm; purpose: string }>> = {
  'ca-manufacturing': { algorithm: 'P-256', purpose: 'certificate authority: manufacturing' },
  'ca-operational': { algorithm: 'P-256', purpose: 'certificate authority: operational' },
  'ca-server': { algorithm: 'P-256', purpose: 'certificate authority: server' },
  'ca-operator': { algorithm: 'P-256', purpose: 'certificate authority: operator' },
  evidence: { algorithm: 'P-256', purpose: 'provisioning records and evidence' },
  [ROOT_CRL_KEY]: { algorithm: 'P-256', purpose: 'indirect CRL of the root' },
  [TSA_KEY]: { algorithm: 'P-256', purpose: 'time stamps' },
  log: { algorithm: 'Ed25519', purpose: 'checkpoints of the audit log' },
  'log-cosign': { algorithm: 'Ed25519', purpose: 'timestamps on checkpoints of the audit log' },
};

/** The name of the key that timestamps the checkpoints of the log `origin`. */
export const cosignName = (origin: string): string => `${origin}/keyd-time`;

export const requestPath = (layout: Layout): string => join(layout.ceremony, 'request.json');

export interface KeydRequest {
  readonly request: CeremonyRequest;
  readonly path: string;
  /** SHA-256 of the file, hex: people compare it with what the ceremony shows. */
  readonly sha256: string;
}

/**
 * Makes keyd's keys, in a sealed file or on the token that `keystore.json` in its directory names, and writes the
 * request for a ceremony. It can be called again after a crash at any point: keys that exist are kept, and a request
 * that exists is returned as it is, since a ceremony may already be under way with it.
 * @param passphrase of the sealed file, or the user PIN of the token.
 * @param origin the name of the audit log (C2SP tlog-checkpoint), for example `keystead.example/log`.
 * @throws KeysteadError `keystore.*`.
 */
export async function initKeyd(
  layout: Layout,
  passphrase: SecretBytes,
  clock: Clock,
  options: {
    readonly origin: string;
    readonly fips?: boolean;
    /** The keys for firmware that the policy of the founding will name; those of production are to be certified in it. */
    readonly firmware?: readonly FirmwareKey[];
  },
): Promise<KeydRequest> {
  for (const dir of [layout.keyd, layout.ceremony]) mkdirSync(dir, { recursive: true, mode: 0o700 });
  const config = readKeystoreConfig(layout.keyd);
  const keystore = await openOrCreateKeystore(config, passphrase, clock, { fips: options.fips });
  try {
    const present = new Set(keystore.list().map((key) => key.id));
    for (const [id, { algorithm, purpose }] of Object.entries(KEYD_KEYS)) {
      if (!present.has(id)) await keystore.generate(id, algorithm, purpose);
    }
    const firmware = (options.firmware ?? []).filter(({ environment }) => environment === 'production');
    for (const key of firmware) await makeFirmwareKey(keystore, key);
    const path = requestPath(layout);
    if (!existsSync(path)) {
      durableWrite(path, formatCeremonyRequest(await requestOf(keystore, clock, options.origin, firmware)), 0o644);
    }
    const bytes = readFileSync(path);
    return { request: parseCeremonyRequest(bytes), path, sha256: toHex(sha256(bytes)) };
  } finally {
    keystore.close();
  }
}

async function requestOf(
  keystore: Keystore,
  clock: Clock,
  origin: string,
  firmware: readonly FirmwareKey[],
): Promise<CeremonyRequest> {
  const csrs = await Promise.all(
    [...REQUEST_SLOTS, ROOT_CRL_KEY as OptionalSlot].map(
      async (slot): Promise<[RequestSlot | OptionalSlot, string]> => {
        const name = requestName(slot);
        return [slot, toPem('CERTIFICATE REQUEST', await certificationRequest(name, keystore.signer(name)))];
      },
    ),
  );
  const asked: NonNullable<CeremonyRequest['firmware']> = [];
  for (const { id } of firmware) {
    const name = firmwareKeystoreId(id);
    const csr = await certificationRequest(name, keystore.signer(name));
    asked.push({ key: id, certificateRequest: toPem('CERTIFICATE REQUEST', csr) });
  }
  return {
    version: 1,
    createdAt: clock.now().toISOString(),
    certificateRequests: Object.fromEntries(csrs) as CeremonyRequest['certificateRequests'],
    log: {
      vkey: formatVerifierKey(origin, 'ed25519', keystore.signer('log').spki),
      cosignVkey: formatVerifierKey(cosignName(origin), 'cosignature-v1', keystore.signer('log-cosign').spki),
    },
    ...(asked.length === 0 ? {} : { firmware: asked }),
  };
}
