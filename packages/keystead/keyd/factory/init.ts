import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { toHex, toPem } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { type SecretBytes, sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type CounterKind,
  FACTORY_SLOTS,
  type FactoryRequest,
  type FactorySlot,
  formatFactoryRequest,
  parseFactoryRequest,
  requestName,
} from '@keystead/core/lifecycle';
import { formatVerifierKey } from '@keystead/core/log';
import { certificationRequest } from '@keystead/core/x509';
import { durableWrite } from '../../files/durable.ts';
import type { Layout } from '../../files/layout.ts';
import { type Keystore, type KeystoreConfig, openOrCreateKeystore, readKeystoreConfig } from '../../keystore/index.ts';
import { pinsPath } from '../hierarchy.ts';
import { cosignName, KEYD_KEYS } from '../init.ts';
import { checkIdentity, type FactoryIdentity, identityPath, readIdentity } from './identity.ts';

/** The keys of a node: no operational and no operator CA, for people and LDevIDs come from headquarters. */
export const NODE_KEYS = ['ca-manufacturing', 'ca-server', 'evidence', 'log', 'log-cosign'] as const;

export const factoryRequestPath = (layout: Layout): string => join(layout.factory, 'factory-request.json');

export interface NodeRequest {
  readonly request: FactoryRequest;
  readonly path: string;
  /** SHA-256 of the file, hex: people compare it with what headquarters shows before they sign the order. */
  readonly sha256: string;
}

/**
 * Makes the keys of a factory node, in a sealed file or where `keystore.json` in keyd's directory says, and writes its
 * request. It can be called again after a crash at any point: keys that exist are kept, and a request that exists is
 * returned as it is, since headquarters may have it already. REQ-KEY-PROV-01
 * @param passphrase of the sealed file, or the user PIN of the token.
 * @param counter what this node has that counts units where no old disk image sets it back.
 * @throws KeysteadError `config.malformed` for the name; `factory.exists` for a directory of headquarters or of another
 *   node; `keystore.*`.
 */
export async function initFactoryNode(
  layout: Layout,
  passphrase: SecretBytes,
  clock: Clock,
  options: { readonly name: string; readonly origin?: string; readonly counter?: CounterKind; readonly fips?: boolean },
): Promise<NodeRequest> {
  const { name, origin = `keystead.local/factory/${options.name}`, counter = 'none' } = options;
  const identity = checkIdentity({ version: 1, name, origin }, 'option');
  requireSame(layout, identity, options.origin !== undefined);
  for (const dir of [layout.keyd, layout.factory]) mkdirSync(dir, { recursive: true, mode: 0o700 });
  const config = readKeystoreConfig(layout.keyd);
  // First: a directory with keys and no name would be taken for one of headquarters.
  if (readIdentity(layout) === undefined) {
    durableWrite(identityPath(layout), `${JSON.stringify(identity, null, 2)}\n`, 0o600);
  }
  const keystore = await openOrCreateKeystore(config, passphrase, clock, { fips: options.fips });
  try {
    const present = new Set(keystore.list().map((key) => key.id));
    for (const id of NODE_KEYS) {
      const wanted = KEYD_KEYS[id];
      if (wanted !== undefined && !present.has(id)) await keystore.generate(id, wanted.algorithm, wanted.purpose);
    }
    const path = factoryRequestPath(layout);
    if (!existsSync(path)) {
      const made = await requestOf(keystore, clock, readIdentity(layout) ?? identity, config, counter);
      durableWrite(path, formatFactoryRequest(made), 0o644);
    }
    const bytes = readFileSync(path);
    return { request: parseFactoryRequest(bytes), path, sha256: toHex(sha256(bytes)) };
  } finally {
    keystore.close();
  }
}

function requireSame(layout: Layout, wanted: FactoryIdentity, originGiven: boolean): void {
  const found = readIdentity(layout);
  if (found === undefined) {
    const others = [pinsPath(layout), join(layout.ceremony, 'request.json')].find((path) => existsSync(path));
    if (others === undefined) return;
    throw new KeysteadError('factory.exists', { field: 'data', seen: `${others}: a keyd of headquarters` });
  }
  if (found.name === wanted.name && (!originGiven || found.origin === wanted.origin)) return;
  throw new KeysteadError('factory.exists', { field: 'data', seen: `the node ${found.name} (log ${found.origin})` });
}

async function requestOf(
  keystore: Keystore,
  clock: Clock,
  { name, origin }: FactoryIdentity,
  { make }: KeystoreConfig,
  counter: CounterKind,
): Promise<FactoryRequest> {
  const csrs = await Promise.all(
    FACTORY_SLOTS.map(async (slot): Promise<[FactorySlot, string]> => {
      const id = requestName(slot);
      return [slot, toPem('CERTIFICATE REQUEST', await certificationRequest(id, keystore.signer(id)))];
    }),
  );
  return {
    version: 1,
    factory: name,
    createdAt: clock.now().toISOString(),
    certificateRequests: Object.fromEntries(csrs) as FactoryRequest['certificateRequests'],
    log: {
      vkey: formatVerifierKey(origin, 'ed25519', keystore.signer('log').spki),
      cosignVkey: formatVerifierKey(cosignName(origin), 'cosignature-v1', keystore.signer('log-cosign').spki),
    },
    custody: make,
    counter,
  };
}
