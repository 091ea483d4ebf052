import { z } from 'zod';

/** Where the keys of an issuer are: fetched over HTTPS, or from this machine. */
const url = z.url().refine((text) => {
  const { protocol, hostname } = new URL(text);
  const loopback = ['localhost', '127.0.0.1', '[::1]'].includes(hostname);
  return protocol === 'https:' || (protocol === 'http:' && loopback);
}, 'must be https:, or http: of this machine');
const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'must be 1 to 64 letters, digits, . _ -');

/**
 * An OpenID Connect issuer whose tokens let a CI system submit firmware, and nothing else: the members `workloads` of
 * config.json. A token must have every claim of a grant, as a string that is equal.
 */
export const WorkloadIssuerSchema = z
  .strictObject({
    /** The claim `iss`, exactly. */
    issuer: z.url(),
    /** The claim `aud` must hold it. */
    audience: z.string().min(1).max(256),
    /** A file with a JWK Set (RFC 7517); its path from the data directory. */
    jwksFile: z.string().min(1).max(4096).optional(),
    jwksUrl: url.optional(),
    grants: z
      .array(
        z.strictObject({
          /** At least one: an audience alone is everybody at a public issuer. */
          claims: z
            .record(z.string().min(1).max(64), z.string().min(1).max(512))
            .refine((claims) => Object.keys(claims).length > 0, 'must name a claim'),
          products: z.array(name).min(1).max(64),
        }),
      )
      .min(1)
      .max(256),
  })
  .refine(({ jwksFile, jwksUrl }) => (jwksFile === undefined) !== (jwksUrl === undefined), {
    message: 'name one of jwksFile and jwksUrl',
    path: ['jwksFile'],
  });
export type WorkloadIssuer = z.output<typeof WorkloadIssuerSchema>;
