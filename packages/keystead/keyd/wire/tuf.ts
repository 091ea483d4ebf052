import { MOST_SUBJECT_BYTES } from '@keystead/core/firmware';
import { firmwareKeyId, tufRepositoryName } from '@keystead/core/lifecycle';
import { z } from 'zod';
import { bytes, requestId, time } from '../wire-types.ts';

/** As many roots are taken at once: one a year for longer than any device lives, and as many as clients go through at once. */
export const MOST_TUF_ROOTS = 256;
/** Octets of all of them together: with targets as large as they may be they go into one frame. */
export const MOST_TUF_ROOT_BYTES = 1536 * 1024;

const version = z.int().min(1);
const file = z.strictObject({ version, bytes: bytes(MOST_SUBJECT_BYTES) });

/**
 * Snapshot and timestamp of an update repository. Of the caller come metadata that people signed, and keyd judges them;
 * versions, times, hashes and which targets are in force are keyd's own.
 */
export const SignTufStatus = {
  params: z.strictObject({
    repository: tufRepositoryName,
    /** Those that keyd may not have, as they are published, one version after the other. */
    roots: z
      .array(bytes())
      .max(MOST_TUF_ROOTS)
      .refine(
        (roots) => roots.reduce((sum, { length }) => sum + length, 0) <= MOST_TUF_ROOT_BYTES,
        `must be ${MOST_TUF_ROOT_BYTES} octets together at the most`,
      ),
    /** The targets that shall be in force, as they are published. */
    targets: bytes(MOST_SUBJECT_BYTES),
    requestId,
  }),
  result: z.strictObject({
    /** The version of the root in force. */
    root: version,
    targets: version,
    /** As they are to be published. */
    snapshot: file,
    timestamp: file,
    /** When clients refuse the timestamp. */
    until: time,
  }),
};

/** The update repositories of the policy, as keyd knows them. */
export const TufRepositoriesOperation = {
  params: z.strictObject({}),
  result: z.strictObject({
    repositories: z.array(
      z.strictObject({
        repository: tufRepositoryName,
        keys: z.array(
          z.strictObject({
            id: firmwareKeyId,
            /** SubjectPublicKeyInfo, DER, for the root; null before the start of keyd that makes it. */
            spki: bytes().nullable(),
            /** Why it signs nothing; null where it may. */
            refused: z.string().nullable(),
          }),
        ),
        /** Whether the policy names the first root. */
        rooted: z.boolean(),
        root: version.nullable(),
        targets: version.nullable(),
        snapshot: version.nullable(),
        timestamp: version.nullable(),
        until: time.nullable(),
      }),
    ),
  }),
};
