import { z } from 'zod';
import type { DerCertificate, DerCrl } from '../../bytes/index.ts';
import { fromBase64, fromPem, toBase64, toPem } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import type { CaRole } from '../../x509/index.ts';
import { firstIssue } from '../schema-field.ts';
import { jsonOf } from './request.ts';

const pem = z.string().regex(/^-----BEGIN CERTIFICATE-----\n/, 'must be a PEM certificate');
const hash = z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in lower-case hex');

/** What a ceremony hands to keyd. Its SHA-256 stands in the signed transcript. */
const BundleSchema = z.strictObject({
  version: z.literal(1),
  policySha256: hash,
  requestSha256: hash,
  certificates: z.strictObject({
    root: pem,
    'signing-root': pem,
    manufacturing: pem,
    operational: pem,
    server: pem,
    operator: pem,
  }),
  /** CRLs of the offline CAs, DER in base64. */
  crls: z.strictObject({ root: z.base64(), 'signing-root': z.base64() }),
});

/** A bundle with its certificates and CRLs as DER. */
export interface CeremonyBundle {
  readonly policySha256: string;
  readonly requestSha256: string;
  readonly certificates: Readonly<Record<CaRole, DerCertificate>>;
  readonly crls: Readonly<Record<'root' | 'signing-root', DerCrl>>;
}

/** The bundle's file: JSON, UTF-8. */
export function formatBundle(bundle: CeremonyBundle): string {
  const certificates = Object.fromEntries(
    Object.entries(bundle.certificates).map(([role, der]) => [role, toPem('CERTIFICATE', der)]),
  );
  const crls = { root: toBase64(bundle.crls.root), 'signing-root': toBase64(bundle.crls['signing-root']) };
  const { policySha256, requestSha256 } = bundle;
  return `${JSON.stringify({ version: 1, policySha256, requestSha256, certificates, crls }, null, 2)}\n`;
}

/**
 * Reads a bundle. Nothing is verified: that is the import's work.
 * @throws KeysteadError `bundle.malformed` with the field.
 */
export function parseBundle(bytes: Uint8Array): CeremonyBundle {
  const parsed = BundleSchema.safeParse(jsonOf(bytes, 'bundle.malformed', 'bundle'));
  if (!parsed.success) {
    throw new KeysteadError('bundle.malformed', { ...firstIssue(parsed.error, 'bundle'), cause: parsed.error });
  }
  const { policySha256, requestSha256, certificates, crls } = parsed.data;
  const der = (role: CaRole) => certificateOf(certificates[role], `certificates.${role}`);
  return {
    policySha256,
    requestSha256,
    certificates: {
      root: der('root'),
      'signing-root': der('signing-root'),
      manufacturing: der('manufacturing'),
      operational: der('operational'),
      server: der('server'),
      operator: der('operator'),
    },
    crls: { root: fromBase64(crls.root) as DerCrl, 'signing-root': fromBase64(crls['signing-root']) as DerCrl },
  };
}

/** The one certificate of a PEM text. @throws KeysteadError `bundle.malformed` when there is none, or several. */
export function certificateOf(text: string, field: string): DerCertificate {
  let blocks: Uint8Array[];
  try {
    blocks = fromPem('CERTIFICATE', text);
  } catch (cause) {
    throw new KeysteadError('bundle.malformed', { field, cause });
  }
  const [der, ...more] = blocks;
  if (der === undefined || more.length > 0) {
    throw new KeysteadError('bundle.malformed', { field, seen: `${blocks.length} certificates` });
  }
  return der as DerCertificate;
}
