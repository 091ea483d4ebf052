import { durationText } from '../duration.ts';
import { KEY_PURPOSE_IDS, type KeyPurposeId, keyPurpose } from '../key-purposes.ts';
import { KEY_STATES, KEY_TRANSITIONS } from '../key-states.ts';
import { STRENGTH_BITS } from '../keying.ts';
import { cryptoperiodOf, custodyOf, type Policy } from '../policy.ts';
import { type Block, code, paragraph, section, subsection, type Text, table } from './content.ts';

/** Which keys there are, how strong, how long, in which state, and where. */
export const keySections = (policy: Policy): Block[] => [
  ...inventory(policy),
  ...algorithms(policy),
  ...cryptoperiods(policy),
  ...states(),
  ...custody(policy),
];

/** Those that the policy names: it may be without some. */
const purposesIn = ({ custody, cryptoperiods }: Policy): KeyPurposeId[] =>
  KEY_PURPOSE_IDS.filter((id) =>
    [custody, cryptoperiods].every((rules) => rules.some(({ purpose }) => purpose === id)),
  );

const inventory = (policy: Policy): Block[] => [
  section('Key inventory by purpose'),
  paragraph(
    'Every kind of key is listed here; each has one purpose and no other. The type is that of NIST SP 800-57 part 1 section 5.1.1. The owner is the role that answers for keys of the kind.',
  ),
  table(
    ['Key', 'Use', 'Type', 'Owner'],
    purposesIn(policy).map((id) => {
      const { title, use, keyType } = keyPurpose(id);
      return [[`${title} `, code(id)], use, keyType, custodyOf(policy, id).owner];
    }),
  ),
];

function algorithms(policy: Policy): Block[] {
  const { acceptedBits, issuedBits, purposes } = policy.strengths;
  const users = (algorithm: string): string =>
    policy.profiles
      .filter((profile) => profile.keyAlgorithms.some((one) => one === algorithm))
      .map(({ id }) => id)
      .join(', ') || 'no profile';
  return [
    section('Algorithms and strengths'),
    paragraph(
      `A key whose signatures are accepted has at least ${acceptedBits} bits of security strength, a key that is certified at least ${issuedBits} (NIST SP 800-57 part 1 table 2, SP 800-131A). Signatures use SHA-256 or SHA-384, or are Ed25519 (FIPS 186-5).`,
    ),
    table(
      ['Algorithm', 'Strength', 'Certified by the profiles'],
      policy.algorithms.map((algorithm) => [algorithm, `${STRENGTH_BITS[algorithm]} bits`, users(algorithm)]),
    ),
    ...(purposes.length === 0
      ? []
      : [
          paragraph('These keys need more:'),
          table(
            ['Key', 'At least'],
            purposes.map(({ purpose, bits }) => [keyPurpose(purpose).title, `${bits} bits`]),
          ),
        ]),
  ];
}

const cryptoperiods = (policy: Policy): Block[] => [
  section('Cryptoperiods'),
  paragraph(
    'A key protects (signs, encrypts, authenticates) within its originator usage period; what it protected is verified or decrypted within its recipient usage period. Both begin when the key is activated (NIST SP 800-57 part 1 section 5.3). A year has 365 days.',
  ),
  table(
    ['Key', 'Originator usage', 'Recipient usage', 'Warning before the end', 'At the end'],
    purposesIn(policy).map((id): Text[] => {
      const { originatorSeconds, recipientSeconds, warnSeconds } = cryptoperiodOf(policy, id);
      const { title, atEnd } = keyPurpose(id);
      const warned = originatorSeconds === 'none' ? 'none' : durationText(warnSeconds);
      return [title, durationText(originatorSeconds), durationText(recipientSeconds), warned, atEnd];
    }),
  ),
  subsection('Basis of the limits'),
  paragraph('No policy may give a key longer than this. Where that is more than NIST suggests, the reason is stated.'),
  table(
    ['Key', 'Longest originator usage', 'Basis'],
    purposesIn(policy).map((id) => {
      const { title, ceiling } = keyPurpose(id);
      return [title, durationText(ceiling.originator), ceiling.why];
    }),
  ),
  subsection('Certificates'),
  paragraph(
    'A certificate is never valid for longer than its key may be used, nor for longer than that of its issuer.',
  ),
  table(
    ['Profile', 'Issuer', 'Validity', 'Set back by', 'Key algorithms', 'On request of'],
    policy.profiles.map(({ id, issuer, validity, keyAlgorithms, requesters }) => [
      id,
      issuer,
      validity.seconds === 'none' ? 'no end (99991231235959Z)' : durationText(validity.seconds),
      durationText(validity.backdateSeconds),
      keyAlgorithms.join(', '),
      requesters.join(', '),
    ]),
  ),
  paragraph(
    `Wildcards such as *.plant.example: ${
      policy.profiles
        .filter(({ wildcards }) => wildcards === true)
        .map(({ id }) => id)
        .join(', ') || 'none'
    }.`,
  ),
];

const yes = (value: boolean): string => (value ? 'yes' : 'no');

const states = (): Block[] => [
  section('Key states'),
  paragraph('A key is in one of these states (NIST SP 800-57 part 1 section 7).'),
  table(
    ['State', 'Meaning', 'May protect', 'May verify and decrypt'],
    Object.entries(KEY_STATES).map(([name, { meaning, protect, process }]) => [
      name,
      meaning,
      yes(protect),
      yes(process),
    ]),
  ),
  paragraph('It changes its state in these ways only; the software refuses every other.'),
  table(
    ['From', 'By', 'To', 'When'],
    KEY_TRANSITIONS.map(({ from, event, to, when }) => [from, event, to, when]),
  ),
];

const PLACES = {
  pkcs11: 'a hardware security module or smart card (PKCS#11), never extractable',
  tpm2: 'a TPM 2.0, bound to that TPM',
  'sealed-file': 'a file sealed with AES-256-GCM under a key from a passphrase',
  memory: 'the memory of one process, never on disk',
  device: "the device's own secure storage",
} as const;

const custody = (policy: Policy): Block[] => [
  section('Custody and cryptographic modules'),
  paragraph(
    'A key lives only in a place of this table. keyd compares it with the places of its own keys at every start and before every change of this policy, and does not work when they differ.',
  ),
  table(
    ['Key', 'May live in', 'Module: FIPS 140 level at least'],
    purposesIn(policy).map((id) => {
      const { allowed, fips140 } = custodyOf(policy, id);
      return [keyPurpose(id).title, allowed.join(', '), fips140 === 'none' ? 'none required' : `${fips140}`];
    }),
  ),
  table(
    ['Place', 'What it is'],
    Object.entries(PLACES).map(([place, what]) => [place, what]),
  ),
];
