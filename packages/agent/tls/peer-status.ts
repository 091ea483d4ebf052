import type { DerCertificate } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import {
  CertificateBag,
  type CertificateInfo,
  type CertificateStatus,
  certificateStatus,
  combineStatuses,
  nameKey,
  type RevocationFilter,
  type RevocationList,
  RevocationLists,
  readCertificate,
  type StatusFailure,
  statusFailure,
} from '@keystead/core/x509';
import type { CrlCache } from './crl-cache.ts';
import type { Revocation, StatusSource } from './ocsp-client.ts';

/** What tells the status of a peer's certificates. */
export interface StatusRules {
  readonly clock: Clock;
  /** Asks for the status. Without it, `crls`, `filter` and `staple` it is not looked at, and short lifetimes must do. */
  readonly ocsp?: StatusSource;
  /** Fetches and keeps CRLs; its window is the one in which an old CRL still tells a status. */
  readonly crls?: CrlCache;
  /** The compact filter that an offline device carries. */
  readonly filter?: RevocationFilter;
  /** The OCSP answer that the peer stapled to the handshake, DER (`stapledAnswer`). */
  readonly staple?: Uint8Array;
  /**
   * Whose status must be known: the leaf's alone (default: CAs are then dealt with by new anchors and issuers), or that
   * of each certificate below the anchor.
   */
  readonly cover?: 'leaf' | 'path';
}

/**
 * Why the status of a path refuses it; undefined when each certificate that is covered is known to be good, or when the
 * rules have no source of status at all. What is at hand is looked at first; OCSP is asked whenever the rules have it,
 * for its word is the newest.
 * @param sent certificates that the peer sent besides its own; `held` are ours. What the peer sent may be found to have
 *   signed a CRL by its path, but gets none into the cache.
 */
export async function peerStatus(
  chain: readonly CertificateInfo[],
  sent: readonly DerCertificate[],
  held: readonly DerCertificate[],
  rules: StatusRules,
): Promise<StatusFailure | undefined> {
  const { ocsp, crls, filter, staple, cover = 'leaf' } = rules;
  if (ocsp === undefined && crls === undefined && filter === undefined && staple === undefined) return undefined;
  const own = readable(held);
  const signers = new CertificateBag([...chain, ...own, ...readable(sent)]);
  for (let depth = cover === 'leaf' ? 0 : chain.length - 2; depth >= 0; depth -= 1) {
    const [certificate, issuer] = [chain[depth], chain[depth + 1]];
    if (certificate === undefined || issuer === undefined) break;
    const lists = await listsWithSigners(certificate, [...chain, ...own], crls);
    const evidence = {
      ...(filter === undefined ? {} : { filter }),
      ...(staple === undefined || depth > 0 ? {} : { ocsp: [staple] }),
      ...(lists === undefined ? {} : { lists: new RevocationLists(lists) }),
    };
    const options = { now: rules.clock.now(), bag: signers, tolerateSeconds: crls?.tolerateSeconds ?? 0 };
    const said = [certificateStatus(chain, depth, evidence, options)];
    // Also where an answer was stapled: that one may be old, and the peer chose it.
    if (ocsp !== undefined && said[0]?.status !== 'revoked')
      said.unshift(statusOfAnswer(await ocsp.status(certificate.der, issuer.der)));
    const failure = statusFailure(combine(said), certificate, depth);
    if (failure !== undefined) return failure;
  }
  return undefined;
}

/** The CRLs for a certificate, and where it names an indirect one those for whoever signs it: a signer may be revoked. */
async function listsWithSigners(
  certificate: CertificateInfo,
  signers: readonly CertificateInfo[],
  crls: CrlCache | undefined,
): Promise<readonly RevocationList[] | undefined> {
  if (crls === undefined) return undefined;
  const named = new Set(certificate.indirectCrls.map(({ issuer }) => nameKey(issuer)));
  const others = signers.filter(({ subject }) => named.has(nameKey(subject)));
  const lists = await Promise.all([certificate, ...others].map((one) => crls.listsFor(one, signers)));
  return lists.flat();
}

/** The responder's signed word that it does not know the certificate outweighs whatever else calls it good. */
function combine(said: readonly CertificateStatus[]): CertificateStatus {
  const unknown = said.find((one) => one.status === 'undetermined' && one.rule === 'status-unknown');
  return unknown !== undefined && said.every(({ status }) => status !== 'revoked') ? unknown : combineStatuses(said);
}

function statusOfAnswer(answer: Revocation): CertificateStatus {
  switch (answer.status) {
    case 'good':
      return { status: 'good', by: 'ocsp' };
    case 'revoked':
      return { ...answer, by: 'ocsp' } as CertificateStatus;
    case 'unknown':
      return { status: 'undetermined', rule: 'status-unknown', detail: 'the responder does not know the certificate' };
    case 'unavailable':
      return { status: 'undetermined', rule: 'status-unavailable', detail: answer.why };
  }
}

function readable(bag: readonly DerCertificate[]): CertificateInfo[] {
  return bag.flatMap((der) => {
    try {
      return [readCertificate(der)];
    } catch {
      return [];
    }
  });
}
