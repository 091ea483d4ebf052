import type { Serial } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import {
  type AgreedRevocation,
  type ListedCertificate,
  parseRevocationStatement,
  requireAgreed,
  revocationListSha256,
  revocationOrderSha256,
  verifyRevocationStatements,
} from '@keystead/core/lifecycle';
import type { KeydContext } from '../context.ts';
import type { Params, Result } from '../protocol.ts';
import type { ReleaseJournalEntry } from '../revocation-entries.ts';

type Released = Params<'releaseHold'>['certificates'][number];

/**
 * Takes certificates off their hold: the one way back to good, and so the one that a front end cannot go by itself.
 * keyd verifies each operator's signature, that there are as many as the policy asks for, and that they are about these
 * very certificates and the hold that they are on. The same order again has the answer of the first time and no further effect. REQ-KEY-REV-01,
 * REQ-KEY-SOD-02
 * @throws KeysteadError `revocation-request.*`, `revocation.not-on-hold`, `clock.went-back`, `keyd.journal-failed`;
 *   nothing is released then.
 */
export async function releaseHold(keyd: KeydContext, params: Params<'releaseHold'>): Promise<Result<'releaseHold'>> {
  const now = keyd.now();
  const { statements, certificates, requestId } = params;
  const before = keyd.state.holds.order(
    revocationOrderSha256(parseRevocationStatement(statements[0] ?? '').content.order),
  );
  if (before !== undefined) return tell(before);
  const agreed = verifyRevocationStatements(statements, keyd.policy, now);
  requireAgreed(agreed);
  requireList(agreed, certificates);
  for (const { issuer, serial } of certificates) {
    if (!keyd.state.holds.isHeld(issuer, serial))
      throw new KeysteadError('revocation.not-on-hold', { field: 'certificates', seen: `${issuer} ${serial}` });
    requireThisHold(keyd, statements, { issuer, serial });
  }
  const entry = {
    time: now.toISOString(),
    kind: 'release' as const,
    order: agreed.order.id,
    orderSha256: agreed.orderSha256,
    by: agreed.proposer,
    approvers: [...agreed.approvers],
    released: certificates.map(({ issuer, serial }): ReleaseJournalEntry['released'][number] => [issuer, serial]),
    requestId,
  };
  // Not before it is durable: what is called good again must still be so after a power cut.
  await keyd.journal.append(entry);
  keyd.state.holds.release({ n: 1, ...entry });
  return tell({ n: 1, ...entry });
}

/**
 * An order binds certificates, which may be on hold more than once: what was signed before the last release meant an
 * earlier hold. The times of statements are whole seconds.
 */
function requireThisHold(keyd: KeydContext, statements: readonly string[], { issuer, serial }: Released): void {
  const releasedAt = keyd.state.holds.released(issuer).get(serial)?.releasedAt ?? 0;
  const signedAt = statements.map((text) => Date.parse(parseRevocationStatement(text).content.signedAt));
  if (Math.min(...signedAt) >= Math.floor(releasedAt / 1000) * 1000) return;
  throw new KeysteadError('revocation-request.list-differs', {
    field: 'certificates',
    seen: `${issuer} ${serial} came off the hold that was meant at ${new Date(releasedAt).toISOString()}`,
  });
}

function requireList({ order }: AgreedRevocation, certificates: readonly ListedCertificate[]): void {
  const { act, selector, count, listSha256 } = order;
  if (act !== 'release') throw new KeysteadError('revocation-request.malformed', { field: 'order.act', seen: act });
  const [one, ...more] = certificates;
  const named =
    selector.kind !== 'certificate' ||
    (more.length === 0 && one?.issuer === selector.issuer && one.serial === selector.serial);
  if (named && count === certificates.length && listSha256 === revocationListSha256(certificates)) return;
  throw new KeysteadError('revocation-request.list-differs', {
    field: 'certificates',
    seen: `${certificates.length}, where the order is for ${count}`,
  });
}

const tell = ({ time, order, by, approvers, released }: ReleaseJournalEntry): Result<'releaseHold'> => ({
  order,
  released: released.map(([issuer, serial]) => ({ issuer, serial: serial as Serial })),
  at: new Date(time),
  by,
  approvers,
});
