import { KeysteadError } from '@keystead/core/errors';
import { type FactoryHello, requestName, signHello as sign } from '@keystead/core/lifecycle';
import type { KeydContext } from '../context.ts';
import type { Result } from '../protocol.ts';

/**
 * Signs who this node is, what it works by and what time it is: with that the front end asks headquarters for what waits.
 * It is no order and proves nothing else. REQ-KEY-PROV-01
 * @throws KeysteadError `factory.not-a-node` at headquarters; `key.use-forbidden`, `key.cryptoperiod-ended`,
 *   `clock.went-back`.
 */
export async function signHello(keyd: KeydContext): Promise<Result<'signHello'>> {
  const { node } = keyd.hierarchy;
  if (node === undefined) throw new KeysteadError('factory.not-a-node', { field: 'hello' });
  const now = keyd.now();
  keyd.ledger.require(requestName('evidence'), 'protect', now);
  const crls = Object.fromEntries(node.crls.list().map(({ ca, number }) => [ca, number])) as FactoryHello['crls'];
  const { name: factory, number: commission } = node;
  const draft = { factory, at: now.toISOString(), commission, policyVersion: keyd.policy.version, crls };
  return { document: await sign(draft, keyd.evidence) };
}
