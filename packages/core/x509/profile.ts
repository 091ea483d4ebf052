import { z } from 'zod';
import { type KeyAlgorithm, POST_QUANTUM_ALGORITHMS } from '../crypto/index.ts';
import { EXTENDED_KEY_USAGES, type ExtendedKeyUsageName, KEY_USAGES } from './oids.ts';

/**
 * What a CA is for. Two trees: `root` over the online CAs, `signing-root` over firmware alone, so that a device's
 * boot chain trusts nothing that ever stands on a network.
 */
export const CA_ROLES = ['root', 'signing-root', 'manufacturing', 'operational', 'server', 'operator'] as const;
export type CaRole = (typeof CA_ROLES)[number];

const KEY_ALGORITHMS = [
  'P-256',
  'P-384',
  'Ed25519',
  'RSA-2048',
  'RSA-3072',
  'RSA-4096',
  ...POST_QUANTUM_ALGORITHMS,
] as const satisfies readonly KeyAlgorithm[];

const extendedKeyUsage = z.enum(Object.keys(EXTENDED_KEY_USAGES) as [ExtendedKeyUsageName, ...ExtendedKeyUsageName[]]);

/** RFC 5280 appendix A.1: ub-organization-name and ub-common-name are 64 characters. */
const directoryText = z.string().min(1).max(64);

/** The names of what a constrained CA issues (RFC 5280 section 4.2.1.10). */
const PermittedNamesSchema = z.strictObject({
  /** Every subject begins with this O and this OU. */
  organization: directoryText,
  organizationalUnit: directoryText,
  /**
   * Whether it may name hosts; if not, every DNS name and every address is excluded. A list: these names with what lies
   * below them, these addresses, and no others.
   */
  hosts: z.union([z.boolean(), z.array(z.string().min(1).max(64)).min(1).max(16)]),
});
export type PermittedNames = z.infer<typeof PermittedNamesSchema>;

/**
 * One kind of certificate, as data: what it holds, how long it lives, for which keys, and who may ask for it.
 * keyd enforces it; nothing that a request says can add to it.
 */
