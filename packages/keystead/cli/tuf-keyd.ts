import { fromBase64, toBase64 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { firmwareKeyId, tufRepositoryName } from '@keystead/core/lifecycle';
import { z } from 'zod';
import type { RestClient } from '../client/rest.ts';
import type { OnlineRoles } from '../signing/tuf/index.ts';

/** Repositories as the service tells of them. Ids become names of files here: they are names, whoever answers. */
const Repositories = z.looseObject({
  repositories: z.array(
    z.looseObject({
      repository: tufRepositoryName,
      keys: z.array(
        z.looseObject({ id: firmwareKeyId, publicKey: z.string().nullable(), refused: z.string().nullable() }),
      ),
      rooted: z.boolean(),
      /** The newest root that keyd has taken; null for none. */
      root: z.int().min(1).nullable(),
      /** Where the service renews it by itself. */
      renewal: z
        .looseObject({ until: z.string().nullable(), late: z.boolean(), fault: z.string().nullable() })
        .nullish(),
    }),
  ),
});
export type KnownRepository = z.output<typeof Repositories>['repositories'][number];
const PATH = '/api/v1/tuf';

/** The update repositories of the policy, with keyd's keys. @throws KeysteadError `service.bad-answer`. */
export async function keydRepositories(client: Pick<RestClient, 'get'>): Promise<z.output<typeof Repositories>> {
  const read = Repositories.safeParse(await client.get(PATH));
  if (read.success) return read.data;
  throw new KeysteadError('service.bad-answer', { field: PATH, seen: z.prettifyError(read.error).slice(0, 200) });
}

/** The online roles by keyd, through the service: it has keyd sign, and could do no other. @throws KeysteadError. */
export function keydRoles(client: RestClient, repository: string): OnlineRoles {
  return {
    async status({ roots, targets }) {
      const { repositories } = await keydRepositories(client);
      const known = repositories.find((one) => one.repository === repository);
      if (known === undefined) throw new KeysteadError('tuf.not-in-policy', { field: '--keyd', seen: repository });
      const answer = await client.post<{ snapshot: string; timestamp: string }>(`${PATH}/${repository}/status`, {
        roots: roots.slice(known.root ?? 0).map(toBase64),
        targets: toBase64(targets),
      });
      return { snapshot: fromBase64(answer.snapshot), timestamp: fromBase64(answer.timestamp) };
    },
  };
}
