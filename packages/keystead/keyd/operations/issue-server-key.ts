import { type GeneratedKeyAlgorithm, generateSoftwareKey } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { issuerKeyId, profileOf, requestName } from '@keystead/core/lifecycle';
import {
  type CertificateInfo,
  checkRequest,
  type Profile,
  parseCsr,
  readCertificate,
  sequence,
} from '@keystead/core/x509';
import type { KeydContext } from '../context.ts';
import { requireHeadquarters } from '../factory/node.ts';
import type { Params, Result } from '../protocol.ts';
import { requestableFrom } from './issue.ts';
import { sealedPackage } from './key-package.ts';

/** RSA is left out: its generation would hold up everybody else for a second. */
const MADE: readonly GeneratedKeyAlgorithm[] = ['P-256', 'P-384', 'Ed25519'];

/**
 * Makes a key for a device that cannot make a good one, certifies it, and gives it out wrapped to a certificate of that
 * device: the key is in memory for this one operation, is stored nowhere, and can be given out only once. The policy
 * must name the profile in `est.serverKeys`. The evidence key signs the package: it vouches for how the key was made.
 * REQ-KEY-GEN-01, REQ-KEY-STO-02, REQ-KEY-STO-03
 * @throws KeysteadError `server-key.*`, `profile.*`, `requester.*` (also where the policy wants devices to sign messages), `csr.*`, `key.use-forbidden`,
 *   `key.cryptoperiod-ended`, `rng.unhealthy`, `clock.went-back`, `keyd.journal-failed`.
 */
export async function issueServerKey(
  keyd: KeydContext,
  params: Params<'issueServerKey'>,
): Promise<Result<'issueServerKey'>> {
  const now = keyd.now();
  const { device, requestId } = params;
  const profile = profileOf(keyd.policy, params.profile);
  requireHeadquarters(keyd.hierarchy.node, 'profile', 'a key for a device in the field');
  if (!(keyd.policy.est?.serverKeys ?? []).includes(profile.id))
    throw new KeysteadError('server-key.forbidden', { field: 'profile', seen: profile.id });
  const issuer = requestableFrom(profile);
  if (profile.subject.commonName !== 'device-id' || !profile.requesters.includes('device'))
    throw new KeysteadError('profile.requester-forbidden', { field: 'device', seen: profile.id });
  // Where the front end's word is not enough for which device asks, it is not enough for which device gets a key.
  if (keyd.policy.deviceProof === 'message')
    throw new KeysteadError('requester.message-missing', { field: 'device', seen: device.id });
  keyd.requesters.check('device', device.id, device.certificate, now);
  const recipient = recipientOf(keyd, params, now);
  const named = { deviceId: device.id };
  const csr = parseCsr(params.csr);
  checkRequest(csr, profile, named);
  const algorithm = madeAlgorithm(csr.keyAlgorithm, profile);
  // Before the key is made and a certificate stands in the journal that nobody could be given.
  keyd.ledger.require(requestName('evidence'), 'protect', now);
  keyd.ledger.require(issuerKeyId(keyd.issuing(issuer).id), 'protect', now);
  const { pkcs8, spki } = generateSoftwareKey(algorithm);
  using key = pkcs8;
  const order = { profile, named, spki, now, subject: device.id, requestId, keyOrigin: 'keyd' } as const;
  const issued = await keyd.issuing(issuer).issue(order);
  // RFC 5958 section 2: a SEQUENCE of the keys as PKCS #8 has them.
  const content = key.use((bytes) => sequence(bytes));
  try {
    return { ...issued, envelope: await sealedPackage(keyd, { type: 'asymmetricKeyPackage', content, recipient }) };
  } finally {
    content.fill(0);
  }
}

/** @throws KeysteadError `requester.*`, `server-key.recipient-unfit`. */
function recipientOf(keyd: KeydContext, params: Params<'issueServerKey'>, now: Date): CertificateInfo {
  const { device, recipient = device.certificate } = params;
  // A certificate is public: only that it is of this device and in force keeps the key from a stranger.
  keyd.requesters.check('device', device.id, recipient, now);
  const info = readCertificate(recipient);
  const { keyAlgorithm } = info;
  if (keyAlgorithm === 'P-256' || keyAlgorithm === 'P-384' || keyAlgorithm?.startsWith('RSA') === true) return info;
  throw new KeysteadError('server-key.recipient-unfit', { field: 'recipient', seen: keyAlgorithm ?? 'another key' });
}

/** @throws KeysteadError `server-key.algorithm`, `key.algorithm-forbidden`. */
function madeAlgorithm(asked: string, profile: Profile): GeneratedKeyAlgorithm {
  const algorithm = MADE.find((one) => one === asked);
  if (algorithm === undefined)
    throw new KeysteadError('server-key.algorithm', { field: 'subjectPublicKeyInfo', seen: asked });
  if (profile.keyAlgorithms.includes(algorithm)) return algorithm;
  throw new KeysteadError('key.algorithm-forbidden', { field: 'subjectPublicKeyInfo', seen: asked });
}
