import { toHex } from '@keystead/core/bytes';
import { certSha256, sha256, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  allGenerations,
  caProfile,
  generationsOf,
  OFFLINE_CAS,
  ONLINE_CAS,
  parseRenewal,
  type RenewalRequest,
  ROOT_CRL_PROFILE,
  renewalCsr,
} from '@keystead/core/lifecycle';
import {
  checkPublicKey,
  formatName,
  parseCsr,
  type RevocationReason,
  readCertificate,
  verifyProofOfPossession,
} from '@keystead/core/x509';
import { fingerprintRows } from '../files/fingerprint.ts';
import { signerAgainSteps } from './crl-signer.ts';
import { certifyOnlineCa, type Making } from './hierarchy.ts';
import { type CeremonyOfKind, holdCeremony } from './hold.ts';
import type { ProvenKey } from './inputs.ts';
import type { CeremonyResult, LaterOptions } from './options.ts';
import type { Plan } from './plan.ts';
import {
  Changing,
  livingRollovers,
  openStep,
  type Previous,
  previousStep,
  readPrevious,
  requireUnrevoked,
} from './previous.ts';
import { certificatesToRevoke, crlStep, type RevokedCertificate } from './revocation-lists.ts';
import type { RootKeys } from './root-keys.ts';
import { profileLines } from './script.ts';
import type { CeremonyIo } from './session.ts';

export interface IntermediateOptions extends LaterOptions {
  /** The bytes of keyd's later request. */
  readonly request: Uint8Array;
  /** Revokes the certificate that is replaced, for this reason. */
  readonly revokeOld?: RevocationReason;
}

interface IntermediateInputs {
  readonly previous: Previous;
  readonly request: RenewalRequest;
  readonly requestBytes: Uint8Array;
  readonly requestSha256: string;
  readonly key: ProvenKey;
  readonly revokeOld: RevocationReason | undefined;
}

/** Certifies a CA of keyd again, for the key that it has or for a successor. @throws KeysteadError as every ceremony */
export async function holdIntermediate(options: IntermediateOptions, io: CeremonyIo): Promise<CeremonyResult> {
  return holdCeremony(options, () => intermediate(options), io);
}

/** @throws KeysteadError `ceremony.request-*`, `csr.*`, `key.*`, and those of {@link readPrevious}. */
export function intermediate(options: IntermediateOptions): CeremonyOfKind {
  const inputs = readInputs(options);
  return { policy: inputs.previous.policy, plan: (making, keys) => planOf(inputs, making, keys) };
}

function readInputs(options: IntermediateOptions): IntermediateInputs {
  const previous = readPrevious(options);
  const { certificates, evidenceSpkiSha256 } = previous.bundle;
  const request = parseRenewal(options.request, evidenceSpkiSha256);
  if (request.key === 'same') requireUnrevoked(previous, [request.ca]);
  const stale = (field: string, seen: string) => new KeysteadError('ceremony.request-stale', { field, seen });
  if (request.rootSha256 !== certSha256(certificates.root)) throw stale('rootSha256', request.rootSha256);
  if (request.transcriptSha256 !== previous.transcriptSha256) {
    throw stale('transcriptSha256', request.transcriptSha256);
  }
  return {
    previous,
    request,
    requestBytes: options.request,
    requestSha256: toHex(sha256(options.request)),
    key: provenKey(request, previous),
    revokeOld: options.revokeOld,
  };
}

