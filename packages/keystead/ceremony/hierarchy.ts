import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { DerCertificate, DerCrl, DerSpki } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import type { SecretBytes, Signer } from '@keystead/core/crypto';
import { caProfile, certify, type OnlineCa, type Policy, statusUrls } from '@keystead/core/lifecycle';
import { assembleSigned, tbsCertList } from '@keystead/core/x509';
import { createSealedKeystore, type Keystore } from '../keystore/index.ts';

export type OfflineCa = 'root' | 'signing-root';

/** A root while the ceremony lasts: its certificate, and its key behind a sealed keystore of its own. */
export interface OfflineRoot {
  readonly role: OfflineCa;
  readonly certificate: DerCertificate;
  readonly signer: Signer;
  readonly custody: string;
  /** Closes the keystore: from here on only the passphrase opens the key again. */
  close(): void;
}

/** The name of a root's sealed file in the safe. */
export const sealedName = (role: OfflineCa): string => `${role}.sealed`;

/**
 * Generates the key of a root into a sealed file of its own in `dir` and certifies it by itself. The private key
 * never leaves the keystore: here is only its signer. REQ-KEY-GEN-02, REQ-KEY-SOD-01.
 * @throws KeysteadError `certificate.lint-failed`, or what the keystore throws.
 */
export async function makeRoot(
  role: OfflineCa,
  policy: Policy,
  dir: string,
  passphrase: SecretBytes,
  clock: Clock,
): Promise<OfflineRoot> {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const profile = caProfile(policy, role);
  // The first that the profile allows: the policy's way to choose it.
  const algorithm = profile.keyAlgorithms.find((one) => one !== 'RSA-2048') ?? 'P-384';
  const keystore: Keystore = await createSealedKeystore(join(dir, sealedName(role)), passphrase, clock);
  try {
    const info = await keystore.generate(role, algorithm, `certificate authority: ${role}`);
    const signer = keystore.signer(role);
    const certificate = await certify({
      profile,
      issuer: 'self',
      signer,
      spki: info.spki,
      // An anchor carries no address of its own status: nobody above it could revoke it.
      urls: {},
      now: clock.now(),
    });
    return { role, certificate, signer, custody: info.custody, close: () => keystore.close() };
  } catch (error) {
    keystore.close();
    throw error;
  }
}

/** The certificate of an online CA for a key whose possession was proven, signed by the root. */
export function certifyOnlineCa(
  role: OnlineCa,
  policy: Policy,
  root: OfflineRoot,
  spki: DerSpki,
  clock: Clock,
): Promise<DerCertificate> {
  return certify({
    profile: caProfile(policy, role),
    issuer: root.certificate,
    signer: root.signer,
    spki,
    urls: statusUrls(policy, 'root'),
    now: clock.now(),
  });
}

/** The first CRL of a root, DER: empty, number 1, good until the time that the policy gives. */
export async function firstCrl(root: OfflineRoot, policy: Policy, clock: Clock): Promise<DerCrl> {
  const thisUpdate = new Date(Math.floor(clock.now().getTime() / 1000) * 1000);
  const { signatureAlgorithm } = root.signer;
  const tbs = tbsCertList({
    issuer: root.certificate,
    signatureAlgorithm,
    thisUpdate,
    nextUpdate: new Date(thisUpdate.getTime() + policy.revocation.rootCrlSeconds * 1000),
    number: 1,
    entries: [],
  });
  return assembleSigned(tbs, signatureAlgorithm, await root.signer.sign(tbs)) as DerCrl;
}
