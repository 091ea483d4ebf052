import { KeysteadError } from '@keystead/core/errors';
import type { ListedIssuer } from '@keystead/core/lifecycle';
import type { AppendAudit } from '../access/index.ts';
import type { Reader, Tx } from '../store/index.ts';

/** Where the records have how many revocations of which issuer keyd left out of its last lists, a JSON object. */
const WITHHELD = 'crl-withheld';

/**
 * How many revocations that stand in the records keyd left out of the last CRLs, by issuer, since they take statements of
 * people (`revocation.alone` of the policy). An issuer of which everything is listed is not there.
 */
export function withheldOf(records: Pick<Reader, 'meta'>): ReadonlyMap<ListedIssuer, number> {
  const text = records.meta(WITHHELD);
  return new Map(text === undefined ? [] : (Object.entries(JSON.parse(text)) as [ListedIssuer, number][]));
}

/**
 * Takes down what keyd left out of the lists that were just made, in the caller's transaction. More of it than before is an
 * entry of the audit log: whoever revoked was told that it stands in the records. REQ-KEY-REV-01, REQ-KEY-SOD-02
 */
export function recordWithheld(
  tx: Tx,
  audit: AppendAudit,
  { issuer, number, withheld }: { readonly issuer: ListedIssuer; readonly number: number; readonly withheld: number },
): void {
  const all = new Map(withheldOf(tx));
  const before = all.get(issuer) ?? 0;
  if (withheld === before) return;
  if (withheld === 0) all.delete(issuer);
  else all.set(issuer, withheld);
  tx.setMeta(WITHHELD, JSON.stringify(Object.fromEntries(all)));
  if (withheld < before) return;
  audit(tx, {
    type: 'crl.withheld',
    actor: { kind: 'system', id: 'authority' },
    requestId: `crl-${issuer}-${number}`,
    outcome: 'done',
    subject: { issuer, number },
    detail: { withheld, before },
  });
}

/** @throws KeysteadError `crl.withheld` where the CRL of one of these issuers leaves something out. */
export function requireNoneWithheld(records: Pick<Reader, 'meta'>, issuers: readonly ListedIssuer[]): void {
  const withheld = [...withheldOf(records)].filter(([issuer]) => issuers.includes(issuer));
  if (withheld.length === 0) return;
  const seen = withheld.map(([issuer, count]) => `${count} of ${issuer}`).join(', ');
  throw new KeysteadError('crl.withheld', { field: 'revocation.alone', seen });
}
