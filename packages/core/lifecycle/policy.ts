import { z } from 'zod';
import { fromBase64 } from '../bytes/index.ts';
import { POST_QUANTUM_ALGORITHMS } from '../crypto/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { type CaRole, type Profile, ProfileSchema, type StatusUrls } from '../x509/index.ts';
import { AttestationPolicySchema } from './attestation-policy.ts';
import { BackupPolicySchema } from './backup/custodians.ts';
import { crlListName, MOST_SHARDS, type Shard } from './crl-lists.ts';
import { FactoryPolicySchema } from './factory/policy.ts';
import { FirmwarePolicySchema } from './firmware/policy.ts';
import { TufPolicySchema } from './firmware/tuf.ts';
import { FleetKeyPolicySchema } from './fleet-key-policy.ts';
import { type IssuerId, OFFLINE_CAS, type RootId } from './issuer.ts';
import type { KeyPurposeId } from './key-purposes.ts';
import { type Cryptoperiod, type CustodyRule, KeyingShape, seconds } from './keying.ts';
import { RevocationAuthoritySchema, RevocationsAloneSchema } from './revocation-authority.ts';
import { ROLES } from './roles.ts';
import { OperatorSignersSchema } from './signers/schema.ts';
import { StationsPolicySchema } from './station/rules.ts';
import { TrustPolicySchema } from './trust/policy.ts';
import { UnitKeysSchema } from './unit-keys-policy.ts';

export { OFFLINE_CAS, ONLINE_CAS, type OnlineCa } from './issuer.ts';

const base64 = z.string().refine((text) => {
  try {
    return fromBase64(text).length > 0;
  } catch {
    return false;
  }
}, 'must be base64');

/** Name of an operator: it becomes part of a URN and of a file name, so it has few characters. */
export const OPERATOR_NAME = /^[a-z0-9][a-z0-9.-]{0,63}$/;

const OperatorSchema = z.strictObject({
  name: z.string().regex(OPERATOR_NAME, 'must be 1 to 64 of a-z 0-9 . - and begin with a letter or digit'),
  roles: z.array(z.enum(ROLES)).min(1),
  /** SubjectPublicKeyInfo, base64 DER: keyd gives this operator a certificate for this key and no other. */
  spki: base64,
  /** Other keys by which they sign statements: a security key, a passkey, a smart card. */
  signers: OperatorSignersSchema.optional(),
});

const profileId = z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/, 'must be the id of a profile');

const urlTemplate = z
  .string()
  .regex(/^http:\/\/[^\s{}]+\{ca\}[^\s{}]*$/, 'must be an http: URL that holds {ca} once, for the role of the CA');

/**
 * The policy: what may be issued, for how long, and by whom. It is data that the ceremony approves (its
 * SHA-256 stands in the signed transcript) and that keyd enforces. All times are seconds.
 */
