import { toHex } from '@keystead/core/bytes';
import { certSha256, sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  FIRMWARE_PROFILE,
  type FirmwareCertificateRequest,
  type FirmwareSigner,
  firmwareCsrs,
  firmwareKeystoreId,
  firmwareProfileOf,
  OFFLINE_CAS,
  ONLINE_CAS,
  parseFirmwareRequest,
  profileOf,
} from '@keystead/core/lifecycle';
import { readCertificate, readCrl } from '@keystead/core/x509';
import { fingerprintRows } from '../files/fingerprint.ts';
import { signerAgainSteps } from './crl-signer.ts';
import { certifyFirmwareSigner, type Making } from './hierarchy.ts';
import { type CeremonyOfKind, holdCeremony } from './hold.ts';
import { type FirmwareRequest, firmwareRequests } from './inputs.ts';
import type { CeremonyResult, LaterOptions } from './options.ts';
import type { Plan } from './plan.ts';
import { Changing, openStep, type Previous, previousStep, readPrevious } from './previous.ts';
import type { RootKeys } from './root-keys.ts';
import { describeProfile } from './script.ts';
import type { CeremonyIo, Step } from './session.ts';

export interface FirmwareCeremonyOptions extends LaterOptions {
  /** The bytes of keyd's request. */
  readonly request: Uint8Array;
}

interface FirmwareInputs {
  readonly previous: Previous;
  readonly request: FirmwareCertificateRequest;
  readonly requestBytes: Uint8Array;
  readonly requestSha256: string;
  readonly asked: readonly FirmwareRequest[];
}

/**
 * Certifies keys of keyd that sign firmware of production, by the signing root: keys that a policy has named since the
 * founding, and again those whose certificate ends. REQ-KEY-SOD-01, REQ-KEY-ROT-02
 * @throws KeysteadError as every ceremony.
 */
export async function holdFirmware(options: FirmwareCeremonyOptions, io: CeremonyIo): Promise<CeremonyResult> {
  return holdCeremony(options, () => firmwareCertificates(options), io);
}

/** @throws KeysteadError `ceremony.request-*`, `ceremony.firmware-key`, `csr.*`, `key.*`, and those of {@link readPrevious}. */
export function firmwareCertificates(options: FirmwareCeremonyOptions): CeremonyOfKind {
  const inputs = readInputs(options);
  return { policy: inputs.previous.policy, plan: (making, keys) => planOf(inputs, making, keys) };
}

function readInputs(options: FirmwareCeremonyOptions): FirmwareInputs {
  const previous = readPrevious(options);
  const { certificates, evidenceSpkiSha256 } = previous.bundle;
  const request = parseFirmwareRequest(options.request, evidenceSpkiSha256);
  const expected = {
    rootSha256: certSha256(certificates.root),
    signingRootSha256: certSha256(certificates['signing-root']),
    transcriptSha256: previous.transcriptSha256,
    // The policy that names the keys: another one on this table would certify what keyd does not take.
    policySha256: previous.policySha256,
  };
  for (const [field, wanted] of Object.entries(expected)) {
    const seen = request[field as keyof typeof expected];
    if (seen !== wanted) throw new KeysteadError('ceremony.request-stale', { field, seen });
  }
  const asked = firmwareRequests(previous.policy, firmwareCsrs(request));
  requireOwnKeys(previous, asked);
  return {
    previous,
    request,
    requestBytes: options.request,
    requestSha256: toHex(sha256(options.request)),
    asked,
  };
}

/**
 * Each key is asked for once and is no other key of the hierarchy; an id that was certified keeps its key for good, and one
 * whose certificate the signing root has revoked gets none again.
 */
