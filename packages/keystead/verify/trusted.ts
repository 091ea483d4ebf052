import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DerCertificate, fromPem } from '@keystead/core/bytes';
import { certSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type IssuerId,
  issuerId,
  ONLINE_CAS,
  parsePolicy,
  type RootId,
  rootId,
  transitionEnd,
} from '@keystead/core/lifecycle';
import { type CaRole, checkPath } from '@keystead/core/x509';
import type { Layout } from '../files/layout.ts';
import { aboveFile } from '../keyd/factory/publish.ts';
import { factoryEvidencePath } from '../keyd/factory-evidence.ts';

/** The certificate in a PEM file of `trust/` or `ceremony/`. @throws KeysteadError `cert.not-der` when there is none. */
export function certificateIn(path: string): DerCertificate {
  const [der] = existsSync(path) ? fromPem('CERTIFICATE', readFileSync(path, 'utf8')) : [];
  if (der === undefined) throw new KeysteadError('cert.not-der', { field: path, seen: 'no certificate' });
  return der as DerCertificate;
}

/** A key with its certificate, by the name that addresses in certificates have for it. */
export interface Trusted<T extends string> {
  readonly id: T;
  readonly certificate: DerCertificate;
  /** Whether it is the one in use. */
  readonly current: boolean;
}

/** The names in `trust/`: `operational.pem` is in use, `operational-1.pem` and so on were before it. */
function keysOf<T extends string>(layout: Layout, role: CaRole, name: (generation: number) => T): Trusted<T>[] {
  const former: Trusted<T>[] = [];
  for (let n = 1; existsSync(join(layout.trust, `${role}-${n}.pem`)); n += 1) {
    former.push({ id: name(n), certificate: certificateIn(join(layout.trust, `${role}-${n}.pem`)), current: false });
  }
  const certificate = certificateIn(join(layout.trust, `${role}.pem`));
  return [...former, { id: name(former.length + 1), certificate, current: true }];
}

/** Every key of the CAs. @throws KeysteadError `cert.not-der`. */
export const trustedIssuers = (layout: Layout): Trusted<IssuerId>[] =>
  ONLINE_CAS.flatMap((ca) => keysOf(layout, ca, (generation) => issuerId(ca, generation)));

/** Every key of one root, the first one first. @throws KeysteadError `cert.not-der`. */
export const trustedRoots = (layout: Layout, role: 'root' | 'signing-root' = 'root'): Trusted<RootId>[] =>
  keysOf(layout, role, (generation) => rootId(role, generation));

/** The certificates from each key of a root to the next one and back. */
export function crossCertificates(layout: Layout, role: 'root' | 'signing-root' = 'root') {
  return trustedRoots(layout, role)
    .filter(({ current }) => !current)
    .map(({ id, certificate: old }, index) => ({
      id,
      old,
      newWithOld: certificateIn(join(layout.trust, `${role}-${index + 1}-new-with-old.pem`)),
      oldWithNew: certificateIn(join(layout.trust, `${role}-${index + 1}-old-with-new.pem`)),
    }));
}

/** The roots that are anchors of devices, servers and people now, the one in use first. @throws KeysteadError `policy.*` */
export function trustedAnchors(layout: Layout, now: Date): DerCertificate[] {
  const policy = parsePolicy(readFileSync(layout.policy));
  const old = crossCertificates(layout).filter((rollover) => transitionEnd(policy, rollover) > now);
  return [certificateIn(join(layout.trust, 'root.pem')), ...old.map((rollover) => rollover.old)];
}

/** Every certificate of a CA that there ever was: what old documents are verified by. */
function intermediates(layout: Layout): DerCertificate[] {
  const earlier = join(layout.trust, 'earlier-cas.pem');
  const gone = existsSync(earlier) ? fromPem('CERTIFICATE', readFileSync(earlier, 'utf8')) : [];
  // At a factory node, those of headquarters that certified its own: its evidence signer is by one of them.
  const above = (['manufacturing', 'server'] as const)
    .map((ca) => aboveFile(layout, ca))
    .filter((path) => existsSync(path))
    .map(certificateIn);
  return [...trustedIssuers(layout).map(({ certificate }) => certificate), ...above, ...(gone as DerCertificate[])];
}

/** What verifies a document that the evidence key signed at `date`: the certificates that were in force then. */
export interface DocumentChain {
  readonly evidenceSigner: DerCertificate;
  /** Between the signer and the root, from the signer upwards. */
  readonly intermediates: readonly DerCertificate[];
  readonly root: DerCertificate;
}

/** Every certificate by which documents of this house are signed, its factories' among them, in no order. */
function evidenceSigners(layout: Layout): DerCertificate[] {
  const names = readdirSync(layout.trust).filter((name) => /^evidence-signer(-\d+)?\.pem$/.test(name));
  const factories = factoryEvidencePath(layout.policy);
  const theirs = existsSync(factories) ? fromPem('CERTIFICATE', readFileSync(factories, 'utf8')) : [];
  return [...names.map((name) => certificateIn(join(layout.trust, name))), ...(theirs as DerCertificate[])];
}

/**
 * @param signer the certificate that the document names as its signer's, as `sha256:` and hex.
 * @param anchor SHA-256 of the root's certificate that the document names, hex; any root when it names none.
 * @throws KeysteadError `record.unproven` when no certificates of that time are here.
 */
export function documentChain(layout: Layout, date: Date, signer: string, anchor?: string): DocumentChain {
  const anchored = trustedRoots(layout).filter(({ certificate }) => certSha256(certificate) === anchor);
  const roots = anchored.length > 0 ? anchored : trustedRoots(layout).toReversed();
  const below = intermediates(layout);
  const named = evidenceSigners(layout).filter((der) => `sha256:${certSha256(der)}` === signer);
  for (const evidenceSigner of named) {
    for (const { certificate: root } of roots) {
      const path = checkPath(evidenceSigner, below, [root], { now: date });
      if (!path.ok) continue;
      return { evidenceSigner, intermediates: path.chain.slice(1, -1).map(({ der }) => der), root };
    }
  }
  throw new KeysteadError('record.unproven', {
    field: 'signer',
    seen: `${signer}: no certificate here of ${date.toISOString()}`,
  });
}
