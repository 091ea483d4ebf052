import type { CertificateInfo } from '../certificate.ts';
import type { CertificateBag } from '../path/build.ts';
import { CrlJudge } from './crl-status.ts';
import type { RevocationLists } from './lists.ts';
import { ocspStatus } from './ocsp-status.ts';
import { type CertificateStatus, type StatusFailure, statusFailure } from './rules.ts';

/** A compact set of revoked certificates that a device carries. It says 'not-covered' rather than guess. */
export interface RevocationFilter {
  /** What it says of `certificate`, which `issuer` signed, at `now`: it looks to its own signature and end. Never throws. */
  verdict(certificate: CertificateInfo, issuer: CertificateInfo, now: Date): 'revoked' | 'good' | 'not-covered';
  /**
   * Until when this issuer's certificates were issued of which it can say anything; undefined where it does not know the
   * issuer. A filter that does not tell is none the worse.
   */
  knownUntil?(issuer: CertificateInfo): Date | undefined;
}

/** What tells the status of certificates, all of it at hand. */
export interface RevocationEvidence {
  readonly lists?: RevocationLists;
  /** OCSPResponses, DER. */
  readonly ocsp?: readonly Uint8Array[];
  readonly filter?: RevocationFilter;
}

export interface RevocationOptions {
  readonly now: Date;
  /** Certificates among which the signers of CRLs are looked for. */
  readonly bag: CertificateBag;
  /** The tolerated window: how long after its nextUpdate a CRL still tells a status, seconds; default 0. */
  readonly tolerateSeconds?: number;
  /** `leaf` asks for the leaf's status alone, where CAs are dealt with by new anchors; default `path`. */
  readonly cover?: 'leaf' | 'path';
}

export interface RevocationGood {
  readonly ok: true;
  /** The status of each certificate that was asked for, leaf first. */
  readonly statuses: readonly CertificateStatus[];
}

/**
 * Whether each certificate of a path below its anchor is known not to be revoked. Fails closed: what cannot be told
 * refuses. Revoked, by whichever source, wins over good by another. The anchor's own status is nobody's to tell: it
 * is taken out of the anchors.
 * REQ-KEY-REV-03
 * @param chain a path that holds, leaf first, anchor last.
 */
export function checkRevocation(
  chain: readonly CertificateInfo[],
  evidence: RevocationEvidence,
  options: RevocationOptions,
): RevocationGood | StatusFailure {
  const statuses: CertificateStatus[] = [];
  const judge = judgeOf(evidence, options);
  // From the anchor down: a list is believed because the CAs above it were found good.
  for (let depth = options.cover === 'leaf' ? 0 : chain.length - 2; depth >= 0; depth -= 1) {
    const certificate = chain[depth];
    if (certificate === undefined) break;
    const status = statusOf(chain, depth, evidence, judge, options.now);
    const failure = statusFailure(status, certificate, depth);
    if (failure !== undefined) return failure;
    statuses.unshift(status);
  }
  return { ok: true, statuses };
}

/**
 * The status of one certificate of a path, from the evidence at hand: for who gathers more where it is undetermined.
 * Never throws.
 */
export function certificateStatus(
  chain: readonly CertificateInfo[],
  depth: number,
  evidence: RevocationEvidence,
  options: RevocationOptions,
): CertificateStatus {
  return statusOf(chain, depth, evidence, judgeOf(evidence, options), options.now);
}

/** What several sources say together: revoked by one wins over good by another, and either over nothing. */
export function combineStatuses(said: readonly CertificateStatus[]): CertificateStatus {
  return (
    said.find(({ status }) => status === 'revoked') ??
    said.find(({ status }) => status === 'good') ??
    // The more telling of two: that something was there and could not be used.
    said.find((one) => one.status === 'undetermined' && one.rule !== 'status-unavailable') ??
    said[0] ?? { status: 'undetermined', rule: 'status-unavailable', detail: 'nothing tells the status' }
  );
}

function judgeOf({ lists }: RevocationEvidence, options: RevocationOptions): CrlJudge | undefined {
  if (lists === undefined) return undefined;
  const { bag, now, tolerateSeconds = 0 } = options;
  return new CrlJudge({ lists, bag, now, tolerateSeconds });
}

function statusOf(
  chain: readonly CertificateInfo[],
  depth: number,
  { ocsp, filter }: RevocationEvidence,
  judge: CrlJudge | undefined,
  now: Date,
): CertificateStatus {
  const [certificate, issuer] = [chain[depth], chain[depth + 1]];
  if (certificate === undefined || issuer === undefined)
    return { status: 'undetermined', rule: 'status-unavailable', detail: 'an anchor has no status' };
  const said: CertificateStatus[] = [];
  const filtered = filter?.verdict(certificate, issuer, now);
  if (filtered === 'revoked' || filtered === 'good') said.push({ status: filtered, by: 'filter' });
  if (filtered === 'not-covered') said.push(...tooYoung(certificate, filter?.knownUntil?.(issuer)));
  if (ocsp !== undefined) said.push(ocspStatus(certificate, issuer, ocsp, now));
  if (judge !== undefined) said.push(judge.status(chain, depth));
  return combineStatuses(said);
}

/** The one reason for a filter's silence that passes by itself, and that whoever runs a fleet can do something about. */
function tooYoung({ notBefore }: CertificateInfo, through: Date | undefined): CertificateStatus[] {
  if (through === undefined || notBefore.getTime() <= through.getTime()) return [];
  const [issued, until] = [notBefore, through].map((date) => date.toISOString());
  const detail = `issued ${issued}, the filter knows what was issued until ${until}; take a newer filter, or let OCSP be asked`;
  return [{ status: 'undetermined', rule: 'status-too-young', detail }];
}