function requireOwnKeys({ bundle }: Previous, asked: readonly FirmwareRequest[]): void {
  const owners = new Map<string, string>(
    [...OFFLINE_CAS, ...ONLINE_CAS].map((role) => [readCertificate(bundle.certificates[role]).spkiSha256, role]),
  );
  if (bundle.crlSigner !== undefined) owners.set(readCertificate(bundle.crlSigner).spkiSha256, 'root-crl');
  owners.set(bundle.evidenceSpkiSha256, 'evidence');
  for (const { key, certificate } of bundle.firmware ?? []) owners.set(readCertificate(certificate).spkiSha256, key);
  const seen = new Set<string>();
  asked.forEach(({ key, proven }, index) => {
    const field = `firmware[${index}]`;
    const refused = (what: string) => new KeysteadError('ceremony.firmware-key', { field, seen: `${key.id}, ${what}` });
    if (seen.has(key.id)) throw refused('twice');
    seen.add(key.id);
    const owner = owners.get(proven.spkiSha256);
    if (owner !== undefined && owner !== key.id)
      throw new KeysteadError('key.already-used', { field, seen: `the key of '${owner}'` });
    owners.set(proven.spkiSha256, key.id);
    const before = certificateBefore(bundle.firmware, key.id);
    if (before === undefined) return;
    if (before.spkiSha256 !== proven.spkiSha256) throw refused('which was certified for another key');
    const lists = [
      bundle.crls['signing-root'],
      ...bundle.rollovers.flatMap(({ role, crl }) => (role === 'signing-root' ? [crl] : [])),
    ];
    if (lists.some((crl) => readCrl(crl).entries.has(before.serial))) throw refused('whose certificate is revoked');
  });
}

function certificateBefore(firmware: readonly FirmwareSigner[] | undefined, id: string) {
  const one = firmware?.find(({ key }) => key === id);
  return one === undefined ? undefined : readCertificate(one.certificate);
}

function planOf(inputs: FirmwareInputs, making: Making, keys: RootKeys | undefined): Plan {
  const { previous, requestBytes, requestSha256, asked } = inputs;
  const changing = new Changing(previous, { ceremony: 'firmware', requestSha256 }, making);
  const ids = asked.map(({ key }) => key.id).join(', ');
  return {
    kind: 'firmware',
    number: changing.bundle.number,
    policy: previous.policy,
    policyBytes: previous.policyBytes,
    begin: { policySha256: previous.policySha256, requestSha256, previousTranscriptSha256: previous.transcriptSha256 },
    steps: [
      previousStep(
        previous,
        [
          `keyd asks for certificates of keys that sign firmware: ${ids}. SHA-256 of the request's file, to be`,
          'compared with what keyd showed when it made it:',
          fingerprintRows(requestSha256, '  '),
        ],
        { requestSha256, firmware: ids },
      ),
      // The root vouches for the transcript.
      openStep(OFFLINE_CAS, changing, making, keys),
      ...signerAgainSteps(previous, changing, making),
      ...asked.map((one) => certificateStep(one, changing, making)),
    ],
    certifier: () => changing.root('root'),
    files: new Map([['request.json', requestBytes]]),
    bundle: () => changing.bundle,
  };
}

function certificateStep({ key, proven }: FirmwareRequest, changing: Changing, making: Making): Step {
  const before = certificateBefore(changing.bundle.firmware, key.id);
  return {
    title: `Certificate of the firmware key ${key.id}${before === undefined ? '' : ', again'}`,
    critical: true,
    what: [
      `Signed by the signing root: it signs firmware of ${key.product} for production, and nothing else. For the key`,
      'with this SHA-256:',
      fingerprintRows(proven.spkiSha256, '  '),
      ...describeProfile(firmwareProfileOf(profileOf(making.policy, FIRMWARE_PROFILE), key)),
    ],
    async act(session) {
      const certificate = await certifyFirmwareSigner(changing.root('signing-root'), key, proven.spki, making);
      changing.certifyFirmware({ key: key.id, certificate });
      const name = firmwareKeystoreId(key.id);
      if (before === undefined) session.certified('certificate', name, certificate);
      else session.certified('certificate', name, certificate, { replaces: certSha256(before.der) });
    },
  };
}
