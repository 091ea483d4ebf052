import { z } from 'zod';
import type { DerCertificate, DerCrl } from '../../bytes/index.ts';
import { fromBase64, fromPem, toBase64, toPem } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import type { CaRole } from '../../x509/index.ts';
import { firmwareKeyId } from '../firmware/policy.ts';
import { OFFLINE_CAS, ONLINE_CAS } from '../policy.ts';
import { firstIssue } from '../schema-field.ts';
import type { EarlierCertificate } from './generation.ts';
import { CEREMONY_KIND_NAMES, type CeremonyKind } from './kind.ts';
import { jsonOf } from './request.ts';

/** The version of the form that is written and read. */
const VERSION = 2;
/** A hundred times what a hierarchy needs. */
export const MAX_BUNDLE_BYTES = 1024 * 1024;
/** More rollovers than a hierarchy sees in two centuries. */
const MOST_ROLLOVERS = 16;
/** Four for each rollover, and as many renewals again three times over. */
const MOST_EARLIER = 256;

const pem = z.string().regex(/^-----BEGIN CERTIFICATE-----\n/, 'must be a PEM certificate');
const hash = z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in lower-case hex');

/**
 * What a ceremony hands to keyd: the whole hierarchy as it is after it, so that each bundle is understood by itself.
 * Its SHA-256 stands in the signed transcript.
 */
const BundleSchema = z.strictObject({
  version: z.literal(VERSION),
  ceremony: z.enum(CEREMONY_KIND_NAMES),
  /** 1 for the founding; each later ceremony of a hierarchy counts on by one. */
  number: z.int().min(1).max(9999),
  /** SHA-256 of the transcript of the ceremony before; none before the founding. */
  previousTranscriptSha256: hash.nullable(),
  /** True for what was only rehearsed, which nobody may take in earnest. */
  rehearsal: z.boolean(),
  policySha256: hash,
  /** SHA-256 of the request of keyd that this ceremony answers, where it answers one. */
  requestSha256: hash.nullable(),
  /** SHA-256 of the public key that signs keyd's later requests (its evidence key). */
  evidenceSpkiSha256: hash,
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
  /** Each change of a root's key, the oldest first. */
  rollovers: z
    .array(
      z.strictObject({
        role: z.enum(OFFLINE_CAS),
        /** The root of before: old with old, in the words of RFC 9810 section 4.4. */
        old: pem,
        newWithOld: pem,
        oldWithNew: pem,
        /** The last CRL of the old key. */
        crl: z.base64(),
      }),
    )
    .max(MOST_ROLLOVERS),
  /** Each certificate of an online CA that a later one replaced, the oldest first; left out where there is none. */
  earlier: z
    .array(z.strictObject({ role: z.enum(ONLINE_CAS), certificate: pem }))
    .min(1)
    .max(MOST_EARLIER)
    .optional(),
  /** The certificate of who signs the indirect CRL of the root; left out where there is none. */
  crlSigner: pem.optional(),
  /** The certificates of the keys that sign firmware of production; left out where there is none. */
  firmware: z
    .array(z.strictObject({ key: firmwareKeyId, certificate: pem }))
    .min(1)
    .max(256)
    .optional(),
});

/** A change of a root's key: the old anchor, and the certificates that lead from each key to the other. */
export interface RootRollover {
  readonly role: 'root' | 'signing-root';
  readonly old: DerCertificate;
  readonly newWithOld: DerCertificate;
  readonly oldWithNew: DerCertificate;
  readonly crl: DerCrl;
}

/** A bundle with its certificates and CRLs as DER. */
export interface CeremonyBundle {
  readonly ceremony: CeremonyKind;
  readonly number: number;
  readonly previousTranscriptSha256: string | null;
  readonly rehearsal: boolean;
  readonly policySha256: string;
  readonly requestSha256: string | null;
  readonly evidenceSpkiSha256: string;
  readonly certificates: Readonly<Record<CaRole, DerCertificate>>;
  readonly crls: Readonly<Record<'root' | 'signing-root', DerCrl>>;
  readonly rollovers: readonly RootRollover[];
  /** Each certificate of an online CA that a later one replaced, the oldest first. */
  readonly earlier: readonly EarlierCertificate[];
  /** Of who signs the indirect CRL of the root, where there is one. */
  readonly crlSigner?: DerCertificate;
  /** Of the keys that sign firmware of production, by the id of each in the policy. */
  readonly firmware?: readonly FirmwareSigner[];
}

/** A key that signs firmware, with what the signing root says of it. */
export interface FirmwareSigner {
  readonly key: string;
  readonly certificate: DerCertificate;
}