export const ProfileSchema = z
  .strictObject({
    id: z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/, 'must be 1 to 64 of a-z 0-9 -'),
    description: z.string().min(1),
    /** The CA that issues it; `self` for a self-signed anchor. */
    issuer: z.enum(['self', ...CA_ROLES]),
    subject: z.strictObject({
      /** From what the common name is made; the requester never chooses it. */
      commonName: z.union([z.enum(['device-id', 'host', 'person']), z.strictObject({ fixed: directoryText })]),
      organization: directoryText.optional(),
      /** The factory, below its sub-CA: keyd sets it, a policy cannot (lifecycle/factory/profiles.ts). */
      organizationalUnit: directoryText.optional(),
      /** IEEE 802.1AR section 8.6: an IDevID's subject carries the device's serial number. */
      serialNumber: z.literal('device-id').optional(),
    }),
    san: z.enum(['none', 'device-urn', 'host', 'person-urn']),
    /** Whether a host may be a wildcard (`*.plant.example`). Without it none is given. */
    wildcards: z.boolean().optional(),
    keyUsage: z.array(z.enum(KEY_USAGES)).min(1),
    extKeyUsage: z.array(extendedKeyUsage),
    ca: z.union([
      z.literal(false),
      z.strictObject({
        pathLength: z.int().min(0).max(16).nullable(),
        /** What the CA may name at all; headquarters sets it for the sub-CAs of a factory, a policy cannot. */
        permitted: PermittedNamesSchema.optional(),
      }),
    ]),
    /** id-pkix-ocsp-nocheck (RFC 6960 section 4.2.2.2.1): a responder lives too briefly to be revoked. */
    ocspNoCheck: z.boolean(),
    validity: z.strictObject({
      /** From the moment of issue to notAfter; `none` is 99991231235959Z (RFC 5280 section 4.1.2.5). */
      seconds: z.union([z.int().min(1), z.literal('none')]),
      /** How far notBefore lies before the moment of issue, for devices whose clocks are behind. */
      backdateSeconds: z.int().min(0).max(86_400),
    }),
    /** RSA-2048 is in the type since it is read; the policy refuses it, for nothing below 128 bits is issued. */
    keyAlgorithms: z.array(z.enum(KEY_ALGORITHMS)).min(1),
    /** Extensions that a request may carry, by name or dotted OID; their values must equal what the profile gives. */
    csrExtensions: z.array(z.string().regex(/^(?:[a-zA-Z]+|[0-2](?:\.\d+)+)$/, 'must be a name or a dotted OID')),
    /** Kinds of requester that may ask: device, operator, station, system. */
    requesters: z.array(z.string().min(1)),
  })
  .superRefine((profile, context) => {
    const broken = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message });
    const usage = new Set<string>(profile.keyUsage);
    const extended = new Set<string>(profile.extKeyUsage);
    const isCa = profile.ca !== false;
    if (isCa !== usage.has('keyCertSign'))
      broken('keyUsage', 'keyCertSign stands in CA profiles and only there (RFC 5280 section 4.2.1.9)');
    if (!isCa && usage.has('cRLSign')) {
      // The one who signs the root's indirect CRL (docs/decisions/0028) is certified for that and nothing else.
      if (profile.issuer !== 'root') broken('keyUsage', 'only a CA, or who signs for the root, signs CRLs here');
      if (usage.size > 1 || extended.size > 0) broken('keyUsage', 'who signs CRLs for the root does nothing else');
      if (typeof profile.subject.commonName === 'string') broken('subject', 'who signs CRLs for the root has one name');
      if (profile.requesters.length > 0) broken('requesters', 'who signs CRLs for the root is certified in ceremonies');
      if (profile.validity.seconds === 'none') broken('validity', 'who signs CRLs for the root does so for a time');
    }
    if (usage.size !== profile.keyUsage.length) broken('keyUsage', 'a usage is named twice');
    if (extended.size !== profile.extKeyUsage.length) broken('extKeyUsage', 'a usage is named twice');
    if ((usage.has('encipherOnly') || usage.has('decipherOnly')) && !usage.has('keyAgreement'))
      broken('keyUsage', 'encipherOnly and decipherOnly mean nothing without keyAgreement (RFC 5280 section 4.2.1.3)');
    if (usage.has('keyEncipherment') && profile.keyAlgorithms.some((algorithm) => !algorithm.startsWith('RSA')))
      broken('keyUsage', 'keyEncipherment is for RSA keys only (RFC 8813 section 3)');
    if (profile.ocspNoCheck && !extended.has('OCSPSigning'))
      broken('ocspNoCheck', 'only an OCSP responder is exempt from revocation checks (RFC 6960 section 4.2.2.2.1)');
    if (extended.has('OCSPSigning') && extended.size > 1)
      broken('extKeyUsage', 'an OCSP responder key has no other purpose');
    if (extended.has('timeStamping') && extended.size > 1)
      broken('extKeyUsage', 'the key of a TSA has no other purpose (RFC 3161 section 2.3)');
    if (profile.issuer === 'self' && !isCa) broken('issuer', 'only a CA signs itself');
    if (isCa && profile.san !== 'none') broken('san', 'a CA has no alternative name');
    if (profile.subject.serialNumber !== undefined && profile.subject.commonName !== 'device-id')
      broken('subject', 'only the subject of a device carries its serial number');
    const wanted = { 'device-id': 'device-urn', host: 'host', person: 'person-urn' } as const;
    if (typeof profile.subject.commonName === 'string' && profile.san !== wanted[profile.subject.commonName])
      broken('san', `a subject named after its ${profile.subject.commonName} has the same name in subjectAltName`);
    if (profile.wildcards === true && profile.san !== 'host') broken('wildcards', 'only a host may be a wildcard');
    if (typeof profile.subject.commonName !== 'string' && profile.san !== 'none')
      broken('san', 'a fixed subject has no alternative name');
    if (profile.validity.seconds === 'none' && extended.has('serverAuth'))
      broken('validity', 'a server certificate ends');
  });

export type Profile = z.infer<typeof ProfileSchema>;
