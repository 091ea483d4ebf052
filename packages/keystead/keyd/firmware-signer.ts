import type { DerCertificate } from '@keystead/core/bytes';
import { type Signer, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { FirmwareFormatName } from '@keystead/core/firmware';
import {
  type FirmwareEnvironment,
  type FirmwareKey,
  firmwareKeyOf,
  firmwareKeystoreId,
  firmwareLine,
} from '@keystead/core/lifecycle';
import { readCertificate, readCrl } from '@keystead/core/x509';
import type { KeydContext } from './context.ts';
import { isCertifiedFor } from './firmware-keys.ts';

/** A key that may sign now, with its certificate. */
export interface FirmwareSigner {
  readonly key: FirmwareKey;
  readonly certificate: DerCertificate;
  readonly spkiSha256: string;
  readonly signer: Signer;
}

/** For what a key is to sign. */
export interface FirmwareUse {
  readonly product: string;
  readonly environment: FirmwareEnvironment;
  readonly format: FirmwareFormatName;
}

/**
 * The key with this id, where it may sign so now: by the policy in force it is of that product and environment and has
 * the format, its certificate says the same, is of the signing root for production and of no root for development, has
 * not ended and is not revoked, and the ledger lets the key sign. Which orders it signs is not judged here.
 * REQ-KEY-SOD-01, REQ-KEY-POL-01
 * @throws KeysteadError `firmware-order.not-in-policy`, `firmware-key.*`, `key.use-forbidden`,
 *   `key.cryptoperiod-ended`, `keystore.key-missing`.
 */
export function requireFirmwareSigner(keyd: KeydContext, id: string, use: FirmwareUse, now: Date): FirmwareSigner {
  const { policy } = keyd;
  const line = firmwareLine(policy, use);
  const key = firmwareKeyOf(policy, id);
  const { product, environment, format } = use;
  if (key.product !== product || key.environment !== environment || !line.keys.includes(id)) {
    const seen = `${id} of ${key.product} in ${key.environment}, for ${product} in ${environment}`;
    throw new KeysteadError('firmware-key.scope', { field: 'keys', seen });
  }
  if (!key.formats.includes(format))
    throw new KeysteadError('firmware-key.scope', { field: 'format', seen: `${format}, which ${id} has not` });
  return requireUsable(keyd, key, now);
}

/** Whether a key of the policy signs at all now. @throws KeysteadError as {@link requireFirmwareSigner} does. */
export function requireUsable(keyd: KeydContext, key: FirmwareKey, now: Date): FirmwareSigner {
  const { hierarchy, policy, ledger } = keyd;
  const { id } = key;
  const certificate = hierarchy.firmware.get(id);
  if (certificate === undefined)
    throw new KeysteadError('firmware-key.uncertified', { field: 'keys', seen: `${id}, without a certificate` });
  if (!isCertifiedFor(certificate, policy, key))
    throw new KeysteadError('firmware-key.scope', { field: 'keys', seen: `${id}, whose certificate is for another` });
  const { notAfter, serial, spki } = readCertificate(certificate);
  if (notAfter <= now)
    throw new KeysteadError('firmware-key.uncertified', {
      field: 'keys',
      seen: `${id}, until ${notAfter.toISOString()}`,
    });
  const revoked = keyd.rootCrls.some(
    ({ id: root, crl }) =>
      (root === 'signing-root' || root.startsWith('signing-root.')) && readCrl(crl).entries.has(serial),
  );
  if (key.environment === 'production' && revoked)
    throw new KeysteadError('firmware-key.uncertified', { field: 'keys', seen: `${id}, revoked by the signing root` });
  ledger.require(firmwareKeystoreId(id), 'protect', now);
  const signer = keyd.signerOf(firmwareKeystoreId(id));
  const [ours, theirs] = [spkiSha256(signer.spki), spkiSha256(spki)];
  if (ours !== theirs) throw new KeysteadError('bundle.foreign', { field: `firmware ${id}`, seen: theirs });
  requireScheme(keyd, key, ours, signer);
  requireKnownUses(keyd, key, ours);
  return { key, certificate, spkiSha256: ours, signer };
}

/** @throws KeysteadError `firmware-key.uses-unknown`. */
export function requireKnownUses({ state, ledger }: KeydContext, key: FirmwareKey, spki: string): void {
  const activatedAt = ledger.list().find((one) => one.spkiSha256 === spki)?.activatedAt ?? null;
  state.firmware.requireKnownUses(key, spki, activatedAt, state.lapses.forgotAt);
}

/** @throws KeysteadError `firmware-key.scope`, `keystore.mechanism-unsupported`. */
function requireScheme({ state }: KeydContext, { id, signature }: FirmwareKey, spki: string, signer: Signer): void {
  state.firmware.requireScheme(spki, signature);
  // A TPM makes the one signature of a key's kind. An order that was written down already could never be signed.
  if (signature === undefined || signature === signer.signatureAlgorithm || signer.signBy !== undefined) return;
  throw new KeysteadError('keystore.mechanism-unsupported', { field: `keys ${id}`, seen: signature });
}