/** The bundle's file: JSON, UTF-8, in the one form that {@link parseBundle} takes. */
export function formatBundle(bundle: CeremonyBundle): string {
  const pemOf = (der: DerCertificate) => toPem('CERTIFICATE', der);
  const { certificates, crls } = bundle;
  const file: z.infer<typeof BundleSchema> = {
    version: VERSION,
    ceremony: bundle.ceremony,
    number: bundle.number,
    previousTranscriptSha256: bundle.previousTranscriptSha256,
    rehearsal: bundle.rehearsal,
    policySha256: bundle.policySha256,
    requestSha256: bundle.requestSha256,
    evidenceSpkiSha256: bundle.evidenceSpkiSha256,
    certificates: {
      root: pemOf(certificates.root),
      'signing-root': pemOf(certificates['signing-root']),
      manufacturing: pemOf(certificates.manufacturing),
      operational: pemOf(certificates.operational),
      server: pemOf(certificates.server),
      operator: pemOf(certificates.operator),
    },
    crls: { root: toBase64(crls.root), 'signing-root': toBase64(crls['signing-root']) },
    rollovers: bundle.rollovers.map(({ role, old, newWithOld, oldWithNew, crl }) => ({
      role,
      old: pemOf(old),
      newWithOld: pemOf(newWithOld),
      oldWithNew: pemOf(oldWithNew),
      crl: toBase64(crl),
    })),
    ...(bundle.earlier.length === 0
      ? {}
      : { earlier: bundle.earlier.map(({ role, certificate }) => ({ role, certificate: pemOf(certificate) })) }),
    ...(bundle.crlSigner === undefined ? {} : { crlSigner: pemOf(bundle.crlSigner) }),
    ...(bundle.firmware === undefined || bundle.firmware.length === 0
      ? {}
      : { firmware: bundle.firmware.map(({ key, certificate }) => ({ key, certificate: pemOf(certificate) })) }),
  };
  return `${JSON.stringify(file, null, 2)}\n`;
}

/**
 * Reads a bundle. No signature is verified: that is the import's work.
 * @throws KeysteadError `bundle.too-large`; `bundle.version` for a form of another version; `bundle.malformed` with the
 *   field; `bundle.not-canonical` when the bytes are not exactly those of {@link formatBundle}, as with a member that
 *   stands twice, of which another reader may take the other.
 */
export function parseBundle(bytes: Uint8Array): CeremonyBundle {
  if (bytes.length > MAX_BUNDLE_BYTES) {
    throw new KeysteadError('bundle.too-large', { field: 'bundle', seen: `${bytes.length} bytes` });
  }
  const value = jsonOf(bytes, 'bundle.malformed', 'bundle');
  requireVersion(value);
  const parsed = BundleSchema.safeParse(value);
  if (!parsed.success) {
    throw new KeysteadError('bundle.malformed', { ...firstIssue(parsed.error, 'bundle'), cause: parsed.error });
  }
  const bundle = bundleOf(parsed.data);
  if (formatBundle(bundle) !== new TextDecoder().decode(bytes)) {
    throw new KeysteadError('bundle.not-canonical', { field: 'bundle' });
  }
  return bundle;
}

function requireVersion(value: unknown): void {
  if (typeof value !== 'object' || value === null || !('version' in value) || value.version === VERSION) return;
  throw new KeysteadError('bundle.version', { field: 'version', seen: JSON.stringify(value.version)?.slice(0, 32) });
}

function bundleOf(file: z.infer<typeof BundleSchema>): CeremonyBundle {
  const { version: _version, certificates, crls, rollovers, earlier, crlSigner, firmware, ...facts } = file;
  const der = (role: CaRole) => certificateOf(certificates[role], `certificates.${role}`);
  return {
    ...facts,
    certificates: {
      root: der('root'),
      'signing-root': der('signing-root'),
      manufacturing: der('manufacturing'),
      operational: der('operational'),
      server: der('server'),
      operator: der('operator'),
    },
    crls: { root: fromBase64(crls.root) as DerCrl, 'signing-root': fromBase64(crls['signing-root']) as DerCrl },
    rollovers: rollovers.map(({ role, old, newWithOld, oldWithNew, crl }, index) => ({
      role,
      old: certificateOf(old, `rollovers[${index}].old`),
      newWithOld: certificateOf(newWithOld, `rollovers[${index}].newWithOld`),
      oldWithNew: certificateOf(oldWithNew, `rollovers[${index}].oldWithNew`),
      crl: fromBase64(crl) as DerCrl,
    })),
    earlier: (earlier ?? []).map(({ role, certificate }, index) => ({
      role,
      certificate: certificateOf(certificate, `earlier[${index}].certificate`),
    })),
    ...(crlSigner === undefined ? {} : { crlSigner: certificateOf(crlSigner, 'crlSigner') }),
    ...(firmware === undefined
      ? {}
      : {
          firmware: firmware.map(({ key, certificate }, index) => ({
            key,
            certificate: certificateOf(certificate, `firmware[${index}].certificate`),
          })),
        }),
  };
}

/**
 * The certificate of the root that vouches for a bundle's transcript: the root itself, and after a change of its key
 * the old one, since that is the one which those who read it know already.
 */
export function transcriptRoot({ ceremony, certificates, rollovers }: CeremonyBundle): DerCertificate {
  const last = rollovers.at(-1);
  return ceremony === 'rollover' && last?.role === 'root' ? last.old : certificates.root;
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
