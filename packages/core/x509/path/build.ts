import { sameBytes } from '../../bytes/index.ts';
import type { CertificateInfo } from '../certificate.ts';
import { sameName } from '../names.ts';

/** Certificates from the leaf to the anchor. The deepest hierarchy of PKITS has 7. */
const LONGEST_PATH = 10;
/** Crossed and re-issued CAs make a few paths; a hostile set of intermediates would make endlessly many. */
const MOST_STEPS = 64;

/**
 * The paths from `leaf` to an anchor by names and key identifiers alone: each an array from the leaf to the anchor.
 * Nothing is verified. The search ends after a bounded number of steps.
 */
export function* candidatePaths(
  leaf: CertificateInfo,
  intermediates: readonly CertificateInfo[],
  anchors: readonly CertificateInfo[],
): Generator<readonly CertificateInfo[]> {
  let steps = 0;
  function* extend(path: readonly CertificateInfo[], last: CertificateInfo): Generator<readonly CertificateInfo[]> {
    for (const anchor of anchors) {
      if (mayHaveIssued(anchor, last) && !isIn(path, anchor)) yield [...path, anchor];
    }
    if (path.length + 1 >= LONGEST_PATH) return;
    for (const issuer of intermediates) {
      if (steps >= MOST_STEPS) return;
      if (!mayHaveIssued(issuer, last) || isIn(path, issuer) || isIn(anchors, issuer)) continue;
      steps += 1;
      yield* extend([...path, issuer], issuer);
    }
  }
  yield* extend([leaf], leaf);
}

/**
 * Name chaining (RFC 5280 section 6.1.3 (a)(4)); where both certificates have a key identifier, these choose among
 * CAs of one name (section 4.2.1.1).
 */
export function mayHaveIssued(issuer: CertificateInfo, subject: CertificateInfo): boolean {
  if (subject.aki !== undefined && issuer.ski !== undefined && subject.aki !== issuer.ski) return false;
  return sameBytes(issuer.subjectDer, subject.issuerDer) || sameName(issuer.subject, subject.issuer);
}

/** RFC 4158 section 5.2: no certificate twice, and no key twice under one name, or there would be loops. */
const isIn = (path: readonly CertificateInfo[], certificate: CertificateInfo): boolean =>
  path.some(
    (other) =>
      other.sha256 === certificate.sha256 ||
      (other.spkiSha256 === certificate.spkiSha256 && sameName(other.subject, certificate.subject)),
  );
