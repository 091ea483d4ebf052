import { tufRepositoryName } from '@keystead/core/lifecycle';
import { z } from 'zod';

/**
 * An update repository whose snapshot and timestamp serve renews by itself: a member of `tuf` in config.json. Off unless
 * it stands there.
 */
export const RenewedRepositorySchema = z.strictObject({
  /** As the policy names it. */
  repository: tufRepositoryName,
  /** The directory that a web server gives out. serve must be allowed to write into it. */
  directory: z.string().max(4096).regex(/^\//, 'must be a path from /'),
});

export type RenewedRepository = z.infer<typeof RenewedRepositorySchema>;

/** @throws ZodError where a repository or a directory stands twice: one would be published under the other's root. */
export const RenewedRepositoriesSchema = z
  .array(RenewedRepositorySchema)
  .max(64)
  .superRefine((all, context) => {
    for (const field of ['repository', 'directory'] as const) {
      const seen = new Set<string>();
      all.forEach((one, index) => {
        if (seen.has(one[field]))
          context.addIssue({ code: 'custom', path: [index, field], message: `${one[field]} twice` });
        seen.add(one[field]);
      });
    }
  });
