import type { DerCertificate } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { type CertificateInfo, readCertificate } from '../certificate.ts';
import { candidatePaths } from './build.ts';
import { fail, type PathFailure, type PathOptions, validatePath } from './validate.ts';

/** A path that holds, from the leaf to the anchor; or the rule that refused it. */
export type PathResult = { readonly ok: true; readonly chain: readonly CertificateInfo[] } | PathFailure;

/**
 * Whether `leaf` chains to one of `anchors` by RFC 5280 section 6: signatures, validity, names, basic constraints,
 * path lengths, key usages and critical extensions. What it does not process (constraints on names and policies)
 * refuses the path. It does not look at revocation: ask OCSP or a CRL of each certificate of the chain.
 * REQ-KEY-REV-03
 *
 * Intermediates may come in any order, with strangers among them, and are not trusted; one that cannot be read is
 * passed over. When several paths fail, the one that came farthest says why.
 * @throws KeysteadError `cert.not-der` for an anchor that cannot be read, since anchors are our own.
 */
export function checkPath(
  leaf: DerCertificate,
  intermediates: readonly DerCertificate[],
  anchors: readonly DerCertificate[],
  options: PathOptions,
): PathResult {
  const end = tryRead(leaf);
  if (end instanceof KeysteadError) return { ok: false, rule: 'malformed', at: '', detail: end.seen ?? end.message };
  const pool = intermediates.map(tryRead).filter((read): read is CertificateInfo => !(read instanceof KeysteadError));
  let best: { failure: PathFailure; held: number } | undefined;
  for (const path of candidatePaths(end, pool, anchors.map(readCertificate))) {
    const refused = validatePath(path, options);
    if (refused === undefined) return { ok: true, chain: path };
    if (best === undefined || refused.held > best.held) best = refused;
  }
  return best?.failure ?? fail('no-anchor', end, 'no path of names and key identifiers to an anchor');
}

function tryRead(der: DerCertificate): CertificateInfo | KeysteadError {
  try {
    return readCertificate(der);
  } catch (error) {
    if (error instanceof KeysteadError) return error;
    throw error;
  }
}
