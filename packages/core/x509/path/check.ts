import type { DerCertificate } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { type CertificateInfo, readCertificate } from '../certificate.ts';
import { CertificateBag, candidatePaths, type SearchLog } from './build.ts';
import { readCaCertificate } from './known-cas.ts';
import { fail, PATH_RULES, type PathFailure } from './rules.ts';
import { PathBudget, type PathOptions, validatePath } from './validate.ts';

/** A path that holds, from the leaf to the anchor; or the rule that refused it. */
export type PathResult = FoundPath | PathFailure;

export interface FoundPath {
  readonly ok: true;
  readonly chain: readonly CertificateInfo[];
  /** Dotted OIDs of the policies under which it is valid (RFC 5280 section 6.1.6); `2.5.29.32.0` when all are. */
  readonly policies: ReadonlySet<string>;
}

/**
 * Whether `leaf` chains to one of `anchors` by RFC 5280 section 6.1: signatures, validity, name constraints, policies,
 * basic constraints, path lengths, key usages and critical extensions. It does not look at revocation: that is
 * `checkRevocation`.
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
  if (end instanceof KeysteadError) {
    const source = PATH_RULES.malformed[0];
    return { ok: false, rule: 'malformed', source, at: '', depth: 0, detail: end.seen ?? end.message };
  }
  const bag = intermediates
    .map((der) => tryRead(der, readCaCertificate))
    .filter((read): read is CertificateInfo => !(read instanceof KeysteadError));
  return findPath(end, new CertificateBag(bag), new CertificateBag(anchors.map(readCaCertificate)), options);
}

/** `checkPath` of certificates that have been read: for who checks many against one bag. */
export function findPath(
  leaf: CertificateInfo,
  intermediates: CertificateBag,
  anchors: CertificateBag,
  options: PathOptions,
): PathResult {
  const budget = new PathBudget();
  const log: SearchLog = {};
  let best: { failure: PathFailure; held: number } | undefined;
  for (const path of candidatePaths(leaf, intermediates, anchors, budget, log, options.maxPathLength)) {
    const result = validatePath(path, options, budget);
    if (!('failure' in result)) return { ok: true, chain: path, policies: result.policies };
    if (best === undefined || result.held > best.held) best = result;
  }
  const nothing = fail('no-anchor', leaf, 0, 'no path of names and signatures to an anchor');
  return best?.failure ?? log.unsigned ?? log.exhausted ?? log.tooLong ?? nothing;
}

function tryRead(
  der: DerCertificate,
  read: (der: DerCertificate) => CertificateInfo = readCertificate,
): CertificateInfo | KeysteadError {
  try {
    return read(der);
  } catch (error) {
    if (error instanceof KeysteadError) return error;
    throw error;
  }
}
