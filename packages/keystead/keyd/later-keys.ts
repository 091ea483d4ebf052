import { readFileSync } from 'node:fs';
import type { DerCertificate } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { type SecretBytes, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type CaGeneration,
  certificateOf,
  certify,
  firmwareKeystoreId,
  issuerKeyId,
  profileOf,
  requestName,
  statusUrls,
} from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import type { CeremonyOutputs } from '../files/ceremony-outputs.ts';
import type { Layout } from '../files/layout.ts';
import { type Keystore, openKeystore, readKeystoreConfig } from '../keystore/index.ts';
import { wasDevelopment } from './firmware-keys.ts';
import { trustFile } from './hierarchy.ts';
import type { LaterChanges } from './later-changes.ts';

/** The certificates of the evidence key when the server CA goes on with another key, PEM. */
export interface Evidence {
  readonly fresh: DerCertificate;
  readonly former: DerCertificate;
}

/**
 * For a new key of a CA: the keystore must hold it, in its place. With a new key of the server CA the evidence key gets a
 * certificate by that one, for the old key issues nothing more.
 * @throws KeysteadError `bundle.key-needed`, `bundle.foreign`, `keystore.*`.
 */
export async function succeed(
  layout: Layout,
  clock: Clock,
  outputs: CeremonyOutputs,
  { successor, firmware }: LaterChanges,
  passphrase: (() => Promise<SecretBytes>) | undefined,
): Promise<Evidence | undefined> {
  if (successor === undefined && firmware.length === 0) return undefined;
  if (passphrase === undefined) {
    throw new KeysteadError('bundle.key-needed', {
      field: successor === undefined ? 'firmware' : `certificates.${successor.ca}`,
      seen: successor?.issuer ?? firmware.join(', '),
    });
  }
  using secret = await passphrase();
  const keystore = await openKeystore(readKeystoreConfig(layout.keyd), secret, clock);
  try {
    requireOwnFirmwareKeys(layout, keystore, outputs, firmware);
    if (successor === undefined) return undefined;
    requireOwnKey(keystore, successor);
    if (successor.ca !== 'server') return undefined;
    return await certifyEvidence(layout, keystore, clock, outputs, successor);
  } finally {
    keystore.close();
  }
}

function requireOwnKey(keystore: Keystore, { issuer, ca, spkiSha256: theirs }: CaGeneration): void {
  const id = issuerKeyId(issuer);
  const key = keystore.list().find((one) => one.id === id);
  if (key !== undefined && spkiSha256(key.spki) === theirs) return;
  const seen = key === undefined ? `${theirs}, and no key ${id} here` : `a key with SHA-256 ${theirs}`;
  throw new KeysteadError('bundle.foreign', { field: `certificates.${ca}`, seen });
}

/** Each new certificate is for the key that the keystore has under that id, and that never was one of development. */
function requireOwnFirmwareKeys(
  layout: Layout,
  keystore: Keystore,
  { bundle }: CeremonyOutputs,
  ids: readonly string[],
): void {
  for (const { key: id, certificate } of bundle.firmware ?? []) {
    if (!ids.includes(id)) continue;
    const theirs = readCertificate(certificate).spkiSha256;
    const key = keystore.list().find((one) => one.id === firmwareKeystoreId(id));
    const own = key !== undefined && spkiSha256(key.spki) === theirs;
    if (own && !wasDevelopment(layout.keyd, id)) continue;
    const here = key === undefined ? `${theirs}, and no key ${id} here` : `a key with SHA-256 ${theirs}`;
    const seen = own ? 'a key of development' : here;
    throw new KeysteadError('bundle.foreign', { field: `firmware ${id}`, seen });
  }
}

async function certifyEvidence(
  layout: Layout,
  keystore: Keystore,
  clock: Clock,
  { policy, bundle }: CeremonyOutputs,
  { issuer }: CaGeneration,
): Promise<Evidence> {
  const { spki } = keystore.signer(requestName('evidence'));
  const path = trustFile(layout, 'evidence-signer');
  const fresh = await certify({
    profile: profileOf(policy, 'evidence-signer'),
    issuer: bundle.certificates.server,
    signer: keystore.signer(issuerKeyId(issuer)),
    spki,
    urls: statusUrls(policy, issuer),
    now: clock.now(),
  });
  return { fresh, former: certificateOf(readFileSync(path, 'latin1'), path) };
}
