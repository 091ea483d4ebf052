import type { CertificateInfo } from '../certificate.ts';
import type { ListedRevocation, RevocationList } from '../crl/list.ts';
import {
  ALL_REASONS,
  type DistributionPoint,
  directoryKey,
  pointKeys,
  type ReasonMask,
  type RevocationScope,
  readDistributionPoints,
} from '../crl/points.ts';
import { DerError } from '../der/strict.ts';
import { findExtension } from '../extensions.ts';
import { type DistinguishedName, formatName, nameKey } from '../names.ts';
import { EXTENSIONS } from '../oids.ts';
import { CertificateBag } from '../path/build.ts';
import { findPath } from '../path/check.ts';
import type { RevocationLists } from './lists.ts';
import type { CertificateStatus } from './rules.ts';

/** How far a thisUpdate may lie ahead of the reader's clock, milliseconds: a device's clock may be behind. */
const FUTURE_TOLERANCE_MS = 60_000;
/** A CRL's signer has a path whose CRLs may have other signers; nobody nests this deep. */
const MOST_SIGNERS_DEEP = 3;
/** Signers tried for all certificates of one path; a bag of namesakes would make endlessly many. */
const MOST_SIGNERS = 32;

export interface CrlJudgement {
  readonly lists: RevocationLists;
  /** Among these are looked for the signers of CRLs that are not in the path themselves. */
  readonly bag: CertificateBag;
  readonly now: Date;
  /** How long after its nextUpdate a CRL still tells a status, seconds. */
  readonly tolerateSeconds: number;
}

type Undetermined = CertificateStatus & { status: 'undetermined' };

/**
 * Tells certificates' status from CRLs by RFC 5280 section 6.3.3, with delta CRLs used where they are there.
 * REQ-KEY-REV-03
 */
export class CrlJudge {
  readonly #input: CrlJudgement;
  /** Signers whose status is being found out, with their paths: their own CRL may be the one that tells it. */
  readonly #open = new Map<string, readonly CertificateInfo[]>();
  #signersLeft = MOST_SIGNERS;

  constructor(input: CrlJudgement) {
    this.#input = input;
  }

