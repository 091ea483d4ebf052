import { z } from 'zod';

/** What bounds firmware signing in the front end: the member `signing` of config.json. */
export const SigningSettingsSchema = z.strictObject({
  /** How many requests of one submitter, a person or a CI system, may be drafts or wait at once. */
  openPerSubmitter: z.int().min(1).max(500).default(50),
  /** How long a file that no request names is kept after it was handed in or asked for, days. */
  unusedDays: z.int().min(1).max(3650).default(7),
});

export type SigningSettings = z.infer<typeof SigningSettingsSchema>;
