import { type DerSpki, fromBase64, sameBytes } from '../../bytes/index.ts';
import {
  decodeAssertion,
  type KeyAlgorithm,
  parseSshPublicKey,
  readSshSigBlob,
  sha256,
  verifySignature,
  verifySshSig,
  verifyWebauthnAssertion,
} from '../../crypto/index.ts';
import { type ErrorCode, KeysteadError } from '../../errors/index.ts';
import { checkPublicKey, signatureAlgorithmFor } from '../../x509/index.ts';
import { type KeyHolder, keyName, keysOf, spkiOfSigner } from './keys.ts';
import type { Proof } from './proof.ts';
import type { OperatorSigner } from './schema.ts';

/** The namespace of SSH signatures of statements (OpenSSH PROTOCOL.sshsig): one for git or for files is none of these. */
export const SSH_NAMESPACE = 'keystead-approval';

/** The key by which a statement was signed. */
export interface ProvenKey {
  /** In one spelling: two names with one key are one signer, and so are one key's two kinds of signature. */
  readonly key: string;
  /** Whether the policy, and the signature, say that its private half is in hardware. */
  readonly hardware: boolean;
}

/** What an authenticator is asked to sign for a statement: SHA-256 of the bytes that any other key would sign. */
export const webauthnChallenge = (data: Uint8Array): Uint8Array => sha256(data);

/**
 * The key of `operator` that signed `data`. Everything that decides is in the policy: which keys, at which origins,
 * whether the person had to be verified. REQ-KEY-SOD-02
 * @param allowed the algorithms of the policy.
 * @returns undefined for a signature that is by none of the operator's keys of that kind.
 * @throws KeysteadError `webauthn.*`, `ssh.*`, `approval.ssh-refused` for what is refused of such a signature, `key.*` for a key that is unfit.
 */
export function provenKey(
  operator: KeyHolder,
  allowed: readonly KeyAlgorithm[],
  data: Uint8Array,
  proof: Proof,
): ProvenKey | undefined {
  const signers = operator.signers ?? [];
  const signed = (spki: DerSpki): boolean => {
    const algorithm = signatureAlgorithmFor(checkPublicKey(spki, allowed));
    return verifySignature(algorithm, spki, data, proof.signature);
  };
  const named = (spki: DerSpki, hardware = true): ProvenKey => {
    const key = keyName(spki);
    return { key, hardware: hardware && keysOf(operator).get(key) === true };
  };
  switch (proof.by) {
    case undefined: {
      const spki = fromBase64(operator.spki) as DerSpki;
      return signed(spki) ? named(spki) : undefined;
    }
    case 'pkcs11': {
      // On the token may be the key of their certificate as well; whether it counts as held there, the policy says.
      const spki = [...ofKind(signers, 'pkcs11').map(spkiOfSigner), fromBase64(operator.spki) as DerSpki].find(signed);
      return spki === undefined ? undefined : named(spki);
    }
    case 'ssh':
      return bySsh(ofKind(signers, 'ssh'), allowed, data, proof.signature, named);
    case 'webauthn':
      return byWebauthn(ofKind(signers, 'webauthn'), allowed, data, proof.signature, named);
  }
}

function bySsh(
  signers: readonly SignerOf<'ssh'>[],
  allowed: readonly KeyAlgorithm[],
  data: Uint8Array,
  blob: Uint8Array,
  named: (spki: DerSpki) => ProvenKey,
): ProvenKey | undefined {
  const sig = readSshSigBlob(blob);
  for (const { key: line, verify } of signers) {
    const key = parseSshPublicKey(line);
    if (!sameBytes(key.blob, sig.key.blob)) continue;
    checkPublicKey(key.spki, allowed);
    const verdict = verifySshSig(sig, SSH_NAMESPACE, data);
    if (verdict.verdict === 'invalid') throw sshRefused(verdict.why);
    if (verify === true && verdict.securityKey?.userVerified !== true) {
      throw sshRefused('the security key did not verify who touched it');
    }
    return named(key.spki);
  }
  return undefined;
}

const sshRefused = (seen: string): KeysteadError =>
  new KeysteadError('approval.ssh-refused', { field: 'SSH signature', seen });

function byWebauthn(
  signers: readonly SignerOf<'webauthn'>[],
  allowed: readonly KeyAlgorithm[],
  data: Uint8Array,
  bytes: Uint8Array,
  named: (spki: DerSpki, hardware: boolean) => ProvenKey,
): ProvenKey | undefined {
  const assertion = decodeAssertion(bytes);
  for (const signer of signers) {
    const credentialId = Buffer.from(signer.credentialId, 'base64url');
    if (!sameBytes(credentialId, assertion.credentialId)) continue;
    const spki = spkiOfSigner(signer);
    checkPublicKey(spki, allowed);
    const { rpId, origins, verify } = signer;
    const publicKey = Buffer.from(signer.publicKey, 'base64url');
    const credential = { credentialId, publicKey, rpId, origins, userVerification: verify === true };
    const { backupEligible } = verifyWebauthnAssertion(credential, webauthnChallenge(data), assertion);
    // A passkey that goes from device to device is held by an account in somebody's cloud, not by a piece of hardware.
    return named(spki, !backupEligible);
  }
  return undefined;
}

type SignerOf<Kind extends OperatorSigner['kind']> = Extract<OperatorSigner, { kind: Kind }>;

const ofKind = <Kind extends OperatorSigner['kind']>(
  signers: readonly OperatorSigner[],
  kind: Kind,
): SignerOf<Kind>[] => signers.filter((signer): signer is SignerOf<Kind> => signer.kind === kind);

/**
 * As {@link provenKey}, with one code for every refusal: which it was stands in `seen`, and it is the cause.
 * @throws KeysteadError `otherwise.code`; `key.*` for a key that is unfit.
 */
export function requireProof(
  operator: KeyHolder,
  allowed: readonly KeyAlgorithm[],
  data: Uint8Array,
  proof: Proof,
  otherwise: { readonly code: ErrorCode; readonly field: string },
): ProvenKey {
  const { code, field } = otherwise;
  let proven: ProvenKey | undefined;
  try {
    proven = provenKey(operator, allowed, data, proof);
  } catch (cause) {
    if (!(cause instanceof KeysteadError) || cause.code.startsWith('key.')) throw cause;
    throw new KeysteadError(code, { field, seen: `${cause.code}: ${cause.seen ?? ''}`, remedy: cause.remedy, cause });
  }
  if (proven !== undefined) return proven;
  throw new KeysteadError(code, { field, seen: `not one of ${operator.name}` });
}

/** @throws KeysteadError `approval.hardware-required` for a key that the policy does not take to be in hardware. */
export function requireHardware({ hardware }: ProvenKey, signer: string, field: string): void {
  if (hardware) return;
  throw new KeysteadError('approval.hardware-required', { field, seen: `a key of ${signer} that may be copied` });
}
