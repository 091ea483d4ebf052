import { toPem } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import type { SecretBytes } from '@keystead/core/crypto';
import { formatRenewal, type OnlineCa, requestName } from '@keystead/core/lifecycle';
import { certificationRequest } from '@keystead/core/x509';
import type { Layout } from '../files/layout.ts';
import { openKeystore, readKeystoreConfig } from '../keystore/index.ts';
import { loadHierarchy } from './hierarchy.ts';

/**
 * What keyd asks of a later ceremony: a new certificate of one of its CAs, for the key that it has. Its evidence key,
 * which the founding approved, signs the request. REQ-KEY-GEN-02
 * @param passphrase of the keystore, or the user PIN of the token; stays with the caller.
 * @returns the request's file.
 * @throws KeysteadError `keyd.not-ready`, `bundle.*`, `keystore.*`.
 */
export async function requestRenewal(
  layout: Layout,
  passphrase: SecretBytes,
  clock: Clock,
  ca: OnlineCa,
): Promise<string> {
  const { pins } = loadHierarchy(layout);
  const keystore = await openKeystore(readKeystoreConfig(layout.keyd), passphrase, clock);
  try {
    const csr = await certificationRequest(requestName(ca), keystore.signer(requestName(ca)));
    return await formatRenewal(
      {
        ca,
        key: 'same',
        createdAt: clock.now().toISOString(),
        rootSha256: pins.certificates.root,
        transcriptSha256: pins.later.at(-1)?.transcriptSha256 ?? pins.transcriptSha256,
        certificateRequest: toPem('CERTIFICATE REQUEST', csr),
      },
      keystore.signer(requestName('evidence')),
    );
  } finally {
    keystore.close();
  }
}
