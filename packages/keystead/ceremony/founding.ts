import type { DerCertificate, DerCrl } from '@keystead/core/bytes';
import {
  type CeremonyBundle,
  FIRMWARE_PROFILE,
  type FirmwareSigner,
  firmwareKeystoreId,
  firmwareProfileOf,
  OFFLINE_CAS,
  ONLINE_CAS,
  profileOf,
  ROOT_CRL_KEY,
} from '@keystead/core/lifecycle';
import type { CaRole } from '@keystead/core/x509';
import { fingerprintRows } from '../files/fingerprint.ts';
import { crlSignerStep, WITHOUT_CRL_SIGNER } from './crl-signer.ts';
import {
  certifyFirmwareSigner,
  certifyOnlineCa,
  certifyRoot,
  type Making,
  type OfflineRoot,
  rootAlgorithm,
  rootCrl,
} from './hierarchy.ts';
import type { CeremonyOfKind } from './hold.ts';
import type { CeremonyInputs, FirmwareRequest } from './inputs.ts';
import type { Plan } from './plan.ts';
import type { OfflineCa, RootKeys } from './root-keys.ts';
import { describeProfile, duration, profileLines } from './script.ts';
import type { Step } from './session.ts';

/** What a founding has made so far. */
interface Made {
  readonly roots: Map<OfflineCa, OfflineRoot>;
  readonly certificates: Map<CaRole, DerCertificate>;
  readonly crls: Map<OfflineCa, DerCrl>;
  crlSigner?: DerCertificate;
  readonly firmware: FirmwareSigner[];
}

/** Takes what an earlier step must have left. The driver keeps the order, so it is there. */
export function made<K, V>(map: ReadonlyMap<K, V>, key: K): V {
  const value = map.get(key);
  if (value === undefined) throw new TypeError(`no step has made ${String(key)} yet`);
  return value;
}

/** The ceremony that makes a hierarchy: both roots, and certificates for the keys that keyd made. REQ-KEY-GEN-02 */
export const founding = (inputs: CeremonyInputs): CeremonyOfKind => ({
  policy: inputs.policy,
  plan: (making, keys) => planOf(inputs, making, keys),
});

function planOf(inputs: CeremonyInputs, making: Making, keys: RootKeys | undefined): Plan {
  const { policy, policyBytes, policySha256, requestSha256 } = inputs;
  const state: Made = { roots: new Map(), certificates: new Map(), crls: new Map(), firmware: [] };
  for (const role of OFFLINE_CAS) keys?.requireFree(role, 1);
  return {
    kind: 'founding',
    number: 1,
    policy,
    policyBytes,
    begin: { policySha256, requestSha256 },
    steps: [
      inputsStep(inputs),
      ...OFFLINE_CAS.map((role) => rootStep(role, making, keys, state)),
      ...signerSteps(inputs, making, state),
      ...ONLINE_CAS.map((role) => certificateStep(role, inputs, making, state)),
      ...inputs.firmware.map((asked) => firmwareStep(asked, making, state)),
      crlStep(making, state),
    ],
    certifier: () => made(state.roots, 'root'),
    files: new Map([['request.json', inputs.requestBytes]]),
    bundle: (): CeremonyBundle => ({
      ceremony: 'founding',
      number: 1,
      previousTranscriptSha256: null,
      rehearsal: making.rehearsal,
      policySha256,
      requestSha256,
      evidenceSpkiSha256: inputs.keys.evidence.spkiSha256,
      certificates: Object.fromEntries(state.certificates) as CeremonyBundle['certificates'],
      crls: Object.fromEntries(state.crls) as CeremonyBundle['crls'],
      rollovers: [],
      earlier: [],
      ...(state.crlSigner === undefined ? {} : { crlSigner: state.crlSigner }),
      ...(state.firmware.length === 0 ? {} : { firmware: state.firmware }),
    }),
  };
}

/** Before the CAs, which name it. */
function signerSteps({ crlSigner }: CeremonyInputs, making: Making, state: Made): Step[] {
  if (crlSigner === undefined) return [];
  const root = () => made(state.roots, 'root');
  return [
    crlSignerStep(crlSigner.spki, root, making, (certificate) => {
      state.crlSigner = certificate;
    }),
  ];
}

