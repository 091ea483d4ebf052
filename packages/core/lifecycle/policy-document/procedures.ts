import { makerName } from '../attestation-policy.ts';
import { DEFAULT_AUTHORISATION_LIMITS } from '../authorisation.ts';
import { durationText } from '../duration.ts';
import { DEFAULT_FLEET_KEYS } from '../fleet-key-policy.ts';
import { cryptoperiodOf, type Policy, profileOf } from '../policy.ts';
import { GIVEN_REASONS, REVOCATION_SELECTORS, type RevocationSelectorKind } from '../revocation-authority.ts';
import { REASON_RULES, revocationQuorum, revocationQuorumText } from '../revocation-rules.ts';
import { stationRules } from '../station/rules.ts';
import { type Block, code, list, paragraph, section, steps, subsection, table } from './content.ts';

/** What people do, with the figures of the policy. It says what the software enforces and what it leaves to them. */
export const procedureSections = (policy: Policy): Block[] => [
  section('Procedures'),
  ...generation(policy),
  ...provisioning(policy),
  ...renewal(policy),
  ...revocation(policy),
  ...backup(policy),
  ...destruction(),
  ...audit(),
  ...incident(policy),
  ...policyChange(policy),
];

const generation = (policy: Policy): Block[] => [
  subsection('Generation: the ceremony'),
  steps(
    'keyd makes the keys of the online CAs, of the audit log and of the evidence signer by itself, from the random source of OpenSSL (SP 800-90A), and writes a request that proves each of them.',
    `The roots are made offline, on a machine without network, from a reviewed script, before witnesses, of whom there are at least ${policy.quorums['ceremony-witnesses'].approvals}. The ceremony refuses to run where a network is present.`,
    'The witnesses compare fingerprints with the script. The root certifies the CAs of the request by the profiles of this policy.',
    'The transcript names every step and the SHA-256 of every file; a key for one use signs it. keyd takes over only what that transcript lists, for its own keys.',
    'The sealed files of the roots go into a safe. No service opens them.',
  ),
  paragraph(
    policy.est?.serverKeys === undefined || policy.est.serverKeys.length === 0
      ? `Devices make their own keys; ${(policy.unitKeys?.injected?.length ?? 0) === 0 ? 'no private key of a device is ever sent' : 'what keyd makes for units without a random source is told below'}.`
      : `Devices make their own keys. Only for certificates by ${policy.est.serverKeys.join(', ')} may keyd make one, for a device that asks for it: it is in memory for that one request, is stored nowhere, and is sent only encrypted to a certificate of that device.`,
  ),
];

const limits = (policy: Policy) => policy.authorisations ?? DEFAULT_AUTHORISATION_LIMITS;

/** Where a device's key is, as far as anybody but the device knows. */
function attested({ attestation }: Policy): string {
  if (attestation === undefined)
    return 'No TPM is believed: a record says that possession of the key was proven, and not where it is.';
  const makers = attestation.anchors.map(makerName).join('; ') || 'no maker';
  const keys = attestation.endorsementKeys?.length ?? 0;
  const who = attestation.required ? 'Every unit must show' : 'A unit may show, and must where its ticket demands it,';
  return `${who} that its key is in a TPM and cannot leave it. Believed are the TPMs of: ${makers}; and ${keys} endorsement keys by themselves. keyd makes the challenge and judges the answer.`;
}

/** How it is known who stands at a line. */
function stationed(policy: Policy): string {
  const { required, maxSignOnSeconds } = stationRules(policy);
  const must = required ? 'Every unit comes' : 'A unit may come';
  return `${must} from a station with a certificate of its own, for which a CA operator has signed, and at which a line operator has signed on with their own key, for at most ${durationText(maxSignOnSeconds)}. keyd verifies both for each unit.`;
}

/** Secure elements, where the policy believes any. */
function elements({ attestation }: Policy): string[] {
  if (attestation?.secureElements === undefined) return [];
  const { anchors, policies } = attestation.secureElements;
  const under = policies === undefined ? '' : `, under one of the certificate policies ${policies.join(', ')}`;
  return [
    `A unit may show that its key is in a secure element whose maker certified it: ${anchors.map(makerName).join('; ')}${under}. One chip is one device.`,
  ];
}

/** Keys of units that are not made on the device, where the policy allows any. */
function unitKeys({ unitKeys: { injected = [], diversified = [] } = {} }: Policy): string[] {
  return [
    ...(injected.length === 0
      ? []
      : [
          `For a unit without a random source keyd may make the key, by ${injected.join(', ')}, where the ticket allows it: it is in memory for that one operation and leaves keyd only encrypted to that unit's own ephemeral key. The record says so.`,
        ]),
    ...diversified.map(
      ({ purpose, version, bytes }) =>
        `Each device has a key of ${bytes} bytes for ${purpose}, derived (SP 800-108r1) from master ${version} in keyd's keystore. It is stored nowhere and leaves keyd only encrypted to a key that the device signed.`,
    ),
  ];
}

