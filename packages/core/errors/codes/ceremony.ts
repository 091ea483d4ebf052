import type { ErrorEntry } from '../entry.ts';

/** Ceremonies, transcripts and bundles. */
export const CEREMONY_ERRORS = {
  'ceremony.network-present': {
    kind: 'forbidden',
    rule: 'a ceremony runs only where no network interface is up and no route exists',
    remedy: 'unplug the machine, or run it in an empty network namespace: unshare --net',
  },
  'ceremony.network-unknown': {
    kind: 'forbidden',
    rule: 'a ceremony runs only where the kernel shows that no network is there (Linux, /proc/net)',
    remedy: 'run it on Linux with /proc mounted',
  },
  'ceremony.no-isolation': {
    kind: 'unavailable',
    rule: 'the ceremony needs an empty network namespace, and this machine does not let this user make one',
    remedy: 'allow unprivileged user namespaces, run as root, or accept a network: the transcript will say NOT OFFLINE',
  },
  'ceremony.no-witness': {
    kind: 'invalid',
    rule: 'a ceremony has at least one witness, named in the transcript',
    remedy: 'name each with --witness',
  },
  'ceremony.passphrase-short': { kind: 'invalid', rule: 'the passphrase of a root has at least 12 characters' },
  'ceremony.passphrase-source': {
    kind: 'invalid',
    rule: 'the passphrase of the roots comes from a terminal or a file descriptor, or is discarded',
    remedy: 'use a terminal, --passphrase-fd or --discard-passphrase',
  },
  'ceremony.already-held': {
    kind: 'conflict',
    rule: 'a ceremony never overwrites what another one made',
    remedy:
      'give other directories, or move those away; a key whose ceremony wrote no transcript.sig certifies nothing: destroy it',
  },
  'ceremony.stopped': { kind: 'forbidden', rule: 'a person stopped the ceremony; no key that it made is kept' },
  'ceremony.script-differs': {
    kind: 'conflict',
    rule: 'the ceremony must follow the script that was reviewed',
    remedy: 'print the script again and review what changed',
  },
  'ceremony.request-malformed': { kind: 'invalid', rule: 'the request must have the form that keyd writes' },
  'ceremony.failed': { kind: 'internal', rule: 'the process of the ceremony failed' },
  'ceremony.file-unreadable': { kind: 'not-found', rule: 'the file must exist and be readable' },
  'ceremony.firmware-key': {
    kind: 'invalid',
    rule: 'a key for firmware that a ceremony certifies must be a production key of the policy',
  },
  'ceremony.name-malformed': {
    kind: 'invalid',
    rule: "a person of a ceremony is named by 1 to 64 letters, digits, blanks and . , ' -, each by another name",
  },
  'ceremony.too-few-witnesses': {
    kind: 'forbidden',
    rule: 'a ceremony has as many witnesses as its policy asks for (quorums.ceremony-witnesses)',
    remedy: 'name each with --witness; an unattended ceremony is only for demonstration policies and rehearsals',
  },
  'ceremony.custody-forbidden': {
    kind: 'forbidden',
    rule: 'the key of a root lives where the policy lets it (custody of root-ca and signing-root-ca)',
    remedy: 'give another --root-keystore, or have the policy changed',
  },
  'ceremony.rehearsal-input': {
    kind: 'forbidden',
    rule: 'what was rehearsed is no input of a ceremony in earnest',
    remedy: 'give the outputs of the ceremony in earnest; those of a rehearsal bear REHEARSAL in their names',
  },
  'ceremony.root-missing': {
    kind: 'not-found',
    rule: 'the key of the root that the ceremony before this one names must be in the sealed files or on the token',
    remedy: 'bring the medium from the safe that belongs to this hierarchy',
  },
  'ceremony.revoked-already': { kind: 'conflict', rule: 'a certificate is revoked once' },
  'ceremony.request-stale': {
    kind: 'conflict',
    rule: 'the request must follow from the ceremony before this one',
    remedy: 'import the latest bundle into keyd and have it make the request again',
  },
  'ceremony.request-signature': {
    kind: 'forbidden',
    rule: 'a later request must be signed by the evidence key that the founding ceremony approved',
  },
  'ceremony.generation-unclear': {
    kind: 'invalid',
    rule: 'a CA that has had several keys is named with the number of the one that is meant, such as operational.1',
  },
  'ceremony.ca-revoked': {
    kind: 'forbidden',
    rule: 'no ceremony certifies a key of a CA that the root has revoked',
    remedy: 'have a new key certified first: keystead hierarchy request --new-key, keystead ceremony intermediate',
  },
  'transcript.altered': { kind: 'forbidden', rule: 'each line of a transcript must follow from the one before' },
  'transcript.signature-invalid': {
    kind: 'forbidden',
    rule: 'the transcript must be signed by a key that its root certified for it',
  },
  'bundle.malformed': { kind: 'invalid', rule: 'the bundle must have the form that a ceremony writes' },
  'bundle.altered': { kind: 'forbidden', rule: 'each file must be the one that the signed transcript lists' },
  'bundle.foreign': { kind: 'forbidden', rule: "the bundle must be the answer to this keyd's own request" },
  'bundle.policy-differs': {
    kind: 'forbidden',
    rule: 'the policy in force must be the one that the ceremony approved',
  },
  'bundle.already-imported': { kind: 'conflict', rule: 'keyd takes part in one hierarchy' },
  'bundle.version': {
    kind: 'unsupported',
    rule: 'the bundle must be of the version that this Keystead reads',
    remedy: 'use the Keystead that the ceremony was held with, or a newer one',
  },
  'bundle.not-canonical': {
    kind: 'forbidden',
    rule: 'a bundle must be written byte for byte as a ceremony writes it: no member twice, none in another order',
  },
  'bundle.too-large': { kind: 'too-large', rule: 'a file of a ceremony is far smaller than this' },
  'bundle.file-name': {
    kind: 'forbidden',
    rule: 'the files of a ceremony are regular files in one directory, named by letters, digits, dots and hyphens',
  },
  'bundle.rehearsal': {
    kind: 'forbidden',
    rule: 'what was made in a rehearsal is not for use',
    remedy: 'hold the ceremony in earnest: without --rehearsal',
  },
  'bundle.revoked': { kind: 'forbidden', rule: 'a certificate that its root has revoked is not taken into use' },
  'bundle.older': {
    kind: 'conflict',
    rule: 'keyd never goes back to the bundle of an earlier ceremony, nor to a CRL with a lower number',
  },
  'bundle.gap': {
    kind: 'conflict',
    rule: 'the bundles of a hierarchy are imported in the order of their ceremonies',
    remedy: 'import the ones between first',
  },
  'bundle.not-founded': {
    kind: 'conflict',
    rule: 'the first bundle that keyd takes is that of the founding ceremony',
  },
  'bundle.change-unexpected': {
    kind: 'forbidden',
    rule: 'a later ceremony changes only what it is held for',
  },
  'bundle.key-needed': {
    kind: 'conflict',
    rule: 'a ceremony that certifies a new key of a CA is imported with the keystore that holds this key',
    remedy: 'give the passphrase of keyd: --passphrase-file or --passphrase-fd',
  },
  'fingerprint.malformed': {
    kind: 'invalid',
    rule: 'a fingerprint is 64 hex digits, or 32 words of the PGP word list in their order',
  },
  'fingerprint.differs': { kind: 'forbidden', rule: 'the file must have the fingerprint that was read out' },
} as const satisfies Record<string, ErrorEntry>;