/** The key of the request, strong enough, possessed by who asks, and the one that the request says it is. */
function provenKey(request: RenewalRequest, { policy, bundle }: Previous): ProvenKey {
  const field = 'certificateRequest';
  const csr = parseCsr(renewalCsr(request));
  const name = formatName(csr.subject);
  if (name !== `CN=ca-${request.ca}`) throw new KeysteadError('csr.subject-mismatch', { field, seen: name });
  const profile = caProfile(policy, request.ca);
  const forbidden = csr.requested.names.find((extension) => !profile.csrExtensions.includes(extension));
  if (forbidden !== undefined) throw new KeysteadError('csr.extension-forbidden', { field, seen: forbidden });
  checkPublicKey(csr.spki, profile.keyAlgorithms);
  verifyProofOfPossession(csr);
  const sha = spkiSha256(csr.spki);
  const signs = bundle.crlSigner !== undefined && readCertificate(bundle.crlSigner).spkiSha256 === sha;
  const owner =
    (signs ? ROOT_CRL_PROFILE : undefined) ??
    [...OFFLINE_CAS, ...ONLINE_CAS].find((role) => readCertificate(bundle.certificates[role]).spkiSha256 === sha) ??
    // A key that was given up never comes back.
    allGenerations(bundle).find((one) => one.spkiSha256 === sha)?.issuer ??
    bundle.rollovers.find(({ old }) => readCertificate(old).spkiSha256 === sha)?.role;
  const wanted = request.key === 'same' ? request.ca : undefined;
  if (owner !== wanted) {
    const seen = owner === undefined ? 'a key of no CA yet' : `the key of '${owner}'`;
    throw new KeysteadError(owner === undefined ? 'csr.subject-mismatch' : 'key.already-used', { field, seen });
  }
  return { spki: csr.spki, spkiSha256: sha };
}

function planOf(inputs: IntermediateInputs, making: Making, keys: RootKeys | undefined): Plan {
  const { previous, request, requestBytes, requestSha256, key, revokeOld } = inputs;
  const changing = new Changing(previous, { ceremony: 'intermediate', requestSha256 }, making);
  const old = readCertificate(previous.bundle.certificates[request.ca]);
  const which = request.key === 'same' ? 'the key that it has' : 'a new key';
  const revoked = revokedBy(inputs, making);
  // Whoever has the key of a CA could show any of its certificates, also one that an old root made.
  const living = making.rehearsal ? [] : livingRollovers(changing.bundle, ['root'], making);
  const olds = living.filter((index) => revoked.some((one) => one.old === index));
  return {
    kind: 'intermediate',
    number: changing.bundle.number,
    policy: previous.policy,
    policyBytes: previous.policyBytes,
    begin: { policySha256: previous.policySha256, requestSha256, previousTranscriptSha256: previous.transcriptSha256 },
    steps: [
      previousStep(
        previous,
        [
          `keyd asks for a certificate of the ${request.ca} CA, for ${which}. SHA-256 of the request's file, to be`,
          'compared with what keyd showed when it made it:',
          fingerprintRows(requestSha256, '  '),
        ],
        { requestSha256, ca: request.ca, key: request.key },
      ),
      openStep(['root'], changing, making, keys, olds),
      ...signerAgainSteps(previous, changing, making),
      {
        title: `Certificate of the ${request.ca} CA`,
        critical: true,
        what: [
          'Signed by the root CA for the key with this SHA-256:',
          fingerprintRows(key.spkiSha256, '  '),
          ...profileLines(making.policy, request.ca),
        ],
        async act(session) {
          const certificate = await certifyOnlineCa(
            request.ca,
            changing.root('root'),
            key.spki,
            making,
            changing.bundle.crlSigner,
          );
          changing.replace(request.ca, certificate);
          session.certified('certificate', request.ca, certificate, { replaces: certSha256(old.der) });
        },
      },
      ...(revokeOld === undefined ? [] : [crlStep(['root'], revoked, changing, making, olds)]),
    ],
    certifier: () => changing.root('root'),
    files: new Map([['request.json', requestBytes]]),
    bundle: () => changing.bundle,
  };
}

/**
 * What is revoked with a new certificate: of a key that stays the one that is replaced, of a key that is given up all
 * that it has.
 */
function revokedBy({ previous, request, revokeOld }: IntermediateInputs, { clock }: Making): RevokedCertificate[] {
  if (revokeOld === undefined) return [];
  const { bundle } = previous;
  const generation = generationsOf(bundle, request.ca).find(({ current }) => current);
  if (generation === undefined) return [];
  const all = certificatesToRevoke(bundle, generation, revokeOld, clock.now());
  if (request.key === 'successor') return all;
  const { serial } = readCertificate(bundle.certificates[request.ca]);
  return all.filter((one) => one.serial === serial);
}
