import { type DerCertificate, type DerCsr, fromBase64, toBase64 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { type HeldTrust, heldTrust } from './held-trust.ts';
import { list, number, record, text } from './json-fields.ts';

/** The keys that a device can make for its own certificates. */
export const DEVICE_KEY_ALGORITHMS = ['P-256', 'P-384', 'Ed25519', 'ML-DSA-65', 'ML-DSA-87'] as const;
export type DeviceKeyAlgorithm = (typeof DEVICE_KEY_ALGORITHMS)[number];

/** A key with its certificate. `keyId` is the SHA-256 of its SubjectPublicKeyInfo, hex. */
export interface Credential {
  readonly keyId: string;
  readonly certificate: DerCertificate;
  /** Certificates from the issuer upwards, without the anchor. */
  readonly chain: readonly DerCertificate[];
  /** When the device received it, ISO 8601 UTC. */
  readonly receivedAt: string;
  /** The private key is not in this state: a TPM or secure element holds it and signs there. */
  readonly held?: true;
  /** It follows no other in time: the first one, or one after a recovery. See `renewalTime`. */
  readonly fresh?: true;
}

/** A key that waits for its certificate, or a credential that waits for its proof. */
export interface Pending {
  readonly keyId: string;
  readonly purpose: 'idevid' | 'ldevid';
  /** The request, kept so that a retry after a crash or a lost answer sends the same bytes. */
  readonly csr: DerCsr;
  readonly issued?: Omit<Credential, 'keyId' | 'held' | 'fresh'>;
  /** As in a credential. */
  readonly held?: true;
}

/** All that the device knows of itself; replaced as a whole, so that a change of several parts is one step. */
export interface Manifest {
  readonly deviceId: string;
  /** Trust anchors given when the state was made (in the factory or with the firmware); nothing later adds one. */
  readonly anchors: readonly DerCertificate[];
  /** CA certificates below the anchors, as the EST server last gave them. */
  readonly intermediates: readonly DerCertificate[];
  readonly idevid?: Credential;
  readonly current?: Credential;
  readonly previous?: Credential;
  readonly pending?: Pending;
  /** The trust bundle that the device goes by; undefined for a device that was made without a fleet. */
  readonly trust?: HeldTrust;
  /**
   * The number of this state among those that a hardware counter has counted; undefined where none counts. See
   * `RollbackGuard`.
   */
  readonly generation?: number;
}

/** An agent of before the trust bundle reads 1 alone: it must not write a state back without what it does not know. */
const PLAIN = 1;
const WITH_TRUST = 2;

/** UTF-8 JSON; byte strings are base64. */
export function encodeManifest(manifest: Manifest): Uint8Array {
  // Before JSON.stringify sees it: Buffer has a toJSON that would run before any replacer.
  const plain = (value: unknown): unknown => {
    if (value instanceof Uint8Array) return toBase64(value);
    if (Array.isArray(value)) return value.map(plain);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
  };
  const version = manifest.trust === undefined && manifest.generation === undefined ? PLAIN : WITH_TRUST;
  return Buffer.from(JSON.stringify({ version, ...Object(plain(manifest)) }));
}

/** @throws KeysteadError state.damaged for a version or form that this agent does not write. */
export function decodeManifest(bytes: Uint8Array): Manifest {
  try {
    const fields = record(JSON.parse(Buffer.from(bytes).toString('utf8')));
    if (fields.version !== PLAIN && fields.version !== WITH_TRUST)
      throw new TypeError(`version ${String(fields.version)}`);
    const { idevid, current, previous, pending, trust, generation } = fields;
    return {
      deviceId: text(fields.deviceId),
      anchors: certificates(fields.anchors),
      intermediates: certificates(fields.intermediates),
      ...(idevid === undefined ? {} : { idevid: credential(idevid) }),
      ...(current === undefined ? {} : { current: credential(current) }),
      ...(previous === undefined ? {} : { previous: credential(previous) }),
      ...(pending === undefined ? {} : { pending: pendingKey(pending) }),
      ...(trust === undefined ? {} : { trust: heldTrust(trust) }),
      ...(generation === undefined ? {} : { generation: number(generation) }),
    };
  } catch (cause) {
    throw new KeysteadError('state.damaged', { field: 'state', seen: 'a form that this agent does not know', cause });
  }
}

// The seal was checked: these bytes are what this agent wrote, and it wrote only checked certificates.
const certificate = (value: unknown): DerCertificate => fromBase64(text(value)) as DerCertificate;

const certificates = (value: unknown): DerCertificate[] => list(value).map(certificate);

function issuedPart(value: unknown): Omit<Credential, 'keyId' | 'held' | 'fresh'> {
  const fields = record(value);
  return {
    certificate: certificate(fields.certificate),
    chain: certificates(fields.chain),
    receivedAt: text(fields.receivedAt),
  };
}

const credential = (value: unknown): Credential => ({
  keyId: text(record(value).keyId),
  ...issuedPart(value),
  ...heldPart(value),
  ...(record(value).fresh === true ? { fresh: true } : {}),
});

const heldPart = (value: unknown): { held?: true } => (record(value).held === true ? { held: true } : {});

function pendingKey(value: unknown): Pending {
  const fields = record(value);
  return {
    keyId: text(fields.keyId),
    purpose: fields.purpose === 'idevid' ? 'idevid' : 'ldevid',
    csr: fromBase64(text(fields.csr)) as DerCsr,
    ...(fields.issued === undefined ? {} : { issued: issuedPart(fields.issued) }),
    ...heldPart(value),
  };
}
