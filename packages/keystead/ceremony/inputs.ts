import type { DerCsr, DerSpki, SpkiSha256 } from '@keystead/core/bytes';
import { toHex } from '@keystead/core/bytes';
import { sha256, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type CeremonyRequest,
  caProfile,
  type FirmwareKey,
  firmwareCsrs,
  firmwareKeystoreId,
  firmwareProfile,
  type OptionalSlot,
  type Policy,
  parseCeremonyRequest,
  parsePolicy,
  profileOf,
  REQUEST_SLOTS,
  type RequestSlot,
  ROOT_CRL_KEY,
  ROOT_CRL_PROFILE,
  requestedCsr,
  requestName,
  rootCrlProfile,
} from '@keystead/core/lifecycle';
import { checkPublicKey, formatName, type Profile, parseCsr, verifyProofOfPossession } from '@keystead/core/x509';

/** A key whose possession the request has proven. */
export interface ProvenKey {
  readonly spki: DerSpki;
  readonly spkiSha256: SpkiSha256;
}

/** The two files that a ceremony starts from, checked. */
export interface CeremonyInputs {
  readonly policy: Policy;
  readonly policyBytes: Uint8Array;
  /** SHA-256 of the policy's file, hex. */
  readonly policySha256: string;
  readonly request: CeremonyRequest;
  readonly requestBytes: Uint8Array;
  readonly requestSha256: string;
  readonly keys: Readonly<Record<RequestSlot, ProvenKey>>;
  /** For the signer of the indirect CRL of the root: where keyd asks for it, and the policy has its profile. */
  readonly crlSigner: ProvenKey | undefined;
  /** For keys that sign firmware of production: those that keyd asks for and the policy names. */
  readonly firmware: readonly FirmwareRequest[];
}

/** A key for firmware whose possession the request has proven. */
export interface FirmwareRequest {
  readonly key: FirmwareKey;
  readonly proven: ProvenKey;
}

/**
 * Reads and checks the policy and the request: every rule of the policy, and for each certification request
 * its form, its name, the strength of its key and the proof of possession.
 * @throws KeysteadError `policy.*`, `ceremony.request-malformed`, `csr.*`, `key.*`, each with the field.
 */
export function readInputs(policyBytes: Uint8Array, requestBytes: Uint8Array): CeremonyInputs {
  const policy = parsePolicy(policyBytes);
  const request = parseCeremonyRequest(requestBytes);
  const keys = Object.fromEntries(REQUEST_SLOTS.map((slot) => [slot, provenKey(policy, request, slot)]));
  const asked = request.certificateRequests[ROOT_CRL_KEY] !== undefined && rootCrlProfile(policy) !== undefined;
  const crlSigner = asked ? provenKey(policy, request, ROOT_CRL_KEY) : undefined;
  const firmware = firmwareRequests(policy, firmwareCsrs(request));
  requireDifferent({
    ...keys,
    ...(crlSigner === undefined ? {} : { [ROOT_CRL_KEY]: crlSigner }),
    ...Object.fromEntries(firmware.map(({ key, proven }) => [firmwareKeystoreId(key.id), proven])),
  });
  return {
    policy,
    policyBytes,
    policySha256: toHex(sha256(policyBytes)),
    request,
    requestBytes,
    requestSha256: toHex(sha256(requestBytes)),
    keys: keys as Record<RequestSlot, ProvenKey>,
    crlSigner,
    firmware,
  };
}

function provenKey(policy: Policy, request: CeremonyRequest, slot: RequestSlot | OptionalSlot): ProvenKey {
  const asked = () => requestedCsr(request, slot);
  return proven(`certificateRequests.${slot}`, requestName(slot), profileOfSlot(policy, slot), asked);
}

/**
 * The keys for firmware that keyd asks for, each proven to be possessed.
 * @throws KeysteadError `ceremony.firmware-key` for a key that the policy has not so; `csr.*`, `key.*`.
 */
export function firmwareRequests(policy: Policy, asked: ReturnType<typeof firmwareCsrs>): FirmwareRequest[] {
  return asked.map(({ key: id, name, csr }, index) => {
    const field = `firmware[${index}]`;
    const key = policy.firmware?.keys.find((one) => one.id === id);
    const profile = firmwareProfile(policy);
    if (profile === undefined || key?.environment !== 'production')
      throw new KeysteadError('ceremony.firmware-key', { field, seen: `${id}, no production key of the policy` });
    return { key, proven: proven(field, name, { ...profile, keyAlgorithms: [key.algorithm] }, () => csr) };
  });
}

function proven(
  field: string,
  wanted: string,
  profile: Pick<Profile, 'csrExtensions' | 'keyAlgorithms'>,
  asked: () => DerCsr,
): ProvenKey {
  try {
    const csr = parseCsr(asked());
    const name = formatName(csr.subject);
    // The name ties the request to its place: else two CAs' requests could be swapped unseen.
    if (name !== `CN=${wanted}`) throw new KeysteadError('csr.subject-mismatch', { seen: name });
    const forbidden = csr.requested.names.find((extension) => !profile.csrExtensions.includes(extension));
    if (forbidden !== undefined) throw new KeysteadError('csr.extension-forbidden', { seen: forbidden });
    checkPublicKey(csr.spki, profile.keyAlgorithms);
    verifyProofOfPossession(csr);
    return { spki: csr.spki, spkiSha256: spkiSha256(csr.spki) };
  } catch (error) {
    if (!(error instanceof KeysteadError)) throw error;
    const within = error.field === undefined || error.field.startsWith(field) ? field : `${field}: ${error.field}`;
    throw new KeysteadError(error.code, { field: within, seen: error.seen, remedy: error.remedy, cause: error });
  }
}

function profileOfSlot(policy: Policy, slot: RequestSlot | OptionalSlot): Profile {
  if (slot === ROOT_CRL_KEY) return profileOf(policy, ROOT_CRL_PROFILE);
  return slot === 'evidence' ? profileOf(policy, 'evidence-signer') : caProfile(policy, slot);
}

function requireDifferent(keys: Record<string, ProvenKey>): void {
  const owners = new Map<string, string>();
  for (const [slot, key] of Object.entries(keys)) {
    const other = owners.get(key.spkiSha256);
    if (other !== undefined) {
      throw new KeysteadError('key.already-used', {
        field: `certificateRequests.${slot}`,
        seen: `the key of '${other}'`,
      });
    }
    owners.set(key.spkiSha256, slot);
  }
}
