import { KeysteadError } from '@keystead/core/errors';
import type { Permission } from '@keystead/core/lifecycle';
import { actorOf, type OperatorClient } from '../access/index.ts';
import type { AskedBy } from '../authority/index.ts';
import type { Caller } from '../protocols/rest/domain.ts';
import type { TlsKeyDomain } from '../protocols/rest/tls-key.ts';
import type { Rooms } from './rooms.ts';

/** REST's view of serve's own TLS keys. Each refusal is audited. */
export function tlsKeyDomain(
  { tls, refusals }: Pick<Rooms, 'tls' | 'refusals'>,
  operator: (caller: Caller, permission: Permission, what: string) => Promise<OperatorClient>,
): TlsKeyDomain {
  async function managed<T>(caller: Caller, what: string, act: (by: AskedBy) => Promise<T>): Promise<T> {
    const actor = actorOf(await operator(caller, 'rotation.manage', what));
    const { requestId } = caller;
    try {
      return await act({ actor, requestId });
    } catch (error) {
      if (error instanceof KeysteadError && error.kind !== 'unavailable')
        await refusals.refused({ what, error, actor, requestId });
      throw error;
    }
  }

  return {
    async tlsKey(caller) {
      await operator(caller, 'key.read', 'show TLS keys');
      return tls.view();
    },
    prepareTlsKey: (caller, use, replace) =>
      managed(caller, 'prepare a TLS key', (by) => tls.prepare(use, replace, by)),
    useTlsKey: (caller, key) => managed(caller, 'use a TLS key', (by) => tls.use(key, by)),
  };
}