export const PolicySchema = z.strictObject({
  /** Goes up by one with each policy; keyd never goes back. */
  version: z.int().min(1),
  name: z.string().min(1).max(128),
  issued: z.iso.datetime({ offset: false }),
  /** Key algorithms that may be certified at all. A profile can only narrow this. */
  algorithms: z
    .array(z.enum(['P-256', 'P-384', 'Ed25519', 'RSA-2048', 'RSA-3072', 'RSA-4096', ...POST_QUANTUM_ALGORITHMS]))
    .min(1),
  profiles: z.array(ProfileSchema).min(1),
  operators: z.array(OperatorSchema),
  tickets: z.strictObject({
    /** The most units that one batch ticket may allow. */
    maxQuota: z.int().min(1).max(10_000_000),
    /** The longest time between a ticket's notBefore and notAfter. */
    maxSeconds: seconds,
  }),
  revocation: z.strictObject({
    /** How long a CRL of an online CA is good for. */
    crlSeconds: seconds,
    /** How often it is made again; it is also made at once when something is revoked. */
    crlRefreshSeconds: seconds,
    /** How long the CRLs of the offline roots are good for: until the next ceremony at the latest. */
    rootCrlSeconds: seconds,
    /** How long an OCSP answer is good for. */
    ocspSeconds: seconds,
    /** How long keyd uses one delegated OCSP responder key. */
    ocspResponderSeconds: seconds,
    /** What is promised from the moment that a theft or a compromise is reported. */
    promises: z.strictObject({
      /** Until the OCSP responder says so. */
      ocspSeconds: seconds,
      /** Until the CRL that says so is published. */
      crlSeconds: seconds,
      /** Until every backend refuses: it may go by an earlier OCSP answer until that ends. */
      backendSeconds: seconds,
    }),
    /** How the CRLs of the online CAs are cut; without it each CA has one full CRL. */
    lists: z
      .strictObject({
        /**
         * In how many partitions a CA lists what it issues from now on, besides its full CRL. What was issued before
         * keeps the partition that stands in it.
         */
        shards: z.int().min(1).max(MOST_SHARDS),
        /** Delta CRLs; without it there are none. */
        delta: z
          .strictObject({
            /** How long a delta CRL is good for. */
            seconds,
            /** How often it is made again when nothing is revoked. */
            refreshSeconds: seconds,
          })
          .optional(),
      })
      .optional(),
    /** How many people a revocation takes; without it, what revocation-rules.ts says. */
    authority: RevocationAuthoritySchema.optional(),
    /** What keyd lists without statements of people; without it, what revocation-rules.ts says. */
    alone: RevocationsAloneSchema.optional(),
  }),
  ...KeyingShape,
  /** The most that one enrolment authorisation may allow; without it, what authorisation.ts says. */
  authorisations: z.strictObject({ maxUses: z.int().min(1), maxSeconds: seconds }).optional(),
  /**
   * What proves to keyd that a device asks. `tls`: that it showed its certificate to the front end, which says so.
   * `message`: that it signed this very request, in a CMP message which keyd verifies itself. Without it, `tls`.
   * Enrolment authorisations, which operators sign for named devices, are beside it.
   */
  deviceProof: z.enum(['tls', 'message']).optional(),
  /** The change of a root's key; without it an old root stays an anchor until its certificate ends. */
  roots: z
    .strictObject({
      /** How long after the change of a root's key the old one is still an anchor (RFC 9810 section 4.4). */
      transitionSeconds: seconds,
    })
    .optional(),
  /** Who keeps the shares of backups; without it none can be made. */
  backup: BackupPolicySchema.optional(),
  /** What EST does beyond the usual; without it, nothing. */
  est: z
    .strictObject({
      /** Profiles by which keyd may make a key for a device and give it out wrapped (RFC 7030 section 4.4). */
      serverKeys: z.array(profileId).max(64).optional(),
      /** Profiles whose requests must be bound to their TLS connection (RFC 7030 section 3.5). */
      channelBinding: z.array(profileId).max(64).optional(),
    })
    .optional(),
  /** Stations at lines; without it nobody has to come by one. */
  stations: StationsPolicySchema.optional(),
  /** Whose TPMs are believed; without it no unit can be attested. */
  attestation: AttestationPolicySchema.optional(),
  /** Keys of units that are not made on the device; without it there are none. */
  unitKeys: UnitKeysSchema.optional(),
  /** Factory nodes; without it there can be none. */
  factory: FactoryPolicySchema.optional(),
  /** What firmware is signed; without it, none. */
  firmware: FirmwarePolicySchema.optional(),
  /** Update repositories (TUF) whose online roles keyd signs; without it, none. */
  tuf: TufPolicySchema.optional(),
  /** Trust bundles and revocation filters for devices; without it, none. */
  trust: TrustPolicySchema.optional(),
  /** Broken RSA keys of the fleet; without it, what fleet-key-policy.ts says. */
  fleetKeys: FleetKeyPolicySchema.optional(),
  /** Where relying parties find status; `{ca}` becomes the CA's role. These stand in certificates. */
  urls: z.strictObject({ crl: urlTemplate, ocsp: urlTemplate, caIssuers: urlTemplate }).partial().optional(),
});

