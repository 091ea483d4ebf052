import type { Serial, SpkiSha256 } from '@keystead/core/bytes';
import { transitionEnd } from '@keystead/core/lifecycle';
import type { KeydContext } from '../context.ts';
import type { CertificateJournalEntry, JournalEntry } from '../journal-entry.ts';
import type { Params, Result } from '../protocol.ts';
import { caRevoked } from './root-crl.ts';
import { factoryStatusOf, factoryTrustOf } from './take-crls.ts';

/** Who keyd is and how far it is. */
export async function status(keyd: KeydContext): Promise<Result<'status'>> {
  return {
    software: keyd.software,
    startedAt: keyd.startedAt,
    isolation: { ...keyd.isolation },
    policySha256: keyd.policies.inForce.sha256,
    policyVersion: keyd.policy.version,
    certificates: keyd.state.certificates,
    log: { origin: keyd.log.origin, size: keyd.log.size, checkpoint: keyd.log.checkpoint ?? null },
    tickets: keyd.state.units.tickets,
    crlNumbers: keyd.state.crlNumbers,
    crlShards: shardings(keyd),
    count: keyd.count.report,
    restores: keyd.state.restored.all.map(({ n: _, kind: __, time, agreed, ...restore }) => ({
      ...restore,
      time: new Date(time),
      ...(agreed === undefined ? {} : { agreed: agreedOf(agreed) }),
    })),
    ...pendingRestore(keyd),
    factory: factoryStatusOf(keyd),
  };
}

const agreedOf = ({ time, by, approvers }: { time: string; by: string; approvers: string[] }) => ({
  ...{ by, approvers },
  at: new Date(time),
});

function pendingRestore({ state, policy }: KeydContext): Pick<Result<'status'>, 'restorePending'> {
  const { pending } = state.restored;
  if (pending === undefined) return {};
  const { restore, backupId, time } = pending;
  const { approvals: needed, roles, hardware = false } = policy.quorums.restore;
  return { restorePending: { restore, backupId, since: new Date(time), needed, roles: [...roles], hardware } };
}

function shardings(keyd: KeydContext): Result<'status'>['crlShards'] {
  const now = keyd.state.time.last;
  const current = keyd.policy.revocation.lists?.shards ?? 1;
  return Object.fromEntries(keyd.hierarchy.issuers.map(({ id }) => [id, keyd.state.lists(id).shardings(current, now)]));
}

/** What the ceremonies approved, certificates and verifier keys, and the policy in force. */
export async function trust(keyd: KeydContext): Promise<Result<'trust'>> {
  const { certificates, evidenceSigner, issuers, rollovers, crlSigner, pins } = keyd.hierarchy;
  const { vkey, cosignVkey, revoked } = pins;
  return {
    certificates: { ...certificates },
    issuers: issuers.map(({ id, ca, certificate, current }) => ({
      ...{ id, ca, certificate, current },
      revoked: revoked.includes(id),
    })),
    rollovers: rollovers.map((rollover) => ({
      ...rollover,
      certificates: { ...rollover.certificates },
      until: transitionEnd(keyd.policy, rollover.certificates),
    })),
    ...(crlSigner === undefined ? {} : { crlSigner }),
    caRevocations: [...keyd.state.rootList.revoked.values()].map(caRevoked),
    rootCrls: [...keyd.rootCrls],
    later: pins.later.map(({ importedAt, ...ceremony }, index) => ({
      ...ceremony,
      number: index + 2,
      importedAt: new Date(importedAt),
    })),
    evidenceSigner,
    vkey,
    cosignVkey,
    policy: keyd.policies.inForce.bytes,
    factory: factoryTrustOf(keyd),
  };
}

/** Certificates of the journal, in order, for those who reconcile their records with it. */
export async function journal(keyd: KeydContext, { from, limit }: Params<'journal'>): Promise<Result<'journal'>> {
  const { entries, next, end } = keyd.journal.read(from, limit);
  return { certificates: entries.filter(isCertificate).map(tell), next, end };
}

const isCertificate = (entry: JournalEntry): entry is CertificateJournalEntry => entry.kind === 'certificate';

const tell = (entry: CertificateJournalEntry): Result<'journal'>['certificates'][number] => ({
  serial: entry.serial as Serial,
  issuer: entry.issuer,
  profile: entry.profile,
  subject: entry.subject,
  spkiSha256: entry.spkiSha256 as SpkiSha256,
  notBefore: new Date(entry.notBefore),
  notAfter: new Date(entry.notAfter),
  time: new Date(entry.time),
  requestId: entry.requestId,
  ticket: entry.ticket?.id,
});