  /** The status of `chain[depth]`; the certificates above it have been found good. Never throws. */
  status(chain: readonly CertificateInfo[], depth: number): CertificateStatus {
    const certificate = chain[depth];
    if (certificate === undefined) return undetermined('status-unavailable', 'no certificate');
    const run = (own: boolean): CertificateStatus =>
      new CrlStatus(this.#input, certificate, (list, direct) => this.#mayTell(list, chain, depth, direct, own)).find();
    try {
      const told = run(false);
      return told.status === 'undetermined' ? run(true) : told;
    } catch (error) {
      if (error instanceof DerError) return undetermined('status-unprocessed', error.message);
      throw error;
    }
  }

  /**
   * 6.3.3 (f), (g): whether a list is signed by who may sign it: the issuer, or a signer whom a CA of this path above
   * the certificate has certified, in the issuer's name or, for an indirect list, in the name that the certificate
   * gives. Otherwise whoever gets a certificate in that name from any CA under the anchor could tell the status; and
   * a CA that is revoked could certify a signer who calls it good.
   *
   * @param own whether the certificate's own key may tell its own status: last, and only of an indirect CRL that its
   *   issuer has named for it. A CRL key that was stolen would else call itself good in a newer list than the CA's.
   */
  #mayTell(
    list: RevocationList,
    chain: readonly CertificateInfo[],
    depth: number,
    direct: boolean,
    own: boolean,
  ): boolean {
    const issuer = chain[depth + 1];
    if (issuer !== undefined && nameKey(issuer.subject) === list.issuerKey && this.#isSignerOf(list, issuer))
      return true;
    const anchor = chain.at(-1);
    if (anchor === undefined) return false;
    const above = new Set(chain.slice(depth + 1).map(({ subject }) => nameKey(subject)));
    const candidates = [
      ...new CertificateBag([...chain, ...this.#input.bag.named(list.issuerKey)]).named(list.issuerKey),
    ];
    return candidates.some((signer) => {
      if (signer.sha256 === issuer?.sha256 || !above.has(nameKey(signer.issuer))) return false;
      if (signer.spkiSha256 === chain[depth]?.spkiSha256 && (direct || !own)) return false;
      return this.#isSignerOf(list, signer) && this.#isGoodSigner(signer, anchor, chain, depth);
    });
  }

  #isSignerOf(list: RevocationList, signer: CertificateInfo): boolean {
    // RFC 5280 section 6.3.3 (f).
    if (findExtension(signer.extensions, EXTENSIONS.keyUsage) !== undefined && !signer.keyUsage.includes('cRLSign'))
      return false;
    if (list.aki !== undefined && signer.ski !== undefined && list.aki !== signer.ski) return false;
    return list.verify(signer).verdict === 'valid';
  }

  /**
   * The signer has a path to the same anchor (6.3.3 (f)), and neither it nor a CA above it is revoked. A CA of that
   * path is not the one whose status is asked for, `chain[depth]`.
   */
  #isGoodSigner(
    signer: CertificateInfo,
    anchor: CertificateInfo,
    chain: readonly CertificateInfo[],
    depth: number,
  ): boolean {
    if (signer.sha256 === anchor.sha256) return true;
    const vouchedForByItself = (path: readonly CertificateInfo[]): boolean =>
      path.slice(1).some(({ spkiSha256 }) => spkiSha256 === chain[depth]?.spkiSha256);
    const open = this.#open.get(signer.sha256);
    if (open !== undefined) return !vouchedForByItself(open);
    if (this.#open.size >= MOST_SIGNERS_DEEP || this.#signersLeft <= 0) return false;
    this.#signersLeft -= 1;
    const path = findPath(signer, this.#input.bag, new CertificateBag([anchor]), { now: this.#input.now });
    if (!path.ok || vouchedForByItself(path.chain)) return false;
    this.#open.set(signer.sha256, path.chain);
    try {
      for (let depth = path.chain.length - 2; depth >= 0; depth -= 1) {
        const certificate = path.chain[depth];
        // What stands in the path itself is judged there.
        if (certificate === undefined || (depth > 0 && chain.includes(certificate))) continue;
        if (this.status(path.chain, depth).status !== 'good') return false;
      }
      return true;
    } finally {
      this.#open.delete(signer.sha256);
    }
  }
}

/** The run of section 6.3.3 for one certificate. */
class CrlStatus {
  readonly #input: CrlJudgement;
  readonly #certificate: CertificateInfo;
  readonly #issuerKey: string;
  readonly #mayTell: (list: RevocationList, direct: boolean) => boolean;
  readonly #covered = new Set<RevocationScope>();
  #until = Number.POSITIVE_INFINITY;
  #why: Undetermined | undefined;

  constructor(
    input: CrlJudgement,
    certificate: CertificateInfo,
    mayTell: (list: RevocationList, direct: boolean) => boolean,
  ) {
    this.#input = input;
    this.#certificate = certificate;
    this.#issuerKey = nameKey(certificate.issuer);
    this.#mayTell = mayTell;
  }

  find(): CertificateStatus {
    const extension = findExtension(this.#certificate.extensions, EXTENSIONS.cRLDistributionPoints);
    const points = extension === undefined ? [] : readDistributionPoints(extension.value);
    // At last the one that RFC 5280 assumes for whatever CRLs the certificate's issuer has.
    const assumed: DistributionPoint = {
      name: { fullNames: [directoryKey(this.#certificate.issuer)] },
      urls: [],
    };
    // Who has all its lists signed by another takes back what it knows by those alone (docs/decisions/0028): its own
    // list is older, and may refuse what stands on it, but can call nothing good.
    const elsewhere = points.length > 0 && points.every(({ crlIssuers }) => crlIssuers !== undefined);
    for (const point of points) {
      const revoked = this.#atPoint(point, false);
      if (revoked !== undefined) return revokedBy(revoked);
      if (this.#complete) break;
    }
    if (elsewhere) {
      const revoked = this.#onOwnList(assumed);
      if (revoked !== undefined) return revokedBy(revoked);
    } else if (!this.#complete) {
      const revoked = this.#atPoint(assumed, true);
      if (revoked !== undefined) return revokedBy(revoked);
    }
    if (this.#complete) return { status: 'good', by: 'crl', until: new Date(this.#until) };
    if (this.#covered.size > 0)
      return undetermined('status-partial', `CRLs for ${[...this.#covered].join(', ')} alone`);
    if (this.#why !== undefined) return this.#why;
    const signers = points.flatMap(({ crlIssuers = [] }) => crlIssuers.map(formatName));
    const detail = elsewhere ? `no indirect CRL of ${signers.join(' or ')}` : 'no CRL is for the certificate';
    return undetermined('status-unavailable', detail);
  }

  /** What the issuer's own full list says against a certificate whose status another is to tell. */
  #onOwnList(assumed: DistributionPoint): ListedRevocation | undefined {
    const until = this.#until;
    for (const list of this.#input.lists.complete(this.#issuerKey)) {
      if (this.#scope(list, assumed, this.#certificate.issuer, true) === undefined) continue;
      if (!this.#isUsable(list, true)) continue;
      const revoked = this.#look(list, assumed);
      this.#until = until;
      return revoked;
    }
    return undefined;
  }

  get #complete(): boolean {
    return this.#covered.size === ALL_REASONS.size;
  }

  #atPoint(point: DistributionPoint, assumed: boolean): ListedRevocation | undefined {
    for (const issuer of point.crlIssuers ?? [this.#certificate.issuer]) {
      for (const list of this.#input.lists.complete(nameKey(issuer))) {
        const reasons = this.#scope(list, point, issuer, assumed);
        if (reasons === undefined || ![...reasons].some((reason) => !this.#covered.has(reason))) continue;
        if (!this.#isUsable(list, point.crlIssuers === undefined)) continue;
        const revoked = this.#look(list, point);
        if (revoked !== undefined) return revoked;
        for (const reason of reasons) this.#covered.add(reason);
        if (this.#complete) return undefined;
      }
    }
    return undefined;
  }

  /** (b), (d): the reasons for which `list` is for the certificate at this point; undefined when it is not for it. */
  #scope(
    list: RevocationList,
    point: DistributionPoint,
    issuer: DistinguishedName,
    assumed: boolean,
  ): ReasonMask | undefined {
    const { point: issuing } = list;
    if (point.crlIssuers !== undefined && issuing?.indirect !== true) return undefined;
    const reasons = point.reasons ?? ALL_REASONS;
    if (issuing === undefined) return reasons;
    if (issuing.name !== undefined) {
      const own = pointKeys(issuing.name, list.issuer);
      const wanted =
        point.name === undefined
          ? (point.crlIssuers ?? []).map(directoryKey)
          : pointKeys(point.name, point.crlIssuers === undefined ? this.#certificate.issuer : issuer);
      if (!own.some((key) => wanted.includes(key))) return undefined;
    } else if (assumed && issuing.indirect && this.#issuerKey !== list.issuerKey) return undefined;
    if (issuing.onlyUserCerts && this.#certificate.ca) return undefined;
    if (issuing.onlyCaCerts && !this.#certificate.ca) return undefined;
    if (issuing.onlyAttributeCerts) return undefined;
    const { onlyReasons } = issuing;
    return onlyReasons === undefined ? reasons : new Set([...reasons].filter((reason) => onlyReasons.has(reason)));
  }

  /** (a), (f), (g). */
  #isUsable(list: RevocationList, direct: boolean): boolean {
    const end = list.nextUpdate.getTime() + this.#input.tolerateSeconds * 1000;
    const now = this.#input.now.getTime();
    if (list.thisUpdate.getTime() > now + FUTURE_TOLERANCE_MS)
      return this.#note('status-stale', `a CRL of the future, ${list.thisUpdate.toISOString()}`);
    if (now > end) return this.#note('status-stale', `a CRL that ended ${list.nextUpdate.toISOString()}`);
    if (list.strange !== undefined) return this.#note('status-unprocessed', `the CRL extension ${list.strange}`);
    if (!this.#mayTell(list, direct)) return this.#note('status-unverified', 'a CRL that nobody signed who may');
    return true;
  }

  #note(rule: Undetermined['rule'], detail: string): false {
    this.#why ??= undetermined(rule, detail);
    return false;
  }

  /** (c), (h) to (k): what the list, carried on by the newest of its deltas that can be used, says of the certificate. */
  #look(list: RevocationList, point: DistributionPoint): ListedRevocation | undefined {
    this.#until = Math.min(this.#until, list.nextUpdate.getTime());
    const delta = this.#input.lists
      .deltasOf(list)
      .find((candidate) => this.#isUsable(candidate, point.crlIssuers === undefined));
    const changed = delta?.find(this.#issuerKey, this.#certificate.serial);
    if (delta !== undefined) this.#until = Math.min(this.#until, delta.nextUpdate.getTime());
    if (changed?.reason === 'removeFromCRL') return undefined;
    return changed ?? list.find(this.#issuerKey, this.#certificate.serial);
  }
}

const revokedBy = ({ revokedAt, reason }: ListedRevocation): CertificateStatus => ({
  status: 'revoked',
  by: 'crl',
  revokedAt,
  reason,
});

const undetermined = (rule: Undetermined['rule'], detail: string): Undetermined => ({
  status: 'undetermined',
  rule,
  detail,
});