function inputsStep(inputs: CeremonyInputs): Step {
  const { policy, policySha256, requestSha256, keys, request, crlSigner, firmware } = inputs;
  return {
    title: 'Inputs',
    critical: true,
    what: [
      `Policy '${policy.name}', version ${policy.version}, of ${policy.issued}. SHA-256 of policy.json:`,
      fingerprintRows(policySha256, '  '),
      'SHA-256 of request.json, to be compared with what keyd showed when it made it:',
      fingerprintRows(requestSha256, '  '),
      'Keys that are not certified here but approved with the request:',
      `  evidence signer, SHA-256 of its public key:\n${fingerprintRows(keys.evidence.spkiSha256, '    ')}`,
      `  audit log: ${request.log.vkey}`,
      `  audit log, timestamps: ${request.log.cosignVkey}`,
      ...(crlSigner === undefined ? WITHOUT_CRL_SIGNER : []),
    ],
    act(session) {
      session.say('Done: each request proves possession of its key.');
      // Every key of the request, also those that the root does not certify: the witnesses approve them too.
      session.note('requests', {
        spkiSha256: {
          ...Object.fromEntries(Object.entries(keys).map(([slot, key]) => [slot, key.spkiSha256])),
          ...(crlSigner === undefined ? {} : { [ROOT_CRL_KEY]: crlSigner.spkiSha256 }),
          ...Object.fromEntries(firmware.map(({ key, proven }) => [firmwareKeystoreId(key.id), proven.spkiSha256])),
        },
        logVkey: request.log.vkey,
        cosignVkey: request.log.cosignVkey,
      });
    },
  };
}

/** Where a root's key will be, in words for the script. */
export function placeOf({ custody, rehearsal }: Making, file: string): string {
  if (custody === 'pkcs11') return 'on the token, which never gives it away';
  return rehearsal ? `into rehearsal-${file}.sealed` : `into ${file}.sealed`;
}

function rootStep(role: OfflineCa, making: Making, keys: RootKeys | undefined, state: Made): Step {
  return {
    title: `Key of the ${role === 'root' ? 'root CA' : 'signing root'}`,
    critical: true,
    what: [`Generated ${placeOf(making, role)}, and certified by itself.`, ...profileLines(making.policy, role)],
    async act(session) {
      if (keys === undefined) throw new TypeError('a script has no keys');
      const key = await keys.generate(role, 1, rootAlgorithm(making.policy, role));
      const root = await certifyRoot(role, 1, key, making);
      state.roots.set(role, root);
      state.certificates.set(role, root.certificate);
      session.root(root);
    },
  };
}

function certificateStep(
  role: (typeof ONLINE_CAS)[number],
  { keys }: CeremonyInputs,
  making: Making,
  state: Made,
): Step {
  return {
    title: `Certificate of the ${role} CA`,
    what: [
      'Signed by the root CA for the key with this SHA-256:',
      fingerprintRows(keys[role].spkiSha256, '  '),
      ...profileLines(making.policy, role),
    ],
    async act(session) {
      const certificate = await certifyOnlineCa(
        role,
        made(state.roots, 'root'),
        keys[role].spki,
        making,
        state.crlSigner,
      );
      state.certificates.set(role, certificate);
      session.certified('certificate', role, certificate);
    },
  };
}

function firmwareStep({ key, proven }: FirmwareRequest, making: Making, state: Made): Step {
  const profile = firmwareProfileOf(profileOf(making.policy, FIRMWARE_PROFILE), key);
  return {
    title: `Certificate of the firmware key ${key.id}`,
    what: [
      `Signed by the signing root: it signs firmware of ${key.product} for production, and nothing else. For the key`,
      'with this SHA-256:',
      fingerprintRows(proven.spkiSha256, '  '),
      ...describeProfile(profile),
    ],
    async act(session) {
      const certificate = await certifyFirmwareSigner(made(state.roots, 'signing-root'), key, proven.spki, making);
      state.firmware.push({ key: key.id, certificate });
      session.certified('certificate', firmwareKeystoreId(key.id), certificate);
    },
  };
}

function crlStep(making: Making, state: Made): Step {
  return {
    title: 'Revocation lists of the two roots',
    what: [`Empty, number 1, good for ${duration(making.policy.revocation.rootCrlSeconds)}.`],
    async act(session) {
      for (const role of OFFLINE_CAS) {
        const crl = await rootCrl(made(state.roots, role), 1, [], making);
        state.crls.set(role, crl);
        session.revocationList(role, crl);
      }
    },
  };
}