/** REQ-KEY-PROV-03 */
function brokenKeys({ fleetKeys = DEFAULT_FLEET_KEYS }: Policy): string {
  const acts = {
    report: 'is entered in the log, and a person decides',
    hold: 'is entered in the log and put on hold',
    revoke: 'is entered in the log and revoked as compromised',
  };
  return `A key that is weak, published, or another unit's is refused. RSA keys of the whole fleet are compared with each other within ${durationText(fleetKeys.everySeconds)} after they were certified; one that shares a factor with another ${acts[fleetKeys.onSharedFactor]}.`;
}

const provisioning = (policy: Policy): Block[] => [
  subsection('Distribution and provisioning'),
  steps(
    `A CA operator signs a batch ticket: model, device ids, lines, at most ${policy.tickets.maxQuota} units, for at most ${durationText(policy.tickets.maxSeconds)}.`,
    stationed(policy),
    'The line operator provisions each unit. The device proves its key; keyd counts each unit against the ticket and refuses the one above it.',
    attested(policy),
    ...elements(policy),
    ...unitKeys(policy),
    brokenKeys(policy),
    'Each unit gets a signed provisioning record that is provable in the audit log.',
    `Who has no certificate yet enrols under an authorisation that a CA operator signed for its names: at most ${limits(policy).maxUses} keys, for at most ${durationText(limits(policy).maxSeconds)}. keyd counts them.`,
    'Anchors, the keys of the log and this policy are public and are distributed as files whose fingerprints the ceremony and the log state.',
  ),
];

const renewal = (policy: Policy): Block[] => [
  subsection('Renewal and rotation'),
  list(
    `A device renews its LDevID by itself, with a new key, between half and three quarters of its life of ${durationText(profileOf(policy, 'ldevid').validity.seconds)}.`,
    policy.deviceProof === 'message'
      ? 'keyd certifies a device only for a CMP message in which the device itself signed the request, which it verifies, or under an authorisation that names the device.'
      : 'keyd takes the word of the front end for which device showed its certificate in TLS; a request in a CMP message it verifies itself.',
    `A device that is late recovers with its IDevID within ${durationText(policy.grace.renewalSeconds)} after the end of its LDevID; after that an operator must admit it again.`,
    `The server's certificate is replaced with a new key before its ${durationText(profileOf(policy, 'tls-server').validity.seconds)} are over. An OCSP responder key is used for ${durationText(policy.revocation.ocspResponderSeconds)}.`,
    'When the originator usage period of a CA is over, keyd issues no certificate by it; its CRLs and OCSP answers go on until its certificate ends. A successor is made in a ceremony, and the old key goes on to answer for what it issued.',
    `A root gets a new key in a ceremony, with certificates from each key to the other (RFC 9810 section 4.4). The old one stays an anchor ${policy.roots === undefined ? 'until its certificate ends' : `for ${durationText(policy.roots.transitionSeconds)}`}.`,
  ),
];

function revocation(policy: Policy): Block[] {
  const { promises, crlSeconds, crlRefreshSeconds, rootCrlSeconds, ocspSeconds, lists } = policy.revocation;
  const delta = lists?.delta;
  return [
    subsection('Suspension and revocation'),
    paragraph(
      'A report of a stolen device or of a compromised key is acted on at once, in one step. From the report on:',
    ),
    table(
      ['Promise', 'Within'],
      [
        ['OCSP says revoked', durationText(promises.ocspSeconds)],
        ['a CRL that lists it is published', durationText(promises.crlSeconds)],
        ['every backend refuses', durationText(promises.backendSeconds)],
      ],
    ),
    table(
      ['Status information', 'Good for'],
      [
        ['an OCSP answer', durationText(ocspSeconds)],
        ['a CRL of an online CA', `${durationText(crlSeconds)}, made again every ${durationText(crlRefreshSeconds)}`],
        ...(delta === undefined
          ? []
          : [
              ['a delta CRL', `${durationText(delta.seconds)}, made again every ${durationText(delta.refreshSeconds)}`],
            ]),
        ['a CRL of a root', durationText(rootCrlSeconds)],
      ],
    ),
    ...(lists === undefined || lists.shards === 1
      ? []
      : [paragraph(`What a CA issues is listed in ${lists.shards} partitions, besides a CRL of all that it revoked.`)]),
    paragraph('Who may order it:'),
    table(
      ['Revocation of', 'Takes'],
      REVOCATION_SELECTORS.map((selector) => [`a ${selector}`, takes(policy, selector)]),
    ),
    list(
      'A hold is released by an order that an operator signs and keyd verifies; a front end that was taken over can release nothing.',
      'A revocation is for ever and keeps its first reason; keyd lists it again by itself and never calls it good.',
      `A key may be suspended (certificateHold) for at most ${durationText(policy.grace.suspendedSeconds)}; then it is resumed or revoked. The limit is kept by procedure.`,
    ),
  ];
}

