import { fromBase64, toBase64 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import type { RestClient } from '../client/rest.ts';
import type { OnlineRoles } from '../signing/tuf/index.ts';

/** A repository as the service tells of it. */
export interface KeydRepository {
  readonly repository: string;
  readonly keys: readonly { readonly id: string; readonly publicKey: string | null; readonly refused: string | null }[];
  readonly rooted: boolean;
  /** The newest root that keyd has taken; null for none. */
  readonly root: number | null;
}

/** The update repositories of the policy, with keyd's keys. */
export const keydRepositories = (client: RestClient): Promise<{ repositories: readonly KeydRepository[] }> =>
  client.get('/api/v1/tuf');

/** The online roles by keyd, through the service: it has keyd sign, and could do no other. @throws KeysteadError. */
export function keydRoles(client: RestClient, repository: string): OnlineRoles {
  return {
    async status({ roots, targets }) {
      const { repositories } = await keydRepositories(client);
      const known = repositories.find((one) => one.repository === repository);
      if (known === undefined) throw new KeysteadError('tuf.not-in-policy', { field: '--keyd', seen: repository });
      const answer = await client.post<{ snapshot: string; timestamp: string }>(`/api/v1/tuf/${repository}/status`, {
        roots: roots.slice(known.root ?? 0).map(toBase64),
        targets: toBase64(targets),
      });
      return { snapshot: fromBase64(answer.snapshot), timestamp: fromBase64(answer.timestamp) };
    },
  };
}
