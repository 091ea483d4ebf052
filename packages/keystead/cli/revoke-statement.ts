import { readFileSync } from 'node:fs';
import { type SpkiSha256, toHex } from '@keystead/core/bytes';
import { randomBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  isIssuerId,
  issuerKeyId,
  operatorOf,
  parsePolicy,
  permits,
  type RevocationStatement,
  type Role,
  type StatementSigner,
  signKeyOrder,
  signRevocationStatement,
} from '@keystead/core/lifecycle';
import type { RestClient } from '../client/rest.ts';
import { systemClock } from '../clock/system.ts';
import { Layout } from '../files/layout.ts';
import type { KeyEventView, KeyView } from '../inventory/index.ts';
import type { OperatorOptions } from './operator.ts';
import { requireTrue } from './revocation-check.ts';
import type { RevokeOptions } from './revoke-body.ts';
import type { Shown } from './revoke-text.ts';

/** Signs a request for what the service showed; of a release, only after looking at the certificates themselves. */
export function ask(census: Shown, options: RevokeOptions, signer: () => StatementSigner): Promise<string> {
  const { selector, act, reason, count, listSha256 } = census;
  if (act === 'release') requireTrue(census, new Layout(options.data));
  const order: RevocationStatement['order'] = {
    ...{ id: toHex(randomBytes(8)), act, selector, count, listSha256 },
    ...(reason === null ? {} : { reason }),
    ...(options.invalidityDate === undefined
      ? {}
      : { invalidityDate: wholeSecond(Date.parse(options.invalidityDate)) }),
  };
  const may = (role: Role): boolean => permits([role], 'revocation.propose');
  return sign({ act: 'propose', order, proposer: options.as }, options, signer, may);
}

/** Signs in the first role of the signer that may. @throws KeysteadError `revocation-request.signer-forbidden`. */
export function sign(
  draft: Pick<RevocationStatement, 'act' | 'order' | 'proposer'>,
  options: OperatorOptions & { for: number },
  signer: () => StatementSigner,
  may: (role: Role) => boolean,
): Promise<string> {
  const policy = parsePolicy(readFileSync(new Layout(options.data).policy));
  const roles = operatorOf(policy, options.as)?.roles ?? [];
  const role = roles.find(may);
  if (role === undefined) {
    const seen = `${options.as}, who is ${roles.join(', ') || 'nobody in the policy'}`;
    throw new KeysteadError('revocation-request.signer-forbidden', { field: 'role', seen });
  }
  const now = systemClock.now().getTime();
  const times = { signedAt: wholeSecond(now), expiresAt: wholeSecond(now + options.for * 1000) };
  return signRevocationStatement({ ...draft, role, ...times }, options.as, signer());
}

/** The key of a CA that is compromised is stopped before anything else: it would go on to issue. */
export async function stopCa(
  client: RestClient,
  { selector }: Shown,
  options: RevokeOptions,
  signer: () => StatementSigner,
): Promise<void> {
  // The key of a factory's CA is not keyd's: the factory is closed instead.
  if (selector.kind !== 'ca' || !isIssuerId(selector.ca)) return;
  const key = await client.get<KeyView & { history: KeyEventView[] }>(`/api/v1/keys/${issuerKeyId(selector.ca)}`);
  if (key.state === 'compromised' || key.spkiSha256 === null) return;
  const order = await signKeyOrder(
    {
      spkiSha256: key.spkiSha256 as SpkiSha256,
      change: 'compromise',
      after: key.history.filter(({ by }) => by.startsWith('operator:')).length,
      reason: `revocation of the ${selector.ca} CA`,
      at: systemClock.now(),
    },
    options.as,
    signer(),
  );
  await client.post('/api/v1/key-orders', { order });
}

const wholeSecond = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;
