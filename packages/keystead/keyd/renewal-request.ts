import { toPem } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import type { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  caOf,
  formatRenewal,
  generationOfIssuer,
  type IssuerId,
  issuerId,
  issuerKeyId,
  MOST_GENERATIONS,
  type OnlineCa,
  requestName,
} from '@keystead/core/lifecycle';
import { certificationRequest } from '@keystead/core/x509';
import type { Layout } from '../files/layout.ts';
import { asOwnerOf } from '../host/as-owner.ts';
import { type Keystore, openKeystore, readKeystoreConfig } from '../keystore/index.ts';
import { lastTranscript, loadHierarchy } from './hierarchy.ts';
import { KEYD_KEYS } from './init.ts';
import { becomeSole } from './single.ts';

/** Which certificate is asked for. */
export interface WantedCertificate {
  readonly ca: OnlineCa;
  /** `successor`: a new key is made, and takes over when its certificate is imported. */
  readonly key: 'same' | 'successor';
}

/**
 * What keyd asks of a later ceremony: a new certificate of one of its CAs, for the key that it has or for a new one,
 * which is made now. A new one that was made for a request before, and is not certified, is taken again. The evidence
 * key, which the founding approved, signs the request. keyd must not run while a key is made. REQ-KEY-GEN-02
 * @param passphrase of the keystore, or the user PIN of the token; stays with the caller.
 * @returns the request's file.
 * @throws KeysteadError `keyd.not-ready`, `keyd.already-running`, `bundle.*`, `keystore.*`.
 */
export async function requestRenewal(
  layout: Layout,
  passphrase: SecretBytes,
  clock: Clock,
  { ca, key }: WantedCertificate,
): Promise<string> {
  const { pins, issuers } = loadHierarchy(layout);
  const right = key === 'successor' ? await becomeSole(layout.run) : undefined;
  try {
    const keystore = await openKeystore(readKeystoreConfig(layout.keyd), passphrase, clock);
    try {
      const current = issuers.find((issuer) => issuer.ca === ca && issuer.current)?.id ?? ca;
      const id = key === 'same' ? issuerKeyId(current) : await successor(layout, keystore, current);
      const csr = await certificationRequest(requestName(ca), keystore.signer(id));
      return await formatRenewal(
        {
          ca,
          key,
          createdAt: clock.now().toISOString(),
          rootSha256: pins.certificates.root,
          transcriptSha256: lastTranscript(pins),
          certificateRequest: toPem('CERTIFICATE REQUEST', csr),
        },
        keystore.signer(requestName('evidence')),
      );
    } finally {
      keystore.close();
    }
  } finally {
    right?.release();
  }
}

/** The key of the next generation, made unless it is there. Returns its id. */
async function successor(layout: Layout, keystore: Keystore, current: IssuerId): Promise<string> {
  const ca = caOf(current);
  const generation = generationOfIssuer(current) + 1;
  if (generation > MOST_GENERATIONS) throw new KeysteadError('issuer.unknown', { field: 'ca', seen: `${generation}` });
  const id = issuerKeyId(issuerId(ca, generation));
  if (keystore.list().some((key) => key.id === id)) return id;
  const first = KEYD_KEYS[requestName(ca)];
  if (first === undefined) throw new KeysteadError('internal.unexpected', { field: ca });
  const purpose = `${first.purpose}, key number ${generation}`;
  // The keystore's file stays keyd's, also when root runs the command.
  await asOwnerOf(layout.keyd, () => keystore.generate(id, first.algorithm, purpose));
  return id;
}
