import type { CertificateInfo } from '../certificate.ts';
import { nameKey } from '../names.ts';
import { fail, type PathFailure } from './rules.ts';
import type { PathBudget } from './validate.ts';
import { isSelfIssued } from './validate.ts';

/** Certificates from the leaf to the anchor. The deepest hierarchy of PKITS has 7. */
export const LONGEST_PATH = 10;
/** Crossed and re-issued CAs make a few paths; a hostile set of them would make endlessly many. */
const MOST_STEPS = 256;

/** Certificates by the name of their subject, so that a large bag costs no more than a small one. */
export class CertificateBag {
  readonly #bySubject = new Map<string, CertificateInfo[]>();
  readonly #sha256 = new Set<string>();

  constructor(certificates: Iterable<CertificateInfo>) {
    for (const certificate of certificates) {
      if (this.#sha256.has(certificate.sha256)) continue;
      this.#sha256.add(certificate.sha256);
      const key = nameKey(certificate.subject);
      const list = this.#bySubject.get(key);
      if (list === undefined) this.#bySubject.set(key, [certificate]);
      else list.push(certificate);
    }
  }

  has(certificate: CertificateInfo): boolean {
    return this.#sha256.has(certificate.sha256);
  }

  /** Those whose subject is `name`, by the key that `nameKey` gives. */
  named(key: string): readonly CertificateInfo[] {
    return this.#bySubject.get(key) ?? [];
  }

  /**
   * Who may have issued `certificate` by name chaining (RFC 5280 section 6.1.3 (a)(4)); the likeliest first. Key
   * identifiers only put them in order (RFC 4158 section 3.5.12): they are hints, which no signature makes true.
   */
  issuersOf(certificate: CertificateInfo): CertificateInfo[] {
    const likelihood = ({ ski }: CertificateInfo): number =>
      certificate.aki === undefined || ski === undefined ? 1 : ski === certificate.aki ? 0 : 2;
    return [...this.named(nameKey(certificate.issuer))].sort((a, b) => likelihood(a) - likelihood(b));
  }
}

/** What a search met on its way, for whoever asks why it found nothing. */
export interface SearchLog {
  /** The first certificate whose signature no certificate with its issuer's name made. */
  unsigned?: PathFailure;
  tooLong?: PathFailure;
  exhausted?: PathFailure;
}

/**
 * The paths from `leaf` to an anchor: each an array from the leaf to the anchor, whose signatures verify. Nothing
 * else is checked. Anchors come before intermediates, so short paths before long ones.
 *
 * Bounded work: each pair of certificates is verified once and at most 128 are (`Signatures`), and the search ends
 * after 256 steps, so that CAs which certify each other in all ways cost milliseconds, not years.
 */
export function* candidatePaths(
  leaf: CertificateInfo,
  intermediates: CertificateBag,
  anchors: CertificateBag,
  budget: PathBudget,
  log: SearchLog,
  longest = LONGEST_PATH,
): Generator<readonly CertificateInfo[]> {
  let steps = 0;
  function* extend(path: readonly CertificateInfo[], last: CertificateInfo): Generator<readonly CertificateInfo[]> {
    const depth = path.length - 1;
    let tried = 0;
    let seen: PathFailure | undefined;
    const signed = (issuer: CertificateInfo): boolean => {
      tried += 1;
      const verdict = budget.signatures.verdict(last, issuer);
      if (verdict?.verdict === 'valid') return true;
      if (verdict === undefined) log.exhausted ??= fail('search-bound', last, depth, 'signatures');
      else if (verdict.verdict === 'weak') seen ??= fail('algorithm', last, depth, verdict.why);
      else seen ??= fail('signature', last, depth, 'a signature that does not verify');
      return false;
    };
    let found = 0;
    for (const issuer of [...anchors.issuersOf(last), ...intermediates.issuersOf(last)]) {
      if (isIn(path, issuer)) continue;
      if (steps >= MOST_STEPS) {
        log.exhausted ??= fail('search-bound', last, depth, `${MOST_STEPS} steps`);
        return;
      }
      steps += 1;
      if (path.length >= longest) {
        log.tooLong ??= fail('path-too-long', last, depth, `more than ${longest} certificates`);
        return;
      }
      if (!signed(issuer)) continue;
      found += 1;
      if (anchors.has(issuer)) yield [...path, issuer];
      else yield* extend([...path, issuer], issuer);
    }
    if (tried > 0 && found === 0 && !isSelfIssued(last)) log.unsigned ??= seen;
  }
  yield* extend([leaf], leaf);
}

/** RFC 4158 section 5.2: no certificate twice, and no key twice under one name, or there would be loops. */
const isIn = (path: readonly CertificateInfo[], certificate: CertificateInfo): boolean =>
  path.some(
    (other) =>
      other.sha256 === certificate.sha256 ||
      (other.spkiSha256 === certificate.spkiSha256 && nameKey(other.subject) === nameKey(certificate.subject)),
  );
