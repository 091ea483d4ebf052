import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { type DerCertificate, fromPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { z } from 'zod';

/** The configuration file, JSON. Paths are taken from the file's own directory. */
const ConfigSchema = z.strictObject({
  /** The address to listen on, and the port; 0 takes a free one. */
  listen: z.strictObject({ host: z.string(), port: z.number().int().min(0).max(65535) }),
  /** The loopback port of the status page, plain HTTP; 0 takes a free one; without it there is none. */
  statusPort: z.number().int().min(0).max(65535).optional(),
  /** PEM: the backend's certificate, then those between it and the root. */
  certificate: z.string(),
  /** PEM: the trust anchors. */
  anchors: z.string(),
  /** PEM: the CA whose certificates are taken for devices, and no other: the operational CA. */
  deviceIssuer: z.string(),
  /** Overrides the OCSP URL that stands in the devices' certificates. */
  ocspUrl: z.url({ protocol: /^http$/ }).optional(),
  /** How long an OCSP answer may be used again, milliseconds. The promise is refusal within a second. */
  ocspCacheMs: z.number().int().min(0).max(500).default(500),
  /** Where the TLS key comes from: JSON `{"pkcs8": "<base64 DER>"}` on file descriptor 3 or on standard input. */
  keyFrom: z.enum(['fd3', 'stdin']).default('fd3'),
});

export interface BackendConfig {
  readonly host: string;
  readonly port: number;
  readonly statusPort?: number;
  /** Leaf first. */
  readonly certificates: readonly DerCertificate[];
  readonly anchors: readonly DerCertificate[];
  readonly deviceIssuers: readonly DerCertificate[];
  readonly ocspUrl?: string;
  /** Milliseconds. */
  readonly ocspCacheMs: number;
  readonly keyFrom: 'fd3' | 'stdin';
}

/** Reads the file and the certificates that it names. @throws KeysteadError backend.config-invalid. */
export function readConfig(path: string): BackendConfig {
  const fail = (field: string, cause: unknown): never => {
    const seen = cause instanceof Error ? cause.message : String(cause);
    throw new KeysteadError('backend.config-invalid', { field, seen, cause });
  };
  const parsed = ((): z.infer<typeof ConfigSchema> => {
    try {
      return ConfigSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
    } catch (cause) {
      return fail(path, cause instanceof z.ZodError ? z.prettifyError(cause) : cause);
    }
  })();
  const certificates = (field: 'certificate' | 'anchors' | 'deviceIssuer'): DerCertificate[] => {
    try {
      const found = fromPem('CERTIFICATE', readFileSync(resolve(dirname(path), parsed[field]), 'utf8'));
      if (found.length === 0) throw new TypeError('no certificate in the file');
      return found.map((der) => der as DerCertificate);
    } catch (cause) {
      return fail(field, cause);
    }
  };
  return {
    host: parsed.listen.host,
    port: parsed.listen.port,
    statusPort: parsed.statusPort,
    certificates: certificates('certificate'),
    anchors: certificates('anchors'),
    deviceIssuers: certificates('deviceIssuer'),
    ocspUrl: parsed.ocspUrl,
    ocspCacheMs: parsed.ocspCacheMs,
    keyFrom: parsed.keyFrom,
  };
}
