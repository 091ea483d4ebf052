import type { DerCertificate, SpkiSha256 } from '@keystead/core/bytes';
import { generateSoftwareKey, type Signer, softwareSigner, spkiSha256 } from '@keystead/core/crypto';
import { certify, defaultProfiles } from '@keystead/core/lifecycle';
import type { BundleContent } from '@keystead/core/trust';

export const NOW = new Date('2027-01-15T12:00:00Z');
export const SECOND = Math.floor(NOW.getTime() / 1000);
export const DAY = 86_400;

export function newSigner(algorithm: 'P-256' | 'P-384' | 'Ed25519' = 'P-256'): Signer {
  const { pkcs8 } = generateSoftwareKey(algorithm);
  return softwareSigner(algorithm, pkcs8);
}

/** A root as a ceremony makes one. */
export async function newRoot(): Promise<DerCertificate> {
  const signer = newSigner('P-384');
  const profile = defaultProfiles().find(({ id }) => id === 'root-ca');
  if (profile === undefined) throw new TypeError('no profile of a root');
  return certify({ profile, issuer: 'self', signer, spki: signer.spki, urls: {}, now: NOW });
}

/** A pin of a made-up key. */
export const pin = (name: string): SpkiSha256 => spkiSha256(Buffer.from(name));

/** A bundle that keeps every rule. */
export const contentWith = (
  signer: Signer,
  root: DerCertificate,
  more: Partial<BundleContent> = {},
): BundleContent => ({
  v: 1,
  fleet: 'pumps',
  version: 7,
  issuedAt: SECOND,
  expires: SECOND + 30 * DAY,
  anchors: [{ role: 'server', certificate: root, from: SECOND - DAY, until: SECOND + 365 * DAY }],
  pins: [
    {
      role: 'update-server',
      keys: [
        { spkiSha256: pin('now'), use: 'current', from: SECOND - DAY, until: SECOND + 60 * DAY },
        { spkiSha256: pin('then'), use: 'next', from: SECOND + 50 * DAY, until: SECOND + 120 * DAY },
        { spkiSha256: pin('safe'), use: 'backup', from: SECOND - DAY, until: SECOND + 365 * DAY },
      ],
    },
  ],
  signers: [{ spki: signer.spki, from: SECOND - DAY, until: SECOND + 365 * DAY }],
  firmware: [{ product: 'pump-a', signers: [pin('firmware')], minimumSecurityCounter: 3 }],
  filterSha256: null,
  ...more,
});