/** The quorum for each reason, those that are the same together. */
function takes(policy: Policy, selector: RevocationSelectorKind): string {
  const reasons = GIVEN_REASONS.filter((reason) => REASON_RULES[reason].operator.includes(selector));
  const byText = new Map<string, string[]>();
  for (const reason of reasons) {
    const text = revocationQuorumText(revocationQuorum(policy, { selector, act: 'revoke', reason }));
    byText.set(text, [...(byText.get(text) ?? []), reason]);
  }
  if (byText.size === 1) return [...byText.keys()].join('');
  return [...byText].map(([text, which]) => `${which.join(', ')}: ${text}`).join('; ');
}

const backup = (policy: Policy): Block[] => [
  subsection('Backup and its prohibition'),
  list(
    'Signing keys are never backed up or escrowed in a form that leaves their module: no interface of the software gives out a private key.',
    'The sealed keystore may be copied only as it is, sealed, and never kept together with its passphrase.',
    `A backup of operational state is encrypted to its custodians; a restore needs ${policy.quorums.restore.approvals} of them besides the one who asks.`,
    'A restored copy is never started beside the original. keyd refuses a policy that its journal knows to be superseded, and the audit log outside shows when more than that was set back.',
  ),
];

const destruction = (): Block[] => [
  subsection('Destruction'),
  list(
    'A decommissioned device wipes every key, its certificates are revoked, and keyd signs the evidence only when they stand on a CRL.',
    'A key of a keystore is destroyed in its module, or by overwriting the sealed file; its record stays.',
    'The key that signs a transcript is wiped at the end of its ceremony. Keys in memory end with their process.',
  ),
];

const audit = (): Block[] => [
  subsection('Audit'),
  list(
    'Every generation, provisioning, renewal, revocation, refusal and change of this policy, with those who approved it, is an entry of the audit log, written in the same transaction as the change itself.',
    'The log is a Merkle tree (RFC 6962); keyd signs its checkpoints with the time. An altered, dropped, reordered or backdated entry is found from the files alone.',
    [
      code('keystead audit verify'),
      ' proves the history, ',
      code('keystead verify'),
      ' runs the checklist on the live system.',
    ],
  ),
];

const incident = (policy: Policy): Block[] => [
  subsection('Incident and compromise'),
  steps(
    'Whoever suspects a compromise reports it to a CA operator at once; the time of the report is when the promises of revocation begin.',
    `Device or server: revoke it with the reason keyCompromise; it is refused within ${durationText(policy.revocation.promises.backendSeconds)}.`,
    'Person: revoke the certificate, and put a policy in force that gives the name another key or no role.',
    'Front end: stop it. It holds no key of a CA; compare the audit log with the journal of keyd, which names each certificate that was signed.',
    'keyd or an online CA: stop keyd, have the CA revoked by the root in a ceremony, make new keys, provision anew what hung from it.',
    'A root: nothing under it can be trusted; begin with a new ceremony and new anchors in the devices.',
    'Preserve the log, the journal and the transcript as they are: they are the evidence. Afterwards a review decides whether this policy must change.',
  ),
];

const policyChange = (policy: Policy): Block[] => [
  subsection('Change of this policy'),
  steps(
    [
      'A policy administrator writes the next version and looks at ',
      code('keystead policy check'),
      ', which names each difference and what it would break.',
    ],
    [
      code('keystead policy propose'),
      ' signs the proposal; it is for this file, after the policy in force, and for nothing else.',
    ],
    [
      `Others of the quorum, at least ${policy.quorums['policy-change'].approvals}, read this document of the new policy and sign (`,
      code('keystead policy approve'),
      `). A signature ends after at most ${durationText(policy.approvals.maxSeconds)}.`,
    ],
    [
      code('keystead policy apply'),
      ' gives policy and signatures to keyd, which verifies them by the policy in force, writes its journal and goes by the new policy at once.',
    ],
    `The keys of people are used for at most ${durationText(cryptoperiodOf(policy, 'operator').originatorSeconds)}; a change of this policy gives a name its next key.`,
  ),
  paragraph(
    'The CAs, what they were certified for, and whether this is a demonstration are changed by a ceremony only.',
  ),
];