export type Policy = z.infer<typeof PolicySchema>;
export type PolicyOperator = Policy['operators'][number];

/** The profile of the signer of CMP's answers. A policy of before CMP has none: CMP is off then. */
export const CMP_RA_PROFILE = 'cmp-ra';

/** The id of the profile by which the certificate of the CA itself is made. */
export const caProfileId = (role: CaRole): string => `${role}-ca`;

/** The profile with `id`. @throws KeysteadError `profile.unknown`. */
export function profileOf(policy: Policy, id: string): Profile {
  const profile = policy.profiles.find((candidate) => candidate.id === id);
  if (profile === undefined) throw new KeysteadError('profile.unknown', { field: 'profile', seen: id });
  return profile;
}

/** The profile of a CA's own certificate. @throws KeysteadError `profile.unknown`. */
export const caProfile = (policy: Policy, role: CaRole): Profile => profileOf(policy, caProfileId(role));

/**
 * The profile of the delegated OCSP responder of one CA. The policy holds one such profile; a responder is
 * always issued by the very CA that it answers for (RFC 6960 section 4.2.2.2).
 */
export const ocspResponderProfile = (policy: Policy, role: CaRole): Profile => ({
  ...profileOf(policy, 'ocsp-responder'),
  issuer: role,
});

/** How long keys of this purpose are used. @throws KeysteadError `policy.purpose-missing`. */
export const cryptoperiodOf = (policy: Policy, purpose: KeyPurposeId): Cryptoperiod =>
  entryOf(policy.cryptoperiods, purpose, 'cryptoperiods');

/** Where keys of this purpose may live, and who answers for them. @throws KeysteadError `policy.purpose-missing`. */
export const custodyOf = (policy: Policy, purpose: KeyPurposeId): CustodyRule =>
  entryOf(policy.custody, purpose, 'custody');

function entryOf<T extends { purpose: KeyPurposeId }>(entries: readonly T[], purpose: KeyPurposeId, field: string): T {
  const entry = entries.find((candidate) => candidate.purpose === purpose);
  if (entry === undefined) throw new KeysteadError('policy.purpose-missing', { field, seen: `no '${purpose}'` });
  return entry;
}

/** The operator with this name, or undefined. */
export const operatorOf = (policy: Policy, name: string): PolicyOperator | undefined =>
  policy.operators.find((operator) => operator.name === name);

/**
 * The addresses that a certificate issued by `issuer` carries, where its CRLs are in partitions those of `shard`: each
 * key of a CA and of a root has its own. The roots are offline and answer no OCSP, so what they issue carries the
 * address of a full CRL only.
 */
export function statusUrls(policy: Policy, issuer: IssuerId | RootId, shard?: Shard): StatusUrls {
  const fill = (template: string | undefined) => template?.replace('{ca}', issuer);
  const offline = OFFLINE_CAS.some((role) => issuer === role || issuer.startsWith(`${role}.`));
  return {
    ...(offline ? { crl: fill(policy.urls?.crl) } : crlUrls(policy, issuer, shard)),
    ocsp: offline ? undefined : fill(policy.urls?.ocsp),
    caIssuers: fill(policy.urls?.caIssuers),
  };
}

/** Where a CRL of an online CA stands, full or of one partition, and the delta CRL that goes with it. */
export function crlUrls(policy: Policy, issuer: string, shard?: Shard): Pick<StatusUrls, 'crl' | 'freshest'> {
  const at = (delta: boolean) => policy.urls?.crl?.replace('{ca}', crlListName({ issuer, shard, delta }));
  return { crl: at(false), freshest: policy.revocation.lists?.delta === undefined ? undefined : at(true) };
}
