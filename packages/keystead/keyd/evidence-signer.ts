import { existsSync, readFileSync } from 'node:fs';
import type { DerCertificate } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { type Signer, spkiSha256 } from '@keystead/core/crypto';
import {
  type CeremonyBundle,
  certificateOf,
  certify,
  type Policy,
  profileOf,
  requestName,
  statusUrls,
} from '@keystead/core/lifecycle';
import { lintCertificate, readCertificate } from '@keystead/core/x509';
import type { Layout } from '../files/layout.ts';
import type { Keystore } from '../keystore/index.ts';
import { trustFile } from './hierarchy.ts';

/** Where an import reads and writes, and with which keys. */
export interface Importing {
  readonly layout: Layout;
  readonly keystore: Keystore;
  readonly clock: Clock;
}

/**
 * The evidence signer's certificate, by the server CA. One that is in `trust/` and still fits is used again: no second
 * certificate appears of which nobody knows.
 * @param server the key of the server CA.
 */
export async function evidenceSignerOf(
  { layout, keystore, clock }: Importing,
  { bundle, policy }: { bundle: CeremonyBundle; policy: Policy },
  server: Signer,
): Promise<DerCertificate> {
  const profile = profileOf(policy, 'evidence-signer');
  const issuer = bundle.certificates.server;
  const { spki } = keystore.signer(requestName('evidence'));
  const path = trustFile(layout, 'evidence-signer');
  if (existsSync(path)) {
    const left = certificateOf(readFileSync(path, 'latin1'), path);
    const ours = spkiSha256(readCertificate(left).spki) === spkiSha256(spki);
    if (ours && lintCertificate(left, profile, issuer).length === 0) return left;
  }
  return certify({ profile, issuer, signer: server, spki, urls: statusUrls(policy, 'server'), now: clock.now() });
}
