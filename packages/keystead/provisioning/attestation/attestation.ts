import { type CertSha256, type SpkiSha256, sameBytes, toHex } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { constantTimeEqual, randomBytes, SecretBytes, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { parseCsr, verifyProofOfPossession } from '@keystead/core/x509';
import {
  type Credential,
  decodePublic,
  hasAttributes,
  isBoundToTpm,
  type KeyPublic,
  makeCredential,
  nameOf,
  requireAttestationKey,
  type SignedStatement,
  spkiOf,
  verifyCertify,
} from '@keystead/tpm2';
import { type EndorsementTrust, verifyEndorsement } from './endorsement.ts';

/** What a device shows: its TPM, the key that attests, the key that is to be certified, and the request for that. */
export interface AttestationOrder {
  readonly ekCertificate: Uint8Array;
  /** TPMT_PUBLIC each. */
  readonly ekPublic: Uint8Array;
  readonly akPublic: Uint8Array;
  readonly keyPublic: Uint8Array;
  /** PKCS#10, DER, signed in the TPM by the key. */
  readonly csr: Uint8Array;
}

/** What the device's TPM must open and sign. */
export interface AttestationChallenge {
  readonly id: string;
  readonly credential: Credential;
  readonly nonce: Uint8Array;
  /** ISO 8601, UTC. */
  readonly expiresAt: string;
}

/** How it is known where a device's private key is. */
export type KeyOrigin = 'tpm2-attested' | 'proof-of-possession';

/** A key that was shown to be in one TPM of a trusted maker and never to leave it. */
export interface AttestedKey {
  readonly origin: Extract<KeyOrigin, 'tpm2-attested'>;
  readonly spkiSha256: SpkiSha256;
  readonly ekCertificateSha256: CertSha256;
  /** Names in the TPM's own form, hex. */
  readonly attestationKeyName: string;
  readonly keyName: string;
}

interface Open {
  readonly expires: number;
  readonly secret: SecretBytes;
  readonly nonce: Uint8Array;
  readonly ak: KeyPublic;
  readonly key: KeyPublic;
  readonly attested: AttestedKey;
}

const LIFETIME_MS = 120_000;
/** As many devices as stand at all stations of a factory at once; a challenge is 1 kB. */
const MOST_OPEN = 4096;

/**
 * Shows that a device's key is in the TPM of an endorsement certificate (TPM 2.0 Part 1 section 24; TCG "TPM 2.0 Keys
 * for Device Identity and Attestation" section 6.2). A credential that only that TPM opens, and only while it holds the
 * attestation key, ties the two; a statement of that key (TPM2_Certify) ties the device's key to it. Challenges live in
 * memory, once, for two minutes. REQ-KEY-GEN-03
 */
export class Attestation {
  readonly #trust: EndorsementTrust;
  readonly #clock: Clock;
  readonly #mostOpen: number;
  readonly #open = new Map<string, Open>();

  constructor(trust: EndorsementTrust, clock: Clock, options: { readonly mostOpen?: number } = {}) {
    this.#trust = trust;
    this.#clock = clock;
    this.#mostOpen = options.mostOpen ?? MOST_OPEN;
  }

  /**
   * @throws KeysteadError `attestation.ek-refused`, `attestation.key-refused`, `csr.*`, `attestation.busy`.
   */
  challenge(order: AttestationOrder): AttestationChallenge {
    const now = this.#clock.now();
    this.#forget(now.getTime());
    if (this.#open.size >= this.#mostOpen)
      throw new KeysteadError('attestation.busy', { field: 'challenges', seen: String(this.#mostOpen) });
    const ek = verifyEndorsement(order.ekCertificate, order.ekPublic, this.#trust, now);
    const ak = keyOf(order.akPublic, 'attestation key');
    requireAttestationKey(ak);
    const key = keyOf(order.keyPublic, 'key');
    requireDeviceKey(key, order.csr);
    const secret = SecretBytes.random(32);
    const nonce = randomBytes(32);
    const id = toHex(randomBytes(16));
    const attested: AttestedKey = {
      origin: 'tpm2-attested',
      spkiSha256: spkiSha256(spkiOf(key)),
      ekCertificateSha256: ek.certificate.sha256,
      attestationKeyName: toHex(nameOf(ak)),
      keyName: toHex(nameOf(key)),
    };
    const credential = makeCredential(ek.area, nameOf(ak), secret);
    const expires = now.getTime() + LIFETIME_MS;
    this.#open.set(id, { expires, secret, nonce, ak, key, attested });
    return { id, credential, nonce, expiresAt: new Date(expires).toISOString() };
  }

  /**
   * The key that the answer attests. The challenge is used up by the first answer, right or wrong.
   * @param csr the request that the certificate is asked for with: its key must be the one of the challenge.
   * @throws KeysteadError `attestation.challenge-refused`, `attestation.statement-refused`.
   */
  verify(id: string, csr: Uint8Array, answer: { secret: Uint8Array; statement: SignedStatement }): AttestedKey {
    const open = this.#open.get(id);
    if (open === undefined) throw challengeRefused('id', 'unknown, or answered before');
    this.#open.delete(id);
    using secret = open.secret;
    if (this.#clock.now().getTime() >= open.expires) throw challengeRefused('id', 'expired');
    if (!sameBytes(parseCsr(csr).spki, spkiOf(open.key))) throw challengeRefused('csr', 'another key than was shown');
    if (!secret.use((bytes) => constantTimeEqual(bytes, answer.secret)))
      throw challengeRefused('secret', 'another one');
    verifyCertify(answer.statement, open.ak, open.nonce, open.key);
    return open.attested;
  }

  #forget(now: number): void {
    for (const [id, { expires, secret }] of this.#open) {
      if (now < expires) continue;
      secret.wipe();
      this.#open.delete(id);
    }
  }
}

const challengeRefused = (field: string, seen: string): KeysteadError =>
  new KeysteadError('attestation.challenge-refused', { field, seen });

function keyOf(bytes: Uint8Array, field: string): KeyPublic {
  try {
    const area = decodePublic(bytes);
    if (area.type !== 'sealed') return area;
  } catch (cause) {
    // What a device sent is its fault, not that of a TPM of ours.
    const seen = cause instanceof Error ? cause.message : 'an error';
    throw new KeysteadError('attestation.key-refused', { field, seen, cause });
  }
  throw new KeysteadError('attestation.key-refused', { field, seen: 'a sealed secret' });
}

/** The key was made in the TPM, cannot leave it, signs and does nothing else; and it signed the request. */
function requireDeviceKey(key: KeyPublic, csr: Uint8Array): void {
  if (!isBoundToTpm(key) || !hasAttributes(key, 'sign') || hasAttributes(key, 'decrypt')) {
    throw new KeysteadError('attestation.key-refused', {
      field: 'key',
      seen: `attributes 0x${key.attributes.toString(16)}`,
    });
  }
  const request = parseCsr(csr);
  verifyProofOfPossession(request);
  if (!sameBytes(request.spki, spkiOf(key))) {
    throw new KeysteadError('attestation.key-refused', { field: 'csr', seen: 'another key than the one shown' });
  }
}
