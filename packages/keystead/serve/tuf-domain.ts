import { toBase64, toPem } from '@keystead/core/bytes';
import type { Permission } from '@keystead/core/lifecycle';
import { actorOf, type OperatorClient } from '../access/index.ts';
import type { Caller } from '../protocols/rest/domain.ts';
import type { TufDomain } from '../protocols/rest/tuf.ts';
import type { Rooms } from './rooms.ts';

/** REST's view of update repositories: who may have keyd sign what is in force. */
export function tufDomain(
  { tuf }: Pick<Rooms, 'tuf'>,
  operator: (caller: Caller, permission: Permission, what: string) => Promise<OperatorClient>,
): TufDomain {
  return {
    async tufRepositories(caller) {
      await operator(caller, 'signing.read', 'look up update repositories');
      const { repositories } = await tuf.repositories();
      return {
        repositories: repositories.map(({ keys, until, ...one }) => ({
          ...one,
          keys: keys.map(({ spki, ...key }) => ({
            ...key,
            publicKey: spki === null ? null : toPem('PUBLIC KEY', spki),
          })),
          until: until?.toISOString() ?? null,
          renewal: tuf.renewal(one.repository) ?? null,
        })),
      };
    },
    async signTufStatus(caller, repository, body) {
      const client = await operator(caller, 'signing.request', 'sign the status of an update repository');
      const by = { actor: actorOf(client), requestId: caller.requestId };
      const { root, targets, snapshot, timestamp, until } = await tuf.sign(repository, body, by);
      return {
        ...{ root, targets, until: until.toISOString() },
        snapshot: toBase64(snapshot.bytes),
        timestamp: toBase64(timestamp.bytes),
      };
    },
  };
}
