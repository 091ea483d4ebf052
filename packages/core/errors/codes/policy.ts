import type { ErrorEntry } from '../entry.ts';

/** Policies, and those who approve: keys, SSH signatures, passkeys. */
export const POLICY_ERRORS = {
  'policy.attestation-unsound': {
    kind: 'invalid',
    rule: 'the makers of TPMs are named by certificates of CAs, and where each unit must be attested at least one is named',
  },
  'policy.malformed': { kind: 'invalid', rule: 'the policy must have the form of the policy schema' },
  'policy.algorithm-too-weak': {
    kind: 'invalid',
    rule: 'nothing below 128 bits of strength is issued (SP 800-57 pt 1 r5 table 2)',
  },
  'policy.algorithm-not-listed': {
    kind: 'invalid',
    rule: 'a profile may use only algorithms that the policy lists in `algorithms`',
  },
  'policy.profile-duplicate': { kind: 'invalid', rule: 'each profile stands in the policy once' },
  'policy.profile-missing': {
    kind: 'invalid',
    rule: 'the policy must hold every profile that Keystead asks for by name',
  },
  'policy.firmware-rule': {
    kind: 'invalid',
    rule: 'a key of the section firmware signs for one product in one environment, and each of these names keys of its own',
  },
  'policy.firmware-duplicate': { kind: 'invalid', rule: 'a product and a key stand once in the section firmware' },
  'policy.trust-rule': {
    kind: 'invalid',
    rule: 'keys of the section trust have an id and an algorithm of the policy each, and a filter holds for two of its intervals at the least',
  },
  'policy.hierarchy': {
    kind: 'invalid',
    rule: 'a profile must keep its place in the hierarchy: roots sign themselves, the root signs the online CAs (pathLen 0), the online CAs sign the rest',
  },
  'policy.tsa-backdated': {
    kind: 'invalid',
    rule: "validity.backdateSeconds of 'tsa-signer' is 0: its certificate begins when it is made, and so does what it may stamp",
  },
  'policy.validity-too-long': {
    kind: 'invalid',
    rule: 'a validity may not be longer than the ceiling of its profile and the validity of its issuer',
  },
  'policy.crl-refresh-late': { kind: 'invalid', rule: 'a CRL must be made again before the last one ends' },
  'policy.delta-outlives-base': {
    kind: 'invalid',
    rule: 'a delta CRL is good for at most as long as the full CRL that it goes with',
  },
  'policy.ocsp-responder-outlived': {
    kind: 'invalid',
    rule: 'an OCSP responder must stop signing before its answers would outlive its certificate',
  },
  'policy.operator-duplicate': {
    kind: 'invalid',
    rule: 'each operator has a name and a key that no other operator has',
  },
  'policy.roles-conflict': { kind: 'invalid', rule: 'one person may not hold roles that check one another' },
  'policy.version-used': {
    kind: 'conflict',
    rule: 'the version of a policy goes up by one with each change, and never back',
    remedy: 'write the next version, from the policy in force',
  },
  'policy.version-skips': { kind: 'invalid', rule: 'the version of a policy goes up by exactly one with each change' },
  'policy.set-back': {
    kind: 'internal',
    rule: 'keyd must know the policy that the records name as put in force',
    remedy: "an older copy of keyd's directory was put back: restore keyd and the records from the same moment",
  },
  'policy.only-ceremony': {
    kind: 'forbidden',
    rule: 'the CAs, their certificates and whether it is a demonstration are changed by a ceremony only',
  },
  'policy.custody-unmet': {
    kind: 'forbidden',
    rule: 'a key must live where the policy in force lets it live',
    remedy: 'move the key first, or allow its custody in the policy',
  },
  'policy.chain-broken': {
    kind: 'internal',
    rule: 'every policy since the ceremony must be the one that the journal of keyd names, signed by the quorum of the one before',
    remedy: 'put back the files of keyd/policies as they were; a backup of the same moment as the journal has them',
  },
  'policy.outdated-form': {
    kind: 'invalid',
    rule: 'the policy must hold cryptoperiods, custody, strengths, quorums and grace periods; this one was written before policies had them',
    remedy: 'begin with a new data directory, or complete the policy file and hold a new ceremony with it',
  },
  'policy.purpose-duplicate': { kind: 'invalid', rule: 'each purpose of keys stands once in each section' },
  'policy.purpose-missing': { kind: 'invalid', rule: 'no purpose of keys may be left without a rule' },
  'policy.cryptoperiod-too-long': {
    kind: 'invalid',
    rule: 'a cryptoperiod may not be longer than the ceiling of its purpose (SP 800-57 pt 1 r5 section 5.3.6)',
  },
  'policy.cryptoperiod-order': {
    kind: 'invalid',
    rule: 'the warning comes before the end of the originator usage period, which is not after that of the recipient',
  },
  'policy.validity-exceeds-cryptoperiod': {
    kind: 'invalid',
    rule: 'a certificate may not be valid for longer than its key may be used',
    remedy: 'shorten the validity, or lengthen the cryptoperiod of the purpose',
  },
  'policy.custody-conflict': {
    kind: 'invalid',
    rule: 'a place stands once, and no software module has a FIPS 140 level above 1',
  },
  'policy.strength-too-low': {
    kind: 'invalid',
    rule: 'an algorithm must have the strength that the policy, and the purpose of the key, need',
  },
  'policy.quorum-too-small': {
    kind: 'invalid',
    rule: 'a policy is changed with at least two approvals, unless it calls itself a demonstration',
  },
  'policy.quorum-impossible': {
    kind: 'invalid',
    rule: 'the operators of a policy must be able to make up its quorum, or no policy could ever follow it',
  },
  'policy.promise-too-short': {
    kind: 'invalid',
    rule: 'a promise must be one that the lifetimes of OCSP answers let come true',
  },
  'policy.backup-custodian': {
    kind: 'invalid',
    rule: 'a custodian of backups is an operator in the role custodian, named once, with a key of their own',
  },
  'policy.backup-threshold': {
    kind: 'invalid',
    rule: 'a restore takes at least two custodians, no fewer than quorums.restore approves, and no more than there are',
  },
  'policy.fleet-changed': {
    kind: 'invalid',
    rule: 'trust.fleet stays as it is once a bundle was signed: each device takes the bundles of its own fleet alone',
    remedy: 'keep the name; a fleet of another name has a keyd of its own',
  },
  'policy.firmware-no-transition': {
    kind: 'invalid',
    rule: 'a line goes on to sign by a key that its devices trusted by the policy before, unless it says cutOver',
    remedy: 'name the new key beside the old one first, bring its anchor to the devices, and retire the old one later',
  },
  'policy.tuf-rule': {
    kind: 'invalid',
    rule: 'a repository and each of its keys stand once in the policy, and a timestamp is good for no longer than a snapshot',
  },
  'policy.factory-missing': {
    kind: 'conflict',
    rule: 'the policy must have a section factory, for there are factory nodes under it',
  },
  'policy.factory-names': {
    kind: 'conflict',
    rule: 'what the sub-CAs of a factory issue must be named under the organization of the CA above them',
  },
  'policy.factory-hierarchy': {
    kind: 'invalid',
    rule: 'where there are factory nodes the root, the manufacturing CA and the server CA must allow a sub-CA below them',
    remedy: 'only a founding ceremony, or a rollover of the root, can certify longer paths',
  },
  'policy.transition-too-short': {
    kind: 'invalid',
    rule: 'an old root stays an anchor for at least as long as the certificates live with which devices learn of the new one',
  },
  'policy.est-profile': {
    kind: 'invalid',
    rule: 'est.serverKeys names profiles of devices, est.channelBinding those of devices or hosts, and all of them end',
  },
  'policy.stations': {
    kind: 'invalid',
    rule: "the profile 'station' is a host under the server CA, with clientAuth and nothing else, for which operators sign",
    remedy: 'docs/station.md shows it',
  },
  'policy.unit-keys-unsound': {
    kind: 'invalid',
    rule: 'unitKeys.injected names profiles of units, unitKeys.diversified each purpose once, with its version',
  },
  'policy.signer-unfit': {
    kind: 'invalid',
    rule: 'each key by which an operator signs must be of an algorithm of the policy, and neither weak nor published',
  },
  'policy.hardware-unenforced': {
    kind: 'invalid',
    rule: 'a policy demands hardware-held keys only of approvals whose signatures are verified',
    remedy: 'leave `hardware` out: how this quorum comes together is by procedure',
  },
  'approval.malformed': {
    kind: 'invalid',
    rule: 'the file of approvals must have the form that keystead policy writes',
  },
  'approval.proposal-missing': {
    kind: 'forbidden',
    rule: 'the one who asks for a policy signs that they do: keystead policy propose',
  },
  'approval.proposal-exists': {
    kind: 'conflict',
    rule: 'a policy is proposed once; its approvals are added to that',
    remedy: 'approve it, or move the file away to begin anew',
  },
  'approval.proposer-differs': { kind: 'forbidden', rule: 'every statement must name the one who signed the proposal' },
  'approval.signer-unknown': { kind: 'forbidden', rule: 'the signer must be an operator of the policy in force' },
  'approval.signer-forbidden': {
    kind: 'forbidden',
    rule: 'a policy administrator proposes, and those approve whose role the quorum of the policy in force names',
  },
  'approval.signature-invalid': {
    kind: 'forbidden',
    rule: 'a statement must be signed with the key that the policy in force has for its signer',
  },
  'approval.other-policy': {
    kind: 'forbidden',
    rule: 'a statement must be about this policy, as the successor of the policy in force',
    remedy: 'have this very file approved anew',
  },
  'approval.expired': {
    kind: 'forbidden',
    rule: 'a statement must not have expired',
    remedy: 'have the policy proposed and approved anew',
  },
  'approval.not-yet-valid': { kind: 'forbidden', rule: 'a statement must not be signed in the future' },
  'approval.too-long': {
    kind: 'forbidden',
    rule: 'a statement may not be valid for longer than the policy in force allows',
  },
  'approval.duplicate': { kind: 'forbidden', rule: 'a person, and a key, signs once' },
  'approval.self': { kind: 'forbidden', rule: 'nobody approves their own request' },
  'approval.too-few': {
    kind: 'forbidden',
    rule: 'as many people must approve as the quorum of the policy in force names',
    remedy: 'keystead policy approve, by another person',
  },
  'approval.hardware-required': {
    kind: 'forbidden',
    rule: 'where the policy says so, an approval counts only by a key that is held in hardware: a security key, a passkey that cannot be copied, a token',
    remedy: 'sign with the security key or token that the policy has for you, or have a quorum put one there',
  },
  'approval.signer-failed': {
    kind: 'invalid',
    rule: 'what --sign-with names must be able to sign: ssh:FILE for ssh-keygen, or pkcs11:URI for a token',
    remedy: 'what ssh-keygen or the token said stands above; try it by hand',
  },
  'approval.signature-unreadable': {
    kind: 'invalid',
    rule: 'a signature that was made elsewhere lies in FILE.sig, beside the FILE of bytes that was written for it',
    remedy:
      'write the bytes with --bytes-out FILE, sign them with ssh-keygen -Y sign, and give the FILE.sig that it made',
  },
  'approval.ssh-refused': {
    kind: 'forbidden',
    rule: 'an SSH signature of a statement must be for the namespace keystead-approval, of these very bytes, and by a security key that was touched',
    remedy: 'ssh-keygen -Y sign -n keystead-approval -f KEY FILE, with the FILE of --bytes-out as it is',
  },
  'approval.bytes-differ': {
    kind: 'conflict',
    rule: 'the bytes that were written out to be signed elsewhere must be of the same statement as the one that is completed with their signature',
    remedy: 'repeat the command just as it was when it wrote the bytes, or write them out anew',
  },
  'approval.passkey-counter': {
    kind: 'forbidden',
    rule: 'the signature counter of an authenticator goes up with each statement that it signs (WebAuthn 6.1.1)',
    remedy: 'the authenticator may have been copied: ask its owner, and take the passkey out of the policy',
  },
} as const satisfies Record<string, ErrorEntry>;
