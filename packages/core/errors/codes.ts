/**
 * The class of a failure. Protocols map it to their own codes:
 * invalid 400, unauthenticated 401, forbidden 403, not-found 404, conflict 409, too-large 413,
 * unsupported 415, too-many 429, internal 500, unavailable 503.
 */
export type ErrorKind =
  | 'invalid'
  | 'unauthenticated'
  | 'forbidden'
  | 'not-found'
  | 'conflict'
  | 'too-large'
  | 'unsupported'
  | 'too-many'
  | 'internal'
  | 'unavailable';

export interface ErrorEntry {
  readonly kind: ErrorKind;
  /** The rule that was broken, as a sentence without a full stop. */
  readonly rule: string;
  /** What the reader can do about it. */
  readonly remedy?: string;
}

/** Every failure that Keystead reports on purpose. Codes are stable: never rename, only add. */
export const ERRORS = {
  // ---- requests as such
  'request.malformed': { kind: 'invalid', rule: 'the request does not have the form that this operation takes' },
  'request.too-large': { kind: 'too-large', rule: 'the body is larger than this operation takes' },
  'request.content-type': { kind: 'unsupported', rule: 'the content type is not the one that this operation takes' },
  'internal.unexpected': {
    kind: 'internal',
    rule: 'an unexpected failure; nothing was changed',
    remedy: 'look up the request id in the log',
  },
  // ---- certification requests
  'csr.not-der': { kind: 'invalid', rule: 'a certification request must be DER by RFC 2986' },
  'csr.attributes-malformed': {
    kind: 'invalid',
    rule: 'what a server would have in a request must be CsrAttrs, DER (RFC 7030 section 4.5.2)',
  },
  'csr.signature-invalid': {
    kind: 'invalid',
    rule: 'the proof of possession (the signature of the request by its own key) must verify',
  },
  'csr.subject-mismatch': { kind: 'forbidden', rule: 'the subject must be that of the authenticated requester' },
  'csr.extension-forbidden': {
    kind: 'invalid',
    rule: 'the request may ask only for extensions that the profile allows',
  },
  // ---- names, certificates
  'csr.signature-algorithm': {
    kind: 'invalid',
    rule: 'a request is signed by its own key with SHA-256 or SHA-384, or with Ed25519',
  },
  'cert.not-der': { kind: 'invalid', rule: 'a certificate must be DER by RFC 5280' },
  'certificate.lint-failed': {
    kind: 'invalid',
    rule: 'a certificate must keep RFC 5280 and its profile before it is signed',
  },
  'device.id-malformed': {
    kind: 'invalid',
    rule: 'a device id is 1 to 64 of A-Z a-z 0-9 . - and begins with a letter or digit',
  },
  'person.name-malformed': {
    kind: 'invalid',
    rule: 'a name of a person is 1 to 64 of a-z 0-9 . - and begins with a letter or digit',
  },
  'name.malformed': {
    kind: 'invalid',
    rule: 'a name must be one that a certificate can carry (RFC 5280 section 4.1.2)',
  },
  // ---- public keys (goodkey)
  'key.algorithm-forbidden': {
    kind: 'invalid',
    rule: 'the key must be of an algorithm and size that the profile allows',
  },
  'key.weak': { kind: 'invalid', rule: 'the key is weak: it fails a check of its parameters' },
  'key.known-compromised': {
    kind: 'invalid',
    rule: 'the key is publicly known and may never be used',
    remedy: 'make a new key',
  },
  'key-list.malformed': {
    kind: 'invalid',
    rule: 'a list of weak keys has lines of 20 lowercase hex digits, and comments that begin with #',
    remedy: 'put the list back as its publisher has it, or take it out of weak-keys/ in the directory of keyd',
  },
  'key.already-used': {
    kind: 'conflict',
    rule: 'a key belongs to one device and one certificate for all time',
    remedy: 'make a new key',
  },
  // ---- crypto
  'rng.unhealthy': {
    kind: 'internal',
    rule: 'the random source must pass its health tests (SP 800-90B section 4.4)',
    remedy: 'stop the service and replace the machine or its random source; do not use what it made lately',
  },
  'key.malformed': { kind: 'invalid', rule: 'a private key must be DER by PKCS#8 (RFC 5208)' },
  'key.algorithm-mismatch': { kind: 'invalid', rule: 'the key must be of the algorithm that its record names' },
  'key.not-opened': {
    kind: 'unauthenticated',
    rule: 'an encrypted private key opens only whole and with its own passphrase',
  },
  'key.inconsistent': {
    kind: 'internal',
    rule: 'a new key pair must verify its own signature (FIPS 140-3 pairwise consistency)',
  },
  'kdf.length': {
    kind: 'invalid',
    rule: 'a derived key has 1 to 255 times as many bytes as the hash (RFC 5869 section 2.3), at most 8160 by SP 800-108 and SP 800-56C',
  },
  'kdf.purpose-malformed': {
    kind: 'invalid',
    rule: 'a purpose is a label of lower-case letters, digits, blanks, dots and hyphens',
  },
  'kdf.purpose-reused': { kind: 'conflict', rule: 'no derived key is used for a second purpose' },
  'kdf.salt-too-short': { kind: 'invalid', rule: 'a salt has at least 128 bits (SP 800-132 section 5.1)' },
  'kdf.iterations-too-low': {
    kind: 'invalid',
    rule: 'a passphrase is stretched as long as its user bears (SP 800-132 section 5.2): at least 600000 iterations with SHA-256, 210000 with SHA-512, three passes of Argon2id',
  },
  'kdf.memory-too-low': {
    kind: 'invalid',
    rule: 'Argon2id takes at least 64 MiB and three passes (RFC 9106 section 4)',
  },
  'kdf.key-too-short': {
    kind: 'invalid',
    rule: 'a key from a passphrase has at least 112 bits (SP 800-132 section 5.3)',
  },
  'kdf.cost-too-high': { kind: 'invalid', rule: 'the cost of a passphrase must be one that this machine can bear' },
  'kdf.passphrase-empty': { kind: 'invalid', rule: 'a passphrase may not be empty' },
  'kdf.not-approved': { kind: 'invalid', rule: 'in FIPS mode only PBKDF2 is approved (SP 800-132)' },
  'seal.damaged': {
    kind: 'invalid',
    rule: 'sealed bytes must be whole, unaltered and sealed by this key for this use',
  },
  // ---- derivation, agreement and wrapping
  'kdf.master-too-short': {
    kind: 'invalid',
    rule: 'keys are derived from a secret of at least 112 bits (SP 800-131A r2 section 8)',
  },
  'kdf.label-malformed': {
    kind: 'invalid',
    rule: 'a label says what the key is for and has no zero byte, which ends it (SP 800-108r1 section 4)',
  },
  'kdf.context-malformed': {
    kind: 'invalid',
    rule: 'the context of a derived key names its parties, each in bounds (SP 800-56C r2 section 4.1)',
  },
  'agreement.key-invalid': {
    kind: 'invalid',
    rule: 'a public key is validated in full before it is used: its group and one encoding, on the curve, not infinity, not of small order (SP 800-56A r3 section 5.6.2.3, RFC 7748 section 6.1)',
  },
  'agreement.key-used': {
    kind: 'conflict',
    rule: 'an ephemeral key agrees once (SP 800-56A r3 section 5.6.3.3)',
    remedy: 'make a new one for each agreement',
  },
  'agreement.not-approved': {
    kind: 'invalid',
    rule: 'in FIPS mode keys are agreed on the curves of SP 800-56A r3 appendix D only',
    remedy: 'use P-256, P-384 or P-521',
  },
  'kem.key-invalid': {
    kind: 'invalid',
    rule: 'an encapsulation key must have its length, coefficients below q and a valid point (FIPS 203 section 7.2)',
  },
  'kem.ciphertext-invalid': {
    kind: 'invalid',
    rule: 'a ciphertext must have its length and a valid point (FIPS 203 section 7.3)',
  },
  'kem.seed-malformed': { kind: 'invalid', rule: 'the seed of a private key must have its length' },
  'wrap.length': {
    kind: 'invalid',
    rule: 'AES-KW wraps 16, 24, 32 or more whole 8 bytes, AES-KWP at least one byte (SP 800-38F section 5.3.1)',
  },
  'wrap.damaged': {
    kind: 'invalid',
    rule: 'a wrapped key must be whole, unaltered and wrapped by this key in this way',
  },
  // ---- keystore
  'keystore.wrong-passphrase': {
    kind: 'unauthenticated',
    rule: 'the passphrase must be the one that the keystore was sealed with',
  },
  'keystore.damaged': {
    kind: 'internal',
    rule: 'the keystore file must be whole and unaltered',
    remedy: 'restore the file from its backup',
  },
  'keystore.missing': { kind: 'not-found', rule: 'there must be a keystore at this path' },
  'keystore.exists': {
    kind: 'conflict',
    rule: 'a keystore is created once; it is never overwritten',
    remedy: 'open it instead',
  },
  'keystore.key-exists': { kind: 'conflict', rule: 'a key id stands in a keystore once' },
  'keystore.key-missing': { kind: 'not-found', rule: 'the keystore must hold the key' },
  'keystore.key-malformed': {
    kind: 'invalid',
    rule: 'a key id has 1 to 64 letters, digits, dots, hyphens or underscores',
  },
  'keystore.closed': { kind: 'internal', rule: 'a closed keystore signs nothing' },
  'keystore.changed': {
    kind: 'conflict',
    rule: 'one process at a time changes a keystore',
    remedy: 'open the keystore again',
  },
  // ---- keystore: tokens (PKCS#11)
  'keystore.pkcs11-unavailable': {
    kind: 'unavailable',
    rule: 'a PKCS#11 token needs the native addon pkcs11js, which is not built on this machine',
    remedy:
      'install a compiler (Debian: apt-get install g++ make python3), then run npm ci; if pkcs11js is in node_modules already, npm rebuild pkcs11js',
  },
  'keystore.module-missing': {
    kind: 'unavailable',
    rule: 'the PKCS#11 module must be where the configuration says',
    remedy:
      "install the token's software, or set `module` (keystore.json of keyd, agent.json of a device) to the path of its library",
  },
  'keystore.module-unusable': {
    kind: 'unavailable',
    rule: 'the PKCS#11 module must load and initialise',
    remedy: "see the module's own configuration and log",
  },
  'keystore.token-absent': {
    kind: 'unavailable',
    rule: 'the token must be present, and initialised by its own tools',
    remedy:
      'put the token back or make it reachable; no restart is needed. See `token` in keystore.json or agent.json if it is there',
  },
  'keystore.token-ambiguous': {
    kind: 'conflict',
    rule: 'a token, and a key on it, must be the only one of its name',
    remedy: 'name the token by its serial; of two keys with one CKA_ID remove the one that is not from Keystead',
  },
  'keystore.pin-incorrect': {
    kind: 'unauthenticated',
    rule: 'the PIN must be the user PIN of the token',
    remedy: 'give the right PIN; nothing is tried again by itself, since each attempt costs one of the few there are',
  },
  'keystore.pin-final-try': {
    kind: 'forbidden',
    rule: 'the last attempt before the token locks its PIN is not spent by a service',
    remedy: 'log in once by hand with the right PIN, which resets the counter: pkcs11-tool --login --list-objects',
  },
  'keystore.pin-locked': {
    kind: 'forbidden',
    rule: 'the user PIN of the token must not be locked',
    remedy: 'have the security officer set a new user PIN (pkcs11-tool --init-pin --login --login-type so); keys stay',
  },
  'keystore.pin-unset': {
    kind: 'forbidden',
    rule: 'the token must have a user PIN that is not expired',
    remedy: 'have the security officer set one (pkcs11-tool --init-pin --login --login-type so)',
  },
  'keystore.login-lost': {
    kind: 'unavailable',
    rule: 'after a reconnection the token must accept the PIN that it accepted before',
    remedy: 'restart the service with the PIN of now; nothing is tried again by itself',
  },
  'keystore.token-full': {
    kind: 'unavailable',
    rule: 'the token must have room for the key',
    remedy: 'destroy what is not needed on the token, or use a larger one; nothing was changed',
  },
  'keystore.token-write-protected': { kind: 'forbidden', rule: 'the token must not be write-protected' },
  'keystore.token-slow': {
    kind: 'unavailable',
    rule: 'the token must answer within the time that keystore.json gives it (`callSeconds`)',
    remedy: 'ask again; see the load and the network of the token',
  },
  'keystore.token-failed': {
    kind: 'unavailable',
    rule: 'the token must carry out the call',
    remedy: "see the token's own log",
  },
  'keystore.mechanism-unsupported': {
    kind: 'unsupported',
    rule: 'the token must offer the mechanism, size and curve that the key needs',
    remedy: 'see pkcs11-tool --list-mechanisms; take another algorithm or another token',
  },
  'keystore.template-refused': {
    kind: 'unsupported',
    rule: 'the token must take the attributes of the key',
    remedy: 'see `quirks` in docs/pkcs11.md',
  },
  'keystore.key-exposed': {
    kind: 'internal',
    rule: 'a key on a token is sensitive, never extractable and made there, by the attributes that the token itself shows',
    remedy: 'do not use this token for keys: it did not make the key as it was asked to',
  },
  'keystore.not-destroyed': {
    kind: 'internal',
    rule: 'what was destroyed on a token must be gone when the token is asked again',
    remedy: 'repeat it; if it stays, initialise the token anew by its own tools, or destroy the token',
  },
  'keystore.export-forbidden': {
    kind: 'forbidden',
    rule: 'a signing key cannot be backed up in a form that leaves its keystore: there is no path (REQ-KEY-BAK-01)',
    remedy: 'make a new key and certify it; an HSM is cloned inside of its own domain, by its own tools',
  },
  'passphrase.unavailable': {
    kind: 'invalid',
    rule: 'the passphrase must come over a file descriptor, a credential, a private file or a terminal',
  },
  'passphrase.file-exposed': {
    kind: 'forbidden',
    rule: 'a passphrase file belongs to this user and nobody else may read or write it (mode 0600 or 0400)',
    remedy: 'chmod 600 the file, and change the passphrase if others could have read it',
  },
  // ---- TPM 2.0
  'tpm2.unavailable': {
    kind: 'unavailable',
    rule: 'the TPM must be there and answer',
    remedy:
      'look whether the device or socket is there, whether this user may open it, and try again; nothing was changed',
  },
  'tpm2.address': {
    kind: 'invalid',
    rule: 'a TPM is named device:/dev/tpmrm0, unix:/path/of/socket or tcp:host:port',
  },
  'tpm2.malformed': {
    kind: 'internal',
    rule: 'what a TPM sends must have the form of the TPM 2.0 Library specification, Parts 2 and 3',
    remedy: 'nothing was changed; if it happens again, replace the TPM or whatever stands in for it',
  },
  'tpm2.failure-mode': {
    kind: 'unavailable',
    rule: 'the TPM must not be in failure mode (TPM_RC_FAILURE)',
    remedy:
      'power-cycle the machine; if it happens again, replace the TPM and restore what it sealed from the custodians',
  },
  'tpm2.lockout': {
    kind: 'unavailable',
    rule: 'the TPM must not be in dictionary-attack lockout; nothing is lost, it only waits',
    remedy:
      'wait until it has recovered, or reset it with the lockout authorization (tpm2_dictionarylockout --clear-lockout)',
  },
  'tpm2.auth-failed': { kind: 'forbidden', rule: 'the authorization value must be the one of the object or hierarchy' },
  'tpm2.pcr-mismatch': {
    kind: 'forbidden',
    rule: 'the PCRs must have the values that the secret was sealed to',
    remedy:
      'if the boot change was meant, seal again with the passphrase from its custodians (keystead tpm seal); if it was not, find out what booted',
  },
  'tpm2.pcr-selection': { kind: 'invalid', rule: 'one to 24 PCRs with numbers 0 to 23, of a bank that the TPM has' },
  'tpm2.other-tpm': {
    kind: 'conflict',
    rule: 'the file must have been made with this TPM, whose owner hierarchy was not cleared since',
    remedy: 'use the machine that made it, or make it anew from the secret that the custodians hold',
  },
  'tpm2.unsupported': { kind: 'unsupported', rule: 'the TPM must be able to do what is asked for' },
  'tpm2.full': {
    kind: 'unavailable',
    rule: 'the TPM must have room for one more object or session',
    remedy: 'use /dev/tpmrm0, whose resource manager makes room; or flush what others left (tpm2_flushcontext -t)',
  },
  'tpm2.refused': { kind: 'internal', rule: 'the TPM refused the command' },
  'tpm2.file-damaged': {
    kind: 'internal',
    rule: 'a file of TPM objects must be whole and unaltered',
    remedy: 'restore the file from its backup',
  },
  'tpm2.file-missing': { kind: 'not-found', rule: 'there must be a file of TPM objects at this path' },
  'tpm2.file-exists': { kind: 'conflict', rule: 'a file of TPM objects is never overwritten unasked' },
  'tpm2.counter-exists': {
    kind: 'conflict',
    rule: 'an NV index is defined once',
    remedy: 'take another index (tpm2_getcap handles-nv-index lists those in use)',
  },
  'tpm2.counter-missing': {
    kind: 'not-found',
    rule: 'the NV index must be the counter that Keystead defined',
    remedy: 'if the TPM was cleared or changed, define a counter again and have operators order the recount',
  },
  'tpm2.secret-too-long': { kind: 'invalid', rule: 'a TPM seals 1 to 128 bytes (Part 2 section 12.3.3, MAX_SYM_DATA)' },
  'attestation.ek-refused': {
    kind: 'forbidden',
    rule: 'the endorsement key must have a certificate that chains to a root of a TPM manufacturer in the policy, or stand in the policy itself',
  },
  'attestation.key-refused': {
    kind: 'forbidden',
    rule: 'an attested key must have been made in the TPM, be fixed to it, and be named by a hash that is not broken',
  },
  'attestation.challenge-refused': {
    kind: 'forbidden',
    rule: 'a challenge is answered once, in time, for the unit and key it was made for, with the secret that only the TPM can open',
    remedy: 'begin again with a new challenge; a restart of keyd and a change of the policy forget those that are open',
  },
  'attestation.busy': {
    kind: 'unavailable',
    rule: 'so many challenges wait for their answers that no more are made',
    remedy: 'try again when they have expired, in two minutes',
  },
  'attestation.statement-refused': {
    kind: 'forbidden',
    rule: 'a statement of a TPM must be signed by its attestation key and say what is asked for',
  },
  'attestation.required': {
    kind: 'forbidden',
    rule: 'this unit must show that its key is in a TPM: its ticket or the policy demands it',
    remedy: 'ask for a challenge first (POST /api/v1/attestations), and send its answer with the request',
  },
  'attestation.not-configured': {
    kind: 'forbidden',
    rule: 'a TPM is believed only where the policy names its maker or its endorsement key',
    remedy: 'put a section `attestation` into the policy (docs/attestation.md)',
  },
  'attestation.too-many': {
    kind: 'too-many',
    rule: 'one operator asks for no more challenges than a line needs: a few at once, two in a second',
    remedy: 'wait a few seconds',
  },
  'policy.attestation-unsound': {
    kind: 'invalid',
    rule: 'the makers of TPMs are named by certificates of CAs, and where each unit must be attested at least one is named',
  },
  // ---- policy and lifecycle
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
  'key.cryptoperiod-ended': {
    kind: 'forbidden',
    rule: 'a key signs only within its originator usage period (SP 800-57 pt 1 r5 section 5.3)',
    remedy: 'replace the key in a ceremony, or have the quorum approve a policy with a longer period',
  },
  // ---- approvals of a policy
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
  'profile.unknown': { kind: 'invalid', rule: 'the profile must be one that the policy holds' },
  'key.transition-forbidden': {
    kind: 'conflict',
    rule: 'the key may change its state only by a transition of the table (SP 800-57 pt 1 r5 section 7)',
  },
  // ---- the key inventory
  'key.history-disordered': {
    kind: 'invalid',
    rule: 'the history of a key begins with its generation, and each step is at or after the one before',
  },
  'key.use-forbidden': {
    kind: 'forbidden',
    rule: 'a key is used only as its state and its usage periods allow (SP 800-57 pt 1 r5 sections 5.3.5 and 7)',
    remedy: 'keystead keys tells the state, dates and history of each key',
  },
  'key.unknown': { kind: 'not-found', rule: 'the key must stand in the inventory' },
  'key-order.malformed': { kind: 'invalid', rule: 'an order for a key must have the form that keystead keys writes' },
  'key-order.signer-forbidden': {
    kind: 'forbidden',
    rule: 'a key is stopped by a CA operator, and brought back by a policy administrator who did not stop it',
  },
  'key-order.signature-invalid': {
    kind: 'forbidden',
    rule: 'an order for a key must carry the signature of the operator whom it names',
  },
  'key-order.stale': {
    kind: 'conflict',
    rule: 'an order for a key is for one key in one moment of its history, and good for an hour',
    remedy: 'look at the key with keystead keys show, and give the order again',
  },
  // ---- backup
  'policy.backup-custodian': {
    kind: 'invalid',
    rule: 'a custodian of backups is an operator in the role custodian, named once, with a key of their own',
  },
  'policy.backup-threshold': {
    kind: 'invalid',
    rule: 'a restore takes at least two custodians, no fewer than quorums.restore approves, and no more than there are',
  },
  'backup.signing-key-forbidden': {
    kind: 'forbidden',
    rule: 'no signing key is ever backed up, escrowed or exported, sealed or not (REQ-KEY-BAK-01)',
    remedy: 'a lost issuing key is replaced by a later ceremony; docs/backup.md says how',
  },
  'backup.member-unknown': { kind: 'invalid', rule: 'a backup holds the files that are listed for it and no other' },
  'backup.not-configured': {
    kind: 'conflict',
    rule: 'the policy must name the custodians of backups',
    remedy: 'put `backup: {threshold, custodians}` into the policy; docs/backup.md shows it',
  },
  'backup.recipient-malformed': {
    kind: 'invalid',
    rule: 'a recipient is age1… (X25519) or age1tag1… (P-256), in lower case, with its checksum',
  },
  'backup.state-inconsistent': {
    kind: 'conflict',
    rule: "the records, the log and keyd's files must tell one history before they are backed up",
    remedy: 'run keystead audit verify',
  },
  'backup.exists': {
    kind: 'conflict',
    rule: 'a backup or a key is never written over a file that is there',
    remedy: 'name another file',
  },
  'backup.disk-full': {
    kind: 'unavailable',
    rule: 'the disk must have room; nothing was kept of what did not fit',
    remedy: 'make room, or name another disk, and begin again',
  },
  'backup.unreadable': { kind: 'not-found', rule: 'the backup file must exist and be readable' },
  'backup.malformed': { kind: 'invalid', rule: 'a backup file must have the form that keystead backup create writes' },
  'backup.damaged': {
    kind: 'invalid',
    rule: 'each byte of a backup must be the one that was signed',
    remedy: 'take another copy of this backup, or another backup',
  },
  'backup.signature-invalid': {
    kind: 'forbidden',
    rule: "the manifest must be signed by keyd's evidence key, which leads to the root that you trust",
    remedy: 'compare the root with the one of the ceremony',
  },
  'backup.custodian-unknown': {
    kind: 'forbidden',
    rule: 'a custodian must be one whom the policy, and so the manifest, names',
  },
  'backup.key-differs': {
    kind: 'unauthenticated',
    rule: 'a share opens only with the key that the policy names for its custodian',
  },
  'backup.share-malformed': { kind: 'invalid', rule: 'a share must have the form that the backup gave it' },
  'backup.share-foreign': {
    kind: 'conflict',
    rule: 'a share opens the backup that it was made for and no other',
    remedy: 'take the share out of this very backup file',
  },
  'backup.share-altered': { kind: 'invalid', rule: 'a share must be the one that the signed manifest commits to' },
  'backup.share-repeated': {
    kind: 'conflict',
    rule: 'each custodian counts once',
    remedy: 'ask another custodian',
  },
  'backup.response-foreign': {
    kind: 'conflict',
    rule: 'a response is encrypted to one restoring session and of no use to another',
    remedy: 'have the custodian open the share again, for the recipient that this session shows',
  },
  'backup.too-few-shares': {
    kind: 'forbidden',
    rule: 'a restore takes as many custodians as the policy says',
    remedy: 'ask more custodians',
  },
  'backup.shares-inconsistent': {
    kind: 'invalid',
    rule: 'the shares together must give the key to which this backup is encrypted',
  },
  'backup.target-not-empty': {
    kind: 'conflict',
    rule: 'a restore goes into an empty directory and overwrites nothing',
    remedy: 'name an empty directory with --to, or move the old one away',
  },
  'backup.older-than-state': {
    kind: 'conflict',
    rule: 'a backup never replaces a state that is newer than itself',
    remedy: 'keep the state that is there',
  },
  'backup.newest-unknown': {
    kind: 'conflict',
    rule: 'a restore must be told how far the log had come: an older log under the same key is a fork',
    remedy:
      "give the newest copy of the log's files with --log, or the newest checkpoint with --seen, or accept the loss",
  },
  'backup.older-than-seen': {
    kind: 'conflict',
    rule: 'the restored log must reach the newest checkpoint that anybody has',
    remedy: 'give a newer backup, or a copy of the log with --log; or have the loss accepted with --accept-loss',
  },
  'backup.crl-foreign': {
    kind: 'invalid',
    rule: 'a CRL from the field must be signed by one of the CAs of this backup',
  },
  'backup.log-differs': {
    kind: 'conflict',
    rule: 'the newer log must be proven from its files and continue the one in the backup',
  },
  'ticket.before-restore': {
    kind: 'forbidden',
    rule: 'a ticket that was in force before a restore is closed: units may have been made that are forgotten',
    remedy: 'sign a new ticket for what is left of the batch',
  },
  // ---- agent (the device's side)
  'state.missing': { kind: 'not-found', rule: 'the directory must hold a device state' },
  'state.key-held': {
    kind: 'unsupported',
    rule: 'a key that a TPM or a token holds signs there and is never lent; node:tls takes no such key',
    remedy:
      'use it for requests and attestation; connect with a key that the state holds (docs/tpm2.md, docs/agent.md)',
  },
  'state.exists': { kind: 'conflict', rule: 'a device state is created once', remedy: 'open it instead' },
  'state.rolled-back': {
    kind: 'conflict',
    rule: 'the device state must be the newest that its hardware counter has counted',
    remedy:
      'an older copy was put in its place: have `keystead-agent recover` give up its credentials and enrol again by the IDevID, or return the device to service',
  },
  'state.damaged': {
    kind: 'internal',
    rule: 'the device state must be whole and sealed by this device',
    remedy: 'return the device to service; its identity cannot be read',
  },
  'state.locked': { kind: 'conflict', rule: 'one agent at a time works on a device state' },
  'state.wiped': {
    kind: 'conflict',
    rule: 'a wiped device has no keys',
    remedy: 'provision it again in a new directory',
  },
  'state.permissions': { kind: 'forbidden', rule: 'nobody but its owner may enter the state directory (mode 0700)' },
  'state.no-credential': { kind: 'not-found', rule: 'the device must hold the credential that this step needs' },
  'enrol.certificate-refused': {
    kind: 'invalid',
    rule: 'an issued certificate must carry the key and name that were asked for and chain to a pinned anchor',
  },
  'est.refused': { kind: 'forbidden', rule: 'the EST server refused the request' },
  'station.refused': { kind: 'forbidden', rule: 'the server refused what the station asked for the unit' },
  'station.bad-answer': { kind: 'internal', rule: 'the server must answer a station as its REST interface says' },
  'est.malformed': { kind: 'invalid', rule: 'the EST server must answer by RFC 7030 and RFC 8951' },
  'est.unreachable': { kind: 'unavailable', rule: 'the EST server must be reachable' },
  'peer.refused': {
    kind: 'unauthenticated',
    rule: 'the peer must prove an identity that is valid, expected and not revoked',
  },
  'peer.unreachable': { kind: 'unavailable', rule: 'the peer must be reachable by TLS 1.3' },
  'evidence.wipe-malformed': {
    kind: 'invalid',
    rule: "a device's evidence of its wipe must have the form of docs/agent.md",
  },
  'evidence.wipe-device': {
    kind: 'forbidden',
    rule: "the evidence of a wipe must be the device's own, by the IDevID that it was given",
  },
  'evidence.wipe-signature': {
    kind: 'forbidden',
    rule: "a device's evidence of its wipe must carry the signature of its IDevID's key",
  },
  'agent.config-invalid': {
    kind: 'invalid',
    rule: 'the configuration of the agent must be complete, and say nothing that it does not know',
    remedy: 'docs/agent.md has every field',
  },
  'agent.usage': { kind: 'invalid', rule: 'the agent knows the commands and options of `keystead-agent --help`' },
  'agent.secret': {
    kind: 'forbidden',
    rule: 'the device secret must be 32 bytes in a file that nobody but its owner may read',
    remedy: 'give it by LoadCredentialEncrypted= of systemd, or keep it in a TPM or a PKCS#11 token',
  },
  'agent.pin': {
    kind: 'forbidden',
    rule: 'the PIN of the token must be 1 to 64 bytes, in a file that nobody but its owner may read, or come over a file descriptor',
    remedy:
      'give it by LoadCredentialEncrypted= of systemd (`pin.file`), or name the descriptor that it comes over (`pin.fd`)',
  },
  'agent.tunnel-full': {
    kind: 'too-many',
    rule: 'a tunnel has no more connections at once than its configuration says',
    remedy: 'close some, or raise `most` of the tunnel in agent.json, with the descriptors for it (LimitNOFILE=)',
  },
  'agent.other-token': {
    kind: 'conflict',
    rule: 'the token must be the one that the device was made with, and hold its key',
    remedy:
      "put the device's own token back; if it is lost, decommission the device and provision it again in new directories",
  },
  'uptake.refused': {
    kind: 'forbidden',
    rule: "the server must take the device's report of its trust bundle and firmware",
  },
  'renewal.info-refused': {
    kind: 'forbidden',
    rule: 'the server must say in which window it would have the credential renewed, or null',
  },
  'trust.none': {
    kind: 'not-found',
    rule: 'the device must know a fleet and its signers before it takes a trust bundle',
    remedy: 'provision it with the fleet and the signers of its first bundle',
  },
  'trust.unreachable': {
    kind: 'unavailable',
    rule: 'the server must give the trust bundle and its filter',
    remedy: 'nothing has changed; the device goes on by its bundle until that expires, and asks again',
  },
  'trust.filter-differs': {
    kind: 'forbidden',
    rule: 'a filter is taken only with the bundle that names it by its SHA-256',
    remedy: 'nothing has changed; look at what stands between the device and the server',
  },
  'renewal.grace-ended': {
    kind: 'forbidden',
    rule: 'an expired device recovers by itself only within the grace period',
    remedy: 'have an operator admit the device again',
  },
  'session.frame-refused': {
    kind: 'unauthenticated',
    rule: 'a message must be authentic, in order and of this session',
  },
  'session.exhausted': {
    kind: 'conflict',
    rule: 'a session key protects at most 2^32 messages',
    remedy: 'open a new session',
  },
  'backend.config-invalid': { kind: 'invalid', rule: 'the configuration of the example backend must be complete' },
  // ---- evidence
  'record.unproven': {
    kind: 'invalid',
    rule: 'a provisioning record must be signed, and its entry must be in the log',
  },
  'record.export-damaged': {
    kind: 'invalid',
    rule: 'an export must be whole: every file that SHA256SUMS lists, as it was written, and no other',
    remedy: 'run the same export again: it goes on where it was cut off; take nothing from one that was changed',
  },
  'record.export-exists': {
    kind: 'conflict',
    rule: 'an export is written into a directory that is empty, or that holds the beginning of the same export',
    remedy: 'name another directory with --out',
  },
  'record.not-in-log-yet': {
    kind: 'unavailable',
    rule: 'a record is proven by the published log, which follows within seconds',
    remedy: 'try again in a few seconds',
  },
  // ---- the program's own set-up
  'config.missing': { kind: 'not-found', rule: 'there is no Keystead data directory here' },
  'config.malformed': { kind: 'invalid', rule: 'the configuration does not have the form that this version takes' },
  'service.did-not-start': { kind: 'unavailable', rule: 'the service ended before it was ready' },
  'service.port-taken': {
    kind: 'unavailable',
    rule: 'the port that was chosen at the first start must be free: it stands in the certificates',
    remedy: 'stop the other program that listens there, or start with another --data',
  },
  'service.user-unsound': {
    kind: 'forbidden',
    rule: 'a service that root starts becomes the user that its directory belongs to, and cannot become root again',
    remedy: 'give the directory a user and a group of its own',
  },
  'service.unreachable': {
    kind: 'unavailable',
    rule: 'the service could not be reached',
    remedy: 'see that keystead is running; endpoints.json in its data directory names its addresses',
  },
  'service.bad-answer': { kind: 'unavailable', rule: 'the service answered something that is not its interface' },
  'service.already-running': {
    kind: 'conflict',
    rule: 'one data directory has one Keystead at a time',
    remedy: 'stop the other one, or name another directory with --data',
  },
  // ---- ceremony
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
  'keyd.not-ready': {
    kind: 'unavailable',
    rule: 'keyd must have imported the bundle of its ceremony',
    remedy: 'run the ceremony on its request and import the bundle',
  },
  // ---- revocation and certificate exchange: CRL, OCSP, certs-only CMS
  'ocsp.malformed': {
    kind: 'invalid',
    rule: 'an OCSP request must be DER by RFC 6960, with a nonce of 1 to 128 octets',
  },
  'ocsp.hash-unsupported': { kind: 'unsupported', rule: 'a CertID must be made with SHA-1 or SHA-256' },
  'ocsp.busy': {
    kind: 'unavailable',
    rule: 'an OCSP answer must be made from one state of its certificates, within the capacity of the responder',
    remedy: 'ask again',
  },
  'ocsp.answer-malformed': { kind: 'unauthenticated', rule: 'an OCSP answer must be DER by RFC 6960' },
  'ocsp.answer-refused': { kind: 'unavailable', rule: 'the OCSP responder gave no status' },
  'ocsp.answer-untrusted': {
    kind: 'unauthenticated',
    rule: 'an OCSP answer must be signed by the issuer, or by a responder that the issuer itself authorised',
  },
  'ocsp.answer-mismatch': {
    kind: 'unauthenticated',
    rule: 'an OCSP answer must be for the certificate and nonce that were asked for',
  },
  'ocsp.answer-stale': {
    kind: 'unauthenticated',
    rule: 'an OCSP answer must be of the present, between thisUpdate and nextUpdate',
  },
  'crl.malformed': { kind: 'invalid', rule: 'a CRL must be DER of version 2 by RFC 5280 section 5' },
  'crl.unsupported': {
    kind: 'invalid',
    rule: 'a CRL with critical extensions that are not processed must not be relied on',
  },
  'crl.issuer-unfit': { kind: 'invalid', rule: 'the issuer of a CRL must have a subject key identifier' },
  'cms.malformed': {
    kind: 'invalid',
    rule: 'a certs-only message must be a SignedData without signers (RFC 5652, RFC 8951)',
  },
  // ---- CRLs for the verifying side
  'crl-sync.unreachable': {
    kind: 'unavailable',
    rule: 'a distribution point must answer with a CRL',
    remedy: 'what was fetched before stays in force until it ends; look at the address and at the service behind it',
  },
  'crl-sync.unsigned': { kind: 'forbidden', rule: 'a CRL must be signed by one of the CAs that it is wanted for' },
  'crl-sync.ended': { kind: 'forbidden', rule: 'a CRL must be of the present, between thisUpdate and nextUpdate' },
  'crl-sync.older': { kind: 'conflict', rule: 'a CRL never takes the place of one with a higher number' },
  'crl-sync.delta': {
    kind: 'unsupported',
    rule: 'a verifier that reads a file is given whole CRLs: no delta CRL',
    remedy: 'name the address of the full CRL',
  },
  'crl-sync.missing': {
    kind: 'unavailable',
    rule: 'each CA of the path must have its CRL in the bundle, or the verifier refuses everybody below it',
    remedy: 'name the address of its CRL with --url',
  },
  'crl-sync.withdrawn': {
    kind: 'forbidden',
    rule: 'a CA that an indirect CRL revokes, or whose indirect CRL is not to be had, has no CRL in the bundle: the verifier refuses all that it issued',
    remedy:
      'give the certificate of who signs that CRL among the CAs (trust/root-crl-signer.pem); a revoked CA needs a successor',
  },
  'crl-sync.no-ca': { kind: 'invalid', rule: 'the file must hold the certificates of CAs, in PEM' },
  'crl-sync.reload-failed': {
    kind: 'unavailable',
    rule: 'the reload command must end with 0',
    remedy: 'the bundle is written; the next run tries the command again',
  },
  // ---- enrolment authorisations
  // ---- CMP (RFC 9810, 9483)
  'cmp.malformed': { kind: 'invalid', rule: 'a CMP message must be DER by RFC 9810 of at most 64 KiB' },
  'cmp.version-unsupported': { kind: 'invalid', rule: 'a CMP message must be of version 2 or 3' },
  'cmp.body-unsupported': {
    kind: 'invalid',
    rule: 'the message must be one of the lightweight profile (RFC 9483) that is served here',
    remedy:
      'send ir, cr, kur, p10cr, rr, genm, certConf or pollReq, to the address of that operation or to the common one',
  },
  'cmp.one-request': { kind: 'invalid', rule: 'a message is about one certificate (RFC 9483 section 4.1)' },
  'cmp.algorithm-unsupported': {
    kind: 'invalid',
    rule: 'a message is protected by a signature of RFC 9481 section 3, or by PBMAC1 or PasswordBasedMac with SHA-2',
  },
  'cmp.protection-missing': {
    kind: 'unauthenticated',
    rule: 'every request is protected: by the key of a certificate, or by the secret of an authorisation',
  },
  'cmp.protection-invalid': {
    kind: 'unauthenticated',
    rule: 'the protection must be that of this very header and body',
    remedy: 'sign with the key of the first certificate in extraCerts, or check the secret and its reference',
  },
  'cmp.header-incomplete': {
    kind: 'invalid',
    rule: 'a header has a transactionID and a senderNonce of at least 16 octets, and its sender is its signer',
  },
  'cmp.time-refused': {
    kind: 'unauthenticated',
    rule: 'the time of a message must be that of its arrival, give or take ten minutes',
    remedy: 'set the clock of the client',
  },
  'cmp.nonce-refused': { kind: 'unauthenticated', rule: 'an answer names the nonce of the message that it answers' },
  'cmp.recipient-wrong': { kind: 'invalid', rule: 'the recipient must be this authority, or left empty' },
  'cmp.transaction-used': {
    kind: 'conflict',
    rule: 'a transactionID stands for one request of one requester',
    remedy: 'begin again with another transactionID',
  },
  'cmp.transaction-unknown': {
    kind: 'not-found',
    rule: 'the transaction must be one that this requester began and that has not ended',
    remedy: 'begin again: the same request gets the same certificate',
  },
  'cmp.transactions-many': {
    kind: 'too-many',
    rule: 'one requester has at most 256 transactions that have not ended',
    remedy: 'confirm what was issued, or wait until it has lapsed',
  },
  'cmp.busy': {
    kind: 'too-many',
    rule: 'only so many messages that a shared secret protects are checked at a time',
    remedy: 'try again in a moment',
  },
  'cmp.pop-refused': {
    kind: 'invalid',
    rule: 'possession of the key is proven by its signature over the CertRequest (RFC 4211 section 4.1) and by nothing else',
    remedy: 'sign the request with the new key; for a key that cannot sign there is no certificate here',
  },
  'cmp.template-refused': {
    kind: 'invalid',
    rule: 'a certificate request has what RFC 9483 section 4.1.1 lets a requester say, and archives no key',
  },
  'cmp.profile-differs': {
    kind: 'invalid',
    rule: 'the profile in the address or the header must be the one that the requester may have',
  },
  'cmp.old-certificate': {
    kind: 'forbidden',
    rule: 'a key update is signed with the certificate that it names as the old one',
  },
  'cmp.not-by-mac': {
    kind: 'forbidden',
    rule: 'key updates and revocations are signed by the key of a certificate; a shared secret is for enrolment',
  },
  'cmp.revocation-refused': {
    kind: 'forbidden',
    rule: 'a device revokes its own LDevIDs, for good; all else is for operators',
  },
  'cmp.confirmation-refused': {
    kind: 'invalid',
    rule: 'a confirmation names the certificate of its transaction by its hash',
  },
  'cmp.confirmation-late': {
    kind: 'conflict',
    rule: 'a certificate is confirmed in time, or it is revoked',
    remedy: 'enrol again with a new key',
  },
  'cmp.off': {
    kind: 'not-found',
    rule: "CMP is off: the policy in force has no profile 'cmp-ra' for the signer of its answers",
    remedy:
      "put a policy in force that has it; `keystead policy` and the default policy's profile of that name show how",
  },
  'cmp.refused': { kind: 'forbidden', rule: 'the CMP server refused the request' },
  'cmp.answer-untrusted': {
    kind: 'unauthenticated',
    rule: 'an answer must be signed by a registration authority under a pinned anchor, and answer this request',
  },
  'authorisation.malformed': {
    kind: 'invalid',
    rule: 'an enrolment authorisation must have the form that `keystead authorisation create` writes',
  },
  'authorisation.signer-unknown': {
    kind: 'forbidden',
    rule: 'the signer of an enrolment authorisation must stand in the policy',
  },
  'authorisation.signer-forbidden': {
    kind: 'forbidden',
    rule: 'the signer of an enrolment authorisation must hold a role that may authorise enrolments',
  },
  'authorisation.signature-invalid': {
    kind: 'forbidden',
    rule: 'an enrolment authorisation must carry the signature of the operator whom it names',
  },
  'authorisation.exceeds-policy': {
    kind: 'forbidden',
    rule: 'an enrolment authorisation may not allow more than the policy does',
  },
  'authorisation.not-yet-valid': {
    kind: 'forbidden',
    rule: 'an enrolment authorisation is used from its notBefore on',
  },
  'authorisation.expired': {
    kind: 'forbidden',
    rule: 'an enrolment authorisation is used before its notAfter',
    remedy: 'ask an operator for a new one',
  },
  'authorisation.name-forbidden': {
    kind: 'forbidden',
    rule: 'a certificate is given only for names that the enrolment authorisation allows',
  },
  'authorisation.profile-forbidden': {
    kind: 'forbidden',
    rule: 'a certificate is given only by the profile that the enrolment authorisation names',
  },
  'authorisation.way-forbidden': {
    kind: 'forbidden',
    rule: 'an enrolment authorisation is used by the protocols that it names',
  },
  'authorisation.needs-approval': {
    kind: 'forbidden',
    rule: 'each request under this enrolment authorisation needs the approval of an operator',
  },
  'authorisation.request-differs': {
    kind: 'forbidden',
    rule: 'an approval is for the one request whose hash it names',
  },
  'authorisation.spent': {
    kind: 'forbidden',
    rule: 'an enrolment authorisation is good for as many keys as it says',
    remedy: 'ask an operator for a new one',
  },
  'authorisation.id-reused': { kind: 'conflict', rule: 'two enrolment authorisations never have the same id' },
  'authorisation.before-restore': {
    kind: 'forbidden',
    rule: 'an authorisation that was in force before a restore is closed: its uses since the backup are forgotten',
    remedy: 'create a new one',
  },
  'authorisation.unknown': { kind: 'not-found', rule: 'the enrolment authorisation must be registered here' },
  'authorisation.withdrawn': {
    kind: 'forbidden',
    rule: 'an enrolment authorisation that was withdrawn is not used any more',
  },
  'authorisation.secret-wrong': {
    kind: 'unauthenticated',
    rule: 'the id and the secret of an enrolment authorisation must belong together',
  },
  'authorisation.secret-malformed': {
    kind: 'invalid',
    rule: 'the secret of an enrolment authorisation is 32 octets, base64url without padding',
  },
  'authorisation.secret-unreadable': {
    kind: 'forbidden',
    rule: 'the secret must have been sealed under the channel key that serve has now',
    remedy: 'withdraw this enrolment authorisation and create a new one',
  },
  // ---- ACME (RFC 8555)
  'acme.malformed': { kind: 'invalid', rule: 'the request must be one of RFC 8555' },
  'acme.bad-nonce': {
    kind: 'invalid',
    rule: 'each request carries a nonce of this server that was not used before (RFC 8555 section 6.5)',
    remedy: 'send it again with the nonce of this answer',
  },
  'acme.bad-signature-algorithm': {
    kind: 'invalid',
    rule: 'a request is signed by ES256, ES384, EdDSA or RS256 (RFC 8555 section 6.2)',
  },
  'acme.bad-public-key': {
    kind: 'invalid',
    rule: 'an account key is P-256, P-384, Ed25519 or RSA of 2048, 3072 or 4096 bits, and not a known or weak one',
  },
  'acme.signature-invalid': { kind: 'invalid', rule: 'the signature must verify with the key of the request' },
  'acme.url-differs': {
    kind: 'forbidden',
    rule: 'a request is signed for the very URL that it is sent to (RFC 8555 section 6.4)',
    remedy: 'use the URLs of the directory as they stand there',
  },
  'acme.content-type': { kind: 'unsupported', rule: 'the content type of a request is application/jose+json' },
  'acme.method': { kind: 'invalid', rule: 'a resource is read by POST-as-GET (RFC 8555 section 6.3)' },
  'acme.unknown': { kind: 'not-found', rule: 'the resource must be there, and belong to the account' },
  'acme.account-unknown': { kind: 'invalid', rule: 'the account must exist' },
  'acme.account-not-valid': {
    kind: 'unauthenticated',
    rule: 'a deactivated or revoked account does nothing more (RFC 8555 section 7.3.6)',
    remedy: 'make a new account with another key',
  },
  'acme.account-key-taken': { kind: 'conflict', rule: 'an account key belongs to one account' },
  'acme.contact-unsupported': { kind: 'invalid', rule: 'a contact is a mailto: address without header fields' },
  'acme.contact-invalid': { kind: 'invalid', rule: 'a contact must be one address' },
  'acme.binding-required': {
    kind: 'forbidden',
    rule: 'a new account needs an external account binding (RFC 8555 section 7.3.4)',
    remedy: 'have an operator create an authorisation: its id is the kid, its secret the HMAC key',
  },
  'acme.binding-refused': {
    kind: 'forbidden',
    rule: 'the external account binding must be a MAC over the account key for this URL with the key of its kid',
  },
  'acme.identifier-unsupported': {
    kind: 'invalid',
    rule: 'an identifier is of the type dns, ip or permanent-identifier',
  },
  'acme.identifier-rejected': {
    kind: 'forbidden',
    rule: "each identifier must be one that the account's authorisation allows",
  },
  'acme.validity-unsupported': { kind: 'invalid', rule: 'how long a certificate lives is for the policy to say' },
  'acme.order-not-ready': {
    kind: 'forbidden',
    rule: 'an order is finalised once all of its authorizations are valid (RFC 8555 section 7.4)',
  },
  'acme.state': { kind: 'invalid', rule: 'the resource must be in a state that allows this (RFC 8555 section 7.1.6)' },
  'acme.csr-differs': {
    kind: 'invalid',
    rule: 'the request names exactly the identifiers of its order, and an attested key when it was attested',
  },
  'acme.already-revoked': { kind: 'invalid', rule: 'a certificate is revoked once' },
  'acme.bad-revocation-reason': {
    kind: 'invalid',
    rule: 'a certificate is revoked as unspecified (0), keyCompromise (1), affiliationChanged (3), superseded (4) or cessationOfOperation (5)',
  },
  'acme.revocation-forbidden': {
    kind: 'forbidden',
    rule: 'a certificate is revoked by the account that has it, one that controls all its names, or its own key',
  },
  'acme.already-replaced': { kind: 'conflict', rule: 'a certificate is replaced by one order (RFC 9773 section 5)' },
  'acme.attestation-refused': {
    kind: 'invalid',
    rule: 'the attestation must show the device of the order, for this challenge and account',
  },
  'acme.rate-limited': { kind: 'too-many', rule: 'an account or address asks only so often' },
  'acme.network-forbidden': {
    kind: 'forbidden',
    rule: 'a challenge is validated only at addresses that the configuration allows (acme.allowedNetworks)',
  },
  'acme.connection': { kind: 'invalid', rule: 'the server must be able to connect to the host of the identifier' },
  'acme.dns': { kind: 'invalid', rule: 'the name must resolve' },
  'acme.tls': { kind: 'invalid', rule: 'the TLS handshake of the challenge must succeed (RFC 8737)' },
  'acme.response-incorrect': { kind: 'invalid', rule: 'the answer must be the one that the challenge asks for' },
  'acme.expired': { kind: 'invalid', rule: 'what was not finished in its time is over' },
  'authorisation.refused': { kind: 'forbidden', rule: 'an operator refused this request' },
  'enrolment-request.unknown': { kind: 'not-found', rule: 'the request must be one that was made here' },
  'enrolment-request.decided': { kind: 'conflict', rule: 'a request is decided once' },
  'enrolment-request.too-many': {
    kind: 'too-many',
    rule: 'only so many requests of one authorisation wait for a decision at a time',
    remedy: 'have the waiting ones decided',
  },
  // ---- batch tickets
  'ticket.malformed': { kind: 'invalid', rule: 'a batch ticket must have the form that signTicket writes' },
  'ticket.signature-invalid': {
    kind: 'forbidden',
    rule: 'a batch ticket must carry the signature of the operator whom it names',
  },
  'ticket.signer-unknown': { kind: 'forbidden', rule: 'the signer of a batch ticket must stand in the policy' },
  'ticket.signer-forbidden': {
    kind: 'forbidden',
    rule: 'the signer of a batch ticket must hold a role that may sign tickets',
  },
  'ticket.not-yet-valid': { kind: 'forbidden', rule: 'a batch ticket is used from its notBefore on' },
  'ticket.expired': {
    kind: 'forbidden',
    rule: 'a batch ticket is used before its notAfter',
    remedy: 'have a new ticket signed',
  },
  'ticket.exceeds-policy': { kind: 'forbidden', rule: 'a batch ticket may not allow more than the policy does' },
  'ticket.line-forbidden': { kind: 'forbidden', rule: 'the line must be one that the batch ticket names' },
  'ticket.device-forbidden': {
    kind: 'forbidden',
    rule: 'the device id must be one of the range that the batch ticket names',
  },
  'ticket.quota-exhausted': {
    kind: 'conflict',
    rule: 'a batch ticket is good for as many devices as its quota says',
    remedy: 'have a new ticket signed',
  },
  'ticket.id-reused': { kind: 'conflict', rule: 'two batch tickets never have the same id' },
  'ticket.too-few-signatures': {
    kind: 'forbidden',
    rule: 'a batch ticket is signed by as many people as the policy asks for (quorums.batch-ticket)',
    remedy: 'have another operator sign it: keystead ticket sign',
  },
  'ticket.signer-twice': {
    kind: 'conflict',
    rule: 'a person, and a key, signs a batch ticket once',
    remedy: 'have another operator sign it',
  },
  'ticket.other-ticket': { kind: 'conflict', rule: 'only copies of one and the same batch ticket can be joined' },
  'ticket.file-exists': { kind: 'conflict', rule: 'a file that people are signing is never overwritten by a draft' },
  'ticket.other-factory': {
    kind: 'forbidden',
    rule: 'a batch ticket is used by the one node that it names, and by no other',
    remedy: 'take the ticket to that node, or have one signed for this node',
  },
  'ticket.key-origin-forbidden': {
    kind: 'forbidden',
    rule: 'a key of a unit comes about in one of the ways that the batch ticket allows',
    remedy: 'take a way that it allows, or have another ticket signed',
  },
  'ticket.station-forbidden': {
    kind: 'forbidden',
    rule: 'the station must be one that the batch ticket names',
    remedy: 'go to one of its stations, or have another ticket signed',
  },
  // ---- monotonic counters
  'keyd.counter-failed': {
    kind: 'unavailable',
    rule: 'no unit is given out whose count the monotonic counter does not cover',
    remedy: 'see that its TPM or token is there and answers, then ask again with the same unit',
  },
  'keyd.journal-rolled-back': {
    kind: 'forbidden',
    rule: 'no unit is given out by a journal that is older than its monotonic counter: an older disk was put back',
    remedy: 'put the newest disk back; where it is lost, operators order a recount (keystead recount)',
  },
  'keyd.counter-replaced': {
    kind: 'forbidden',
    rule: 'no unit is given out where the monotonic counter is behind the journal: its TPM or token was changed or cleared',
    remedy: 'put the module back; where it is lost, operators order a recount (keystead recount)',
  },
  'keyd.counter-missing': {
    kind: 'forbidden',
    rule: 'a journal that was tied to a monotonic counter takes no unit without one',
    remedy:
      'put counter.json back; where its counter is lost, make another (keystead keystore counter init) and have operators order a recount',
  },
  'ticket.before-recount': {
    kind: 'forbidden',
    rule: 'a ticket that was in force before a recount is closed: units may have been made that are forgotten',
    remedy: 'sign a new ticket for what is left of the batch',
  },
  'authorisation.before-recount': {
    kind: 'forbidden',
    rule: 'an authorisation that was in force before a recount is closed: uses of it may be forgotten',
    remedy: 'sign a new authorisation',
  },
  'recount.malformed': { kind: 'invalid', rule: 'an order to recount must have the form that keystead recount writes' },
  'recount.signer-unknown': { kind: 'forbidden', rule: 'who signs an order to recount must stand in the policy' },
  'recount.signer-forbidden': {
    kind: 'forbidden',
    rule: 'who signs an order to recount must be one who signs batch tickets',
  },
  'recount.signature-invalid': {
    kind: 'forbidden',
    rule: 'an order to recount must carry the signatures of those whom it names',
  },
  'recount.signer-twice': { kind: 'conflict', rule: 'a person, and a key, signs an order to recount once' },
  'recount.too-few-signatures': {
    kind: 'forbidden',
    rule: 'an order to recount is signed by as many people as a batch ticket (quorums.batch-ticket)',
    remedy: 'have another operator sign it: keystead recount sign',
  },
  'recount.other-order': { kind: 'conflict', rule: 'only copies of one and the same order can be joined' },
  'recount.other-keyd': { kind: 'forbidden', rule: 'an order to recount is for the one keyd whose log it names' },
  'recount.other-values': {
    kind: 'conflict',
    rule: 'an order to recount names the values of counter and journal as they are',
    remedy: 'draft it anew: keystead recount draft',
  },
  'recount.expired': { kind: 'forbidden', rule: 'an order to recount is carried out in its time' },
  'recount.not-needed': { kind: 'conflict', rule: 'nothing is recounted where the counter covers the journal' },
  'counter.missing': {
    kind: 'unavailable',
    rule: 'the counter of counter.json must be there',
    remedy: 'if its TPM or token was cleared or changed, make a counter again and have operators order a recount',
  },
  'counter.exists': { kind: 'conflict', rule: 'a counter is made once', remedy: 'take another name for it' },
  'counter.moved': {
    kind: 'conflict',
    rule: 'one keyd alone takes the steps of its counter',
    remedy: 'find the other program that uses the same counter: a copy of the data directory, most likely',
  },
  // ---- scans
  'scan.no-file': { kind: 'not-found', rule: 'what is to be scanned must be there' },
  // ---- SSH signatures
  'ssh.malformed': {
    kind: 'invalid',
    rule: 'an SSH key or signature must have the form that OpenSSH gives it, and nothing after it',
  },
  'ssh.key-unsuitable': {
    kind: 'invalid',
    rule: 'an SSH key must be Ed25519, ECDSA on P-256 or P-384, RSA of 2048, 3072 or 4096 bits, or one of the first two in a security key',
  },
  // ---- firmware and its signatures
  'firmware.malformed': {
    kind: 'invalid',
    rule: 'an image must have the form of its format, whole and with nothing after it',
  },
  'firmware.signed-already': {
    kind: 'conflict',
    rule: 'an image that has a signature is not signed again',
    remedy: 'give the image as it was built, before it was signed',
  },
  // ---- orders to sign firmware (keyd)
  'firmware-order.malformed': {
    kind: 'invalid',
    rule: 'a statement of an order to sign firmware must have the one form that is signed',
  },
  'firmware-order.signer-unknown': { kind: 'forbidden', rule: 'who signs must be an operator of the policy in force' },
  'firmware-order.signer-forbidden': {
    kind: 'forbidden',
    rule: 'a release engineer asks, and who approves holds a role that the policy names for the product',
  },
  'firmware-order.signature-invalid': {
    kind: 'forbidden',
    rule: "the signature must be one of the operator's key in the policy in force",
  },
  'firmware-order.other-order': {
    kind: 'invalid',
    rule: 'every statement must be about the very same order, of the same proposer',
  },
  'firmware-order.expired': {
    kind: 'forbidden',
    rule: 'no statement may have ended',
    remedy: 'have the order signed again by those whose statements have ended',
  },
  'firmware-order.not-yet-valid': { kind: 'forbidden', rule: 'a statement is of now, not of a time to come' },
  'firmware-order.too-long': { kind: 'invalid', rule: 'a statement ends within approvals.maxSeconds of the policy' },
  'firmware-order.self': { kind: 'forbidden', rule: 'nobody approves what they asked for' },
  'firmware-order.duplicate': { kind: 'invalid', rule: 'one person and one key count once' },
  'firmware-order.too-few': {
    kind: 'forbidden',
    rule: 'there must be as many approvals as the policy asks for',
    remedy: 'have others approve: keystead sign approve',
  },
  'firmware-order.not-in-policy': {
    kind: 'forbidden',
    rule: 'the policy must have the product and its environment, with the format and the keys',
    remedy: 'look at the section firmware of the policy; another policy takes its quorum',
  },
  'firmware-order.rollback-forbidden': {
    kind: 'forbidden',
    rule: 'version and security counter go back only where the policy has a quorum for it',
  },
  'firmware-order.id-reused': {
    kind: 'conflict',
    rule: 'one id is one order, which is carried out once',
    remedy: 'ask again under another id',
  },
  'firmware-order.subject-differs': {
    kind: 'conflict',
    rule: 'the subject must have the SHA-256 that people approved',
    remedy: 'find out who changed the image after it was approved; nothing was signed',
  },
  'firmware-order.claims-differ': {
    kind: 'invalid',
    rule: 'what the order says of an image must be what the image says of itself',
  },
  'firmware-order.version-taken': {
    kind: 'conflict',
    rule: 'one version of a product, for one target and environment, is one image',
    remedy: 'build another version',
  },
  'firmware-order.rollback': {
    kind: 'conflict',
    rule: 'neither version nor security counter goes below what was signed before',
    remedy: 'build a higher version; going back takes an order with rollback and its larger quorum',
  },
  'ceremony.firmware-key': {
    kind: 'invalid',
    rule: 'a key for firmware that a ceremony certifies must be a production key of the policy',
  },
  // ---- keys for firmware after the founding
  'firmware-key-order.malformed': {
    kind: 'invalid',
    rule: 'a statement of an order about a firmware key must have the one form that is signed',
  },
  'firmware-key-order.signer-unknown': {
    kind: 'forbidden',
    rule: 'who signs must be an operator of the policy in force',
  },
  'firmware-key-order.signer-forbidden': {
    kind: 'forbidden',
    rule: 'who asks may ask for it, and who approves holds a role of the quorum that the policy names',
  },
  'firmware-key-order.signature-invalid': {
    kind: 'forbidden',
    rule: "the signature must be one of the operator's key in the policy in force",
  },
  'firmware-key-order.other-order': {
    kind: 'invalid',
    rule: 'every statement must be about the very same order, of the same proposer',
  },
  'firmware-key-order.expired': {
    kind: 'forbidden',
    rule: 'no statement may have ended',
    remedy: 'have the order signed again by those whose statements have ended',
  },
  'firmware-key-order.not-yet-valid': { kind: 'forbidden', rule: 'a statement is of now, not of a time to come' },
  'firmware-key-order.too-long': {
    kind: 'invalid',
    rule: 'a statement ends within approvals.maxSeconds of the policy',
  },
  'firmware-key-order.self': { kind: 'forbidden', rule: 'nobody approves what they asked for' },
  'firmware-key-order.duplicate': { kind: 'invalid', rule: 'one person and one key count once' },
  'firmware-key-order.too-few': {
    kind: 'forbidden',
    rule: 'there must be as many approvals as the policy asks for',
    remedy: 'have others approve: keystead sign key approve',
  },
  'firmware-key-order.stale': {
    kind: 'conflict',
    rule: 'an order that brings a key back is for one suspension of one key',
    remedy: 'look at the key with keystead keys show, and have the order signed again',
  },
  'firmware-key-order.key-unknown': {
    kind: 'not-found',
    rule: 'an order is about a firmware key of this keyd, by its id and its public key',
  },
  'firmware-key.in-use': {
    kind: 'conflict',
    rule: 'a firmware key is destroyed when the policy has retired it, or when it was killed',
    remedy: 'take it out of keys and trusted of its line first',
  },
  'firmware-key.needs-quorum': {
    kind: 'forbidden',
    rule: 'one person suspends a firmware key and no more: its end and its return take a quorum',
    remedy: 'suspend it with keystead keys suspend; then keystead sign key kill, or keystead sign key resume',
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
  'firmware-order.floor-unknown': {
    kind: 'conflict',
    rule: 'after a restore or an older disk nobody knows how high the versions of a target stood: its first order says that it may go back',
    remedy:
      'find the highest version that devices have, from the log and the records, and order with --rollback: a larger quorum agrees',
  },
  'firmware-order.before-restore': {
    kind: 'conflict',
    rule: 'a statement is of after the last restore: what was carried out before it may be forgotten',
    remedy: 'have the order signed again, and see in the audit log which version was signed last',
  },
  'firmware-order.before-recount': {
    kind: 'conflict',
    rule: 'a statement is of after the last recount: what was carried out before it may be forgotten',
    remedy: 'have the order signed again, and see in the audit log which version was signed last',
  },
  'firmware-key.scope': {
    kind: 'forbidden',
    rule: 'a key signs for the product, the environment and the formats that its certificate and the policy name',
  },
  'firmware-key.uncertified': {
    kind: 'unavailable',
    rule: 'a production key must be certified by the signing root, and its certificate must not have ended',
    remedy: 'hold a ceremony that certifies it',
  },
  'firmware-key.exhausted': {
    kind: 'forbidden',
    rule: 'a key signs no more orders than maxSignatures of the policy',
    remedy: 'introduce its successor',
  },
  'firmware.format-unknown': { kind: 'invalid', rule: 'the format must be one that this program signs' },
  'firmware.key-unsuitable': { kind: 'invalid', rule: 'the key must be of an algorithm that the format knows' },
  // ---- requests for firmware signatures
  'signing.no-file': { kind: 'not-found', rule: 'a file that is named must be there, and readable' },
  'signing.image-unknown': {
    kind: 'not-found',
    rule: 'an image or a document must have been handed in before it is asked for',
    remedy: 'upload it with PUT /api/v1/signing/files/SHA256; keystead sign request does',
  },
  'signing.image-differs': {
    kind: 'invalid',
    rule: 'what is handed in must have the SHA-256 that was told with it',
    remedy: 'compare the file with the one that was built, and send it again',
  },
  'signing.image-changed': {
    kind: 'conflict',
    rule: 'the image that is kept must have the SHA-256 that people approved',
    remedy: 'find out who changed the data directory; nothing is signed',
  },
  'signing.image-too-large': { kind: 'too-large', rule: 'an image must be no larger than the service keeps' },
  'signing.no-space': {
    kind: 'unavailable',
    rule: 'what is kept for firmware signing must leave the disk room for the records',
    remedy: 'make room in the data directory',
  },
  'signing.private-key': {
    kind: 'invalid',
    rule: 'an image that is signed must hold no private key in the clear',
    remedy: 'take the key out of the image, replace it, and see keystead scan for where it is',
  },
  'signing.document': {
    kind: 'invalid',
    rule: 'an attached document must be what it is attached as, and a provenance must name the image',
  },
  'signing.request-unknown': {
    kind: 'not-found',
    rule: 'a request for a firmware signature must be one that was made',
  },
  'signing.request-differs': {
    kind: 'conflict',
    rule: 'one id is one request: the same again must say the same',
    remedy: 'leave --id away, or give another',
  },
  'signing.request-closed': {
    kind: 'conflict',
    rule: 'a request that has ended stays as it is',
    remedy: 'ask again under another id: keystead sign request --id',
  },
  'signing.not-yours': {
    kind: 'forbidden',
    rule: 'who asks brings their own proposal, who approves their own approval, and who submitted withdraws',
  },
  'signing.too-many': {
    kind: 'too-many',
    rule: 'only so many requests for firmware signatures may be open at once',
    remedy: 'withdraw what nobody needs any more',
  },
  'signing.timestamp-waits': {
    kind: 'unavailable',
    rule: 'where the policy requires a time stamp, nothing is signed before the TSA has stamped the signature',
    remedy: 'see to the TSA: keystead keys show tsa; the request goes on by itself',
  },
  'signing.timestamp-late': {
    kind: 'conflict',
    rule: 'a signature is stamped while the certificate of its key is valid',
    remedy: 'ask again: a key that is certified now must sign',
  },
  'signing.too-many-of-one': {
    kind: 'too-many',
    rule: 'one submitter may have only so many requests for firmware signatures open at once',
    remedy: 'wait until some have ended, withdraw what nobody needs, or raise signing.openPerSubmitter in config.json',
  },
  'signing.not-signed': { kind: 'not-found', rule: 'a result is there when a request is signed' },
  'signing.ended-unsigned': {
    kind: 'conflict',
    rule: 'a request that is waited for must end signed',
    remedy: 'keystead sign show tells why it ended',
  },
  'signing.still-waiting': {
    kind: 'unavailable',
    rule: 'a request that is waited for must be signed within the time',
    remedy: 'wait longer, or ask the approvers',
  },
  'signing.workload': {
    kind: 'unauthenticated',
    rule: 'a workload must show a token of an issuer that serve is configured to believe, for it, in force',
  },
  'signing.workload-forbidden': {
    kind: 'forbidden',
    rule: 'a workload may only submit, for the products that its claims are configured for, and look at its own',
  },
  // ---- repositories of The Update Framework
  'firmware.tuf-threshold': {
    kind: 'forbidden',
    rule: 'metadata is signed by as many keys of its role as the root asks for',
    remedy: 'have others of the role sign it: keystead tuf sign',
  },
  'firmware.tuf-version': {
    kind: 'conflict',
    rule: 'a version of metadata goes up, a root by one each time, and has one content for good',
    remedy: 'propose it again from what is published',
  },
  'firmware.tuf-expired': {
    kind: 'conflict',
    rule: 'metadata is published and built upon before it expires',
    remedy: 'propose a later one, signed by its role; look at the clock',
  },
  'firmware.tuf-target': {
    kind: 'conflict',
    rule: 'a target file must be there with the length and hash that signed metadata gives',
  },
  'policy.tuf-rule': {
    kind: 'invalid',
    rule: 'a repository and each of its keys stand once in the policy, and a timestamp is good for no longer than a snapshot',
  },
  'tuf.not-in-policy': {
    kind: 'forbidden',
    rule: 'keyd signs for the update repositories that the policy names',
    remedy: "have a quorum add it to the section 'tuf' of the policy",
  },
  'tuf.root-unknown': {
    kind: 'forbidden',
    rule: 'keyd signs by the root whose first version the policy names by its SHA-256, and those that follow from it',
    remedy: 'have a quorum put the SHA-256 of 1.root.json into the policy, and show all roots since',
  },
  'tuf.key-unnamed': {
    kind: 'forbidden',
    rule: "the root in force names as many of keyd's keys for snapshot and timestamp as must sign",
    remedy: 'propose a root with them: keystead tuf root --online-key',
  },
  'firmware.tuf-repository': { kind: 'not-found', rule: 'there must be a TUF repository in the directory, whole' },
  'firmware.anchor-missing': {
    kind: 'not-found',
    rule: 'every signing key of a product and environment has a certificate, and there is at least one',
    remedy: 'give the certificates that the ceremony made, by the ids of the policy',
  },
  'firmware.anchor-differs': {
    kind: 'conflict',
    rule: 'a trust anchor is the key that the policy means, and no two ids are one key',
  },
  'firmware.parameter': { kind: 'invalid', rule: 'a parameter of the image must be one that its header can carry' },
  // ---- time stamps (RFC 3161)
  'tsp.malformed': {
    kind: 'invalid',
    rule: 'a request for a time stamp must be a TimeStampReq, DER (RFC 3161 section 2.4.1)',
  },
  'tsp.hash-unsupported': {
    kind: 'unsupported',
    rule: 'a time stamp is for a digest by SHA-256, SHA-384 or SHA-512',
    remedy: 'hash the data again: openssl ts -query -sha256',
  },
  'tsp.policy-unknown': {
    kind: 'unsupported',
    rule: 'a time stamp is made under the one policy of this TSA',
    remedy: 'ask without a policy',
  },
  'tsp.extension-unknown': {
    kind: 'unsupported',
    rule: 'a request for a time stamp with an extension that is not known gets none (RFC 3161 section 2.4.1)',
  },
  'tsp.off': {
    kind: 'unavailable',
    rule: 'time stamps need a key and a profile for them',
    remedy:
      "have a quorum add the profile 'tsa-signer' to the policy; a keyd that was founded without the key has none",
  },
  'tsp.busy': {
    kind: 'too-many',
    rule: 'the TSA stamps so many requests a second',
    remedy: 'ask again in a second',
  },
  // ---- trust bundles and filters
  'trust-bundle.malformed': { kind: 'invalid', rule: 'a trust bundle must have the one form that is signed' },
  'trust-bundle.rule': {
    kind: 'invalid',
    rule: 'a trust bundle must leave devices a way on: current and backup pins, a signer that outlives it, windows that open',
  },
  'trust-bundle.signature-invalid': {
    kind: 'forbidden',
    rule: 'a trust bundle must carry the signature of its signer',
  },
  'trust-bundle.signer-unknown': {
    kind: 'forbidden',
    rule: 'a trust bundle must be signed by a key that the one before it names',
  },
  'trust-bundle.signer-retired': { kind: 'forbidden', rule: 'a signer of trust bundles signs in its own time only' },
  'trust-bundle.fleet-differs': { kind: 'forbidden', rule: 'a device takes the trust bundles of its own fleet' },
  'trust-bundle.rolled-back': { kind: 'conflict', rule: 'a device never goes back to an older trust bundle' },
  'trust-bundle.forked': {
    kind: 'conflict',
    rule: 'there is one trust bundle of each version: two are an attack, or a defect of who signs them',
  },
  'trust-bundle.not-yet-valid': {
    kind: 'forbidden',
    rule: 'a trust bundle is not of the future',
    remedy: 'look at the clock of the device',
  },
  'trust-bundle.expired': {
    kind: 'forbidden',
    rule: 'a trust bundle is gone by until it expires',
    remedy: 'fetch a newer one; look at the clock of the device',
  },
  'trust-bundle.firmware-rolled-back': {
    kind: 'conflict',
    rule: 'the least firmware that is taken never goes back, and no product is left out',
  },
  // ---- trust bundles as keyd signs them
  'trust-order.malformed': {
    kind: 'invalid',
    rule: 'an order for trust bundles, and each statement of it, must have the one form that is signed',
  },
  'trust-order.signer-unknown': { kind: 'forbidden', rule: 'who signs must be an operator of the policy in force' },
  'trust-order.signer-forbidden': {
    kind: 'forbidden',
    rule: 'who signs must hold the role that they name, and it must be one that may propose or approve this order',
  },
  'trust-order.signature-invalid': {
    kind: 'forbidden',
    rule: 'a statement must carry the signature of a key of the operator whom it names',
  },
  'trust-order.other-order': {
    kind: 'conflict',
    rule: 'the statements must be of one order and name the one who asked for it',
  },
  'trust-order.expired': {
    kind: 'forbidden',
    rule: 'a statement counts until it ends',
    remedy: 'have the order signed again',
  },
  'trust-order.not-yet-valid': { kind: 'forbidden', rule: 'a statement is of now, not of a time to come' },
  'trust-order.too-long': { kind: 'invalid', rule: 'a statement ends within approvals.maxSeconds of the policy' },
  'trust-order.self': { kind: 'forbidden', rule: 'nobody approves what they asked for' },
  'trust-order.duplicate': { kind: 'invalid', rule: 'one person and one key count once' },
  'trust-order.too-few': {
    kind: 'forbidden',
    rule: 'there must be as many approvals as the policy asks for',
    remedy: 'have others approve: keystead trust approve',
  },
  'trust-order.not-in-policy': {
    kind: 'forbidden',
    rule: 'the policy must have the section trust, and the order must be for its fleet',
    remedy: 'another policy takes its quorum: keystead policy',
  },
  'trust-order.stale': {
    kind: 'conflict',
    rule: 'an order is for the content that stood when it was written: each change has the next number, and each id is used once',
    remedy: 'look at what stands now (keystead trust show) and propose anew',
  },
  'trust-order.strands': {
    kind: 'conflict',
    rule: 'nothing is taken from devices before its time is over, unless the order says so (strand) and a larger quorum signs it',
    remedy: 'let the window end by itself; announce a new key as next before it becomes current',
  },
  'trust-order.root-ended': {
    kind: 'conflict',
    rule: 'a root that has a successor is an anchor until its transition (roots.transitionSeconds) is over, and never again',
    remedy: 'leave it out: keystead rotate next writes the content without it',
  },
  'trust-order.strand-forbidden': {
    kind: 'forbidden',
    rule: 'something is taken from devices at once only where the policy has a quorum for it',
  },
  'trust-order.before-restore': {
    kind: 'conflict',
    rule: 'a statement is of after the last restore: what was carried out before it may be forgotten',
    remedy: 'look at what stands now (keystead trust show) and have an order signed again',
  },
  'trust-order.before-recount': {
    kind: 'conflict',
    rule: 'a statement is of after the last recount: what was carried out before it may be forgotten',
    remedy: 'look at what stands now (keystead trust show) and have an order signed again',
  },
  'trust-bundle.none': {
    kind: 'not-found',
    rule: 'there is no such trust bundle',
    remedy: 'the first one takes an order of the quorum: keystead trust propose',
  },
  'trust-bundle.too-large': {
    kind: 'invalid',
    rule: 'a bundle is no longer than trust.bundle.maxBytes of the policy',
  },
  'trust-bundle.too-soon': {
    kind: 'conflict',
    rule: 'the same content is signed anew when its time has come, when a filter is due, or when something was revoked since',
  },
  'trust-bundle.no-signer': {
    kind: 'unavailable',
    rule: 'keyd must hold a key that devices believe now and that may sign',
    remedy: 'look at keystead trust status; devices recover with their IDevID when all of their signers are over',
  },
  'trust-bundle.filter-refused': {
    kind: 'conflict',
    rule: "a filter must say of every certificate of its CAs what keyd's own list says, at a time that is right",
    remedy: 'have serve build another one; if it fails again, look for who changed its records',
  },
  'filter.malformed': { kind: 'invalid', rule: 'a revocation filter must have the form of docs/filter.md' },
  'filter.base-differs': {
    kind: 'conflict',
    rule: 'a delta changes the very filter that it was built for, and goes forward in time',
    remedy: 'fetch a whole filter',
  },
  'filter.unsolvable': { kind: 'invalid', rule: 'a certificate is revoked or is not: it cannot be given as both' },
  // ---- factory nodes
  'factory.document-malformed': {
    kind: 'invalid',
    rule: 'what keyd tells another keyd (a commission, a consignment, a receipt) must have the one form that keyd writes',
  },
  'factory.signature-invalid': {
    kind: 'forbidden',
    rule: 'what keyd tells another keyd must carry the signature of its evidence key',
  },
  'factory.request-malformed': {
    kind: 'invalid',
    rule: 'the request of a factory node must have the form that keystead factory init writes',
  },
  // -- headquarters' side of a factory node (fac-hq)
  'factory.unknown': { kind: 'not-found', rule: 'there must be a factory node of this name' },
  'commission.order-used': {
    kind: 'conflict',
    rule: 'an order about a factory is carried out once',
    remedy: 'order it anew, under another id',
  },
  'commission.request-differs': {
    kind: 'forbidden',
    rule: 'the request of the node must be the one that the order names by its hash',
    remedy: 'compare the hash that keystead factory init showed with that of the order',
  },
  'commission.name-used': {
    kind: 'conflict',
    rule: 'the name of a factory never passes to another key',
    remedy: 'give the new node another name',
  },
  'commission.key-used': {
    kind: 'conflict',
    rule: 'the keys of a factory node are its own: none of headquarters, of another factory or of a device',
    remedy: 'have the node make its keys anew: keystead factory init, in a new data directory',
  },
  'commission.key-differs': {
    kind: 'conflict',
    rule: 'a factory is renewed and closed with the keys that it was commissioned with',
  },
  'commission.path-too-short': {
    kind: 'conflict',
    rule: 'the root, the manufacturing CA and the server CA must be certified for a sub-CA below them',
    remedy:
      'no new certificate of one CA can help while the root allows no longer path: found a hierarchy by a policy with the section factory',
  },
  'commission.life-too-long': {
    kind: 'forbidden',
    rule: 'a sub-CA lives no longer than the policy allows (factory.maxSeconds) and no longer than its issuer',
    remedy: 'order it for a shorter time',
  },
  'commission.renewal-shorter': {
    kind: 'conflict',
    rule: 'a renewal ends later than what it renews',
  },
  'commission.crl-unfit': {
    kind: 'invalid',
    rule: 'the CRLs of a commission must be full ones of this headquarters, in force, one for each CA, of at most 2 MiB together',
  },
  'commission.file-lost': {
    kind: 'internal',
    rule: 'keyd must have the file of every commission that its journal names',
    remedy: 'restore keyd/factories from a backup, or order a renewal, which makes another',
  },
  // -- a factory node itself (fac-node)
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
  'factory.hello-not-now': {
    kind: 'forbidden',
    rule: 'what a factory says of itself holds for five minutes by the clock of headquarters',
    remedy: 'set the clock of the node right',
  },
  'factory.exists': {
    kind: 'conflict',
    rule: 'a data directory is that of one node, and a node has one name',
    remedy: 'take another data directory',
  },
  'factory.not-a-node': {
    kind: 'conflict',
    rule: 'this must be the data directory of a factory node',
    remedy: 'keystead factory init makes one',
  },
  'factory.not-here': {
    kind: 'forbidden',
    rule: 'a factory node provisions units and does nothing else',
    remedy:
      'ask headquarters: LDevIDs, operators, authorisations, EST, ACME, CMP, SCEP, revocations and backups are there',
  },
  'factory.device-outside': {
    kind: 'forbidden',
    rule: 'a factory makes devices only with the ids that its commission gives it',
    remedy: 'headquarters can commission the factory for more ids: keystead factory order --renew',
  },
  'factory.host-outside': {
    kind: 'forbidden',
    rule: 'the servers of a factory are called as its commission says, for its server sub-CA is constrained to that',
    remedy:
      'set host in config.json to one of these, or have the factory commissioned for more: keystead factory renew --server-name',
  },
  'factory.closed': {
    kind: 'forbidden',
    rule: 'headquarters has closed this factory: it issues nothing more',
    remedy: 'what it made can still be reconciled: keystead factory export',
  },
  'factory.offline-too-long': {
    kind: 'unavailable',
    rule: 'a factory node must hear from headquarters within the time that the policy names, or it cannot know who was revoked',
    remedy: 'bring the link up, or carry newer CRLs of headquarters here: keystead factory crls FILE...',
  },
  'factory.operator-revoked': {
    kind: 'forbidden',
    rule: 'headquarters must not have revoked the certificate of this operator',
  },
  'factory.commission-foreign': {
    kind: 'forbidden',
    rule: "the commission must be headquarters' answer to this node's own request",
  },
  'factory.commission-older': {
    kind: 'conflict',
    rule: 'a commission must be newer than the one that this node works by',
  },
  'factory.commission-differs': {
    kind: 'conflict',
    rule: 'a commission that was imported stays what it was',
  },
  'factory.commission-untrusted': {
    kind: 'forbidden',
    rule: 'every certificate of a commission must lead to the root that a person vouched for, in force and not revoked',
  },
  'factory.constraint-missing': {
    kind: 'forbidden',
    rule: 'a sub-CA of a factory must be constrained as the profile for it says: path length 0, names of this factory only, a short life',
  },
  'factory.crl-unfit': {
    kind: 'forbidden',
    rule: 'a CRL of headquarters must be a full one, by a CA that this node trusts, newer than the one here and not from the future',
  },
  'commission.malformed': {
    kind: 'invalid',
    rule: 'a statement about a factory must have the one form that is signed',
  },
  'commission.signer-unknown': { kind: 'forbidden', rule: 'the signer must stand in the policy' },
  'commission.signer-forbidden': { kind: 'forbidden', rule: 'the signer must hold a role that may sign this' },
  'commission.signature-invalid': {
    kind: 'forbidden',
    rule: 'a statement must carry the signature of the operator whom it names',
  },
  'commission.other-order': { kind: 'forbidden', rule: 'all statements must be about one order and name who asks' },
  'commission.expired': { kind: 'forbidden', rule: 'a statement must not have expired', remedy: 'ask anew' },
  'commission.not-yet-valid': { kind: 'forbidden', rule: 'a statement must not be signed in the future' },
  'commission.too-long': {
    kind: 'forbidden',
    rule: 'a statement holds no longer than the policy lets statements hold',
    remedy: 'sign it with an earlier end',
  },
  'commission.self': { kind: 'forbidden', rule: 'nobody approves their own request' },
  'commission.duplicate': { kind: 'forbidden', rule: 'a person, and a key, counts once' },
  'commission.too-few': {
    kind: 'forbidden',
    rule: 'a commission takes as many approvals as the policy asks for',
    remedy: 'have more people approve it',
  },
  // ---- keyd
  'keyd.unreachable': {
    kind: 'unavailable',
    rule: 'keyd must be reachable',
    remedy: 'see that keystead keyd is running, then ask again with the same request',
  },
  'keyd.unauthenticated': {
    kind: 'unauthenticated',
    rule: 'both ends of a connection to keyd must prove that they hold the same channel key',
    remedy: 'start keyd and its front end by the same supervisor',
  },
  'keyd.frame-refused': { kind: 'invalid', rule: 'a frame must be whole, authentic and at most 8 MiB' },
  'keyd.bad-answer': { kind: 'internal', rule: 'the answer of keyd must have the form of its protocol' },
  'keyd.stopping': { kind: 'unavailable', rule: 'keyd is stopping and takes no more requests' },
  'keyd.already-running': {
    kind: 'conflict',
    rule: 'one data directory has one keyd at a time',
    remedy: 'stop the other one',
  },
  'keyd.directory-exposed': {
    kind: 'forbidden',
    rule: 'the directory of the socket of keyd belongs to its user and is closed to all others (mode 0700; its group may pass through)',
  },
  'keyd.secrets-malformed': {
    kind: 'invalid',
    rule: 'the supervisor gives keyd a passphrase and a channel key of 32 bytes',
  },
  'keyd.journal-damaged': {
    kind: 'unavailable',
    rule: 'the files of keyd must be whole: quotas and the log depend on them',
    remedy: 'restore them from a backup, then compare with the audit log',
  },
  'keyd.journal-failed': {
    kind: 'unavailable',
    rule: 'nothing is signed that cannot be written to the journal first',
    remedy: 'free some space on the disk and try again',
  },
  'keyd.signature-faulty': {
    kind: 'internal',
    rule: 'a signature must verify before it leaves keyd',
    remedy: 'take the machine out of service: its processor or memory is faulty',
  },
  'clock.went-back': {
    kind: 'unavailable',
    rule: 'the clock may not be earlier than the last entry of the log or journal',
    remedy: 'set the clock right, then try again',
  },
  'profile.not-requestable': {
    kind: 'forbidden',
    rule: 'certificates of this profile are not given on request',
  },
  'profile.requester-forbidden': { kind: 'forbidden', rule: 'the profile says which kinds of requester may ask' },
  'requester.message-missing': {
    kind: 'forbidden',
    rule: "the policy wants a device to sign its request in a CMP message (deviceProof is 'message')",
    remedy: 'enrol and renew by CMP, at /.well-known/cmp: docs/cmp.md',
  },
  'requester.unproven': {
    kind: 'forbidden',
    rule: 'the requester must show a valid certificate of its own that names it',
  },
  'requester.quarantined': {
    kind: 'forbidden',
    rule: 'a unit of a factory that is in quarantine proves no device',
    remedy: 'keystead factory conflicts lists what is in its way',
  },
  'requester.not-reconciled': {
    kind: 'forbidden',
    rule: 'the IDevID of a factory must be one that the factory has told headquarters of',
    remedy: 'have the factory node send what it provisioned, then ask again with the same request',
  },
  'requester.revoked': { kind: 'forbidden', rule: 'the certificate of the requester must not be revoked' },
  'operator.key-differs': {
    kind: 'forbidden',
    rule: 'an operator gets a certificate for the key that stands in the policy under that name, and for no other',
  },
  'operator.no-key-here': {
    kind: 'not-found',
    rule: 'the certificate and the key of the operator must lie in the directory of operators',
    remedy: 'name an operator whose key is on this machine, or the data directory where it lies',
  },
  'operator.unknown': { kind: 'forbidden', rule: 'the operator must stand in the policy' },
  'operator.forbidden': { kind: 'forbidden', rule: 'the operator must hold a role that may do this' },
  'device.already-provisioned': {
    kind: 'conflict',
    rule: 'a device is provisioned once, with one key, under one ticket',
  },
  'ocsp.issuer-differs': { kind: 'invalid', rule: 'a CertID must name the issuer that is to answer' },
  'ocsp.never-issued': { kind: 'conflict', rule: 'a certificate that keyd has not issued is never said to be good' },
  'device.not-provisioned': { kind: 'not-found', rule: 'keyd must have provisioned the device itself' },
  'revocation.undone': { kind: 'conflict', rule: 'what was once on a CRL is never said to be good again' },
  'revocation.malformed': { kind: 'invalid', rule: 'a revocation has a time that is not in the future' },
  'crl.number-used': { kind: 'conflict', rule: 'each CRL of an issuer has a higher number than the one before' },
  'crl.number-skips': { kind: 'invalid', rule: 'the number of a CRL is at most 1000000 above the one before' },
  'crl.shard-unknown': {
    kind: 'invalid',
    rule: 'a CRL of a partition is made where the policy has that many, or certificates that did not end were issued into it',
  },
  'crl.delta-forbidden': { kind: 'invalid', rule: 'delta CRLs are made where the policy has them' },
  'crl.too-long-for-message': {
    kind: 'too-large',
    rule: 'a CRL of more than a megabyte is not sent in a message',
    remedy: 'fetch it from the address in the certificate',
  },
  'crl.file-differs': {
    kind: 'unavailable',
    rule: 'the file of a CRL must have the hash that keyd told of it',
    remedy: 'nothing was published; it is tried again, and if this stays, look for a disk that is full or faulty',
  },
  'crl.late': {
    kind: 'unavailable',
    rule: 'every CRL is published before the one before it ends',
    remedy: 'see why keyd or the store refuses; when that is mended the lists are published within a minute',
  },
  // ---- the indirect CRL of the root
  'crl.no-root-signer': {
    kind: 'unavailable',
    rule: 'the indirect CRL of the root is signed by a key that a ceremony has certified for it, while that certificate lasts',
    remedy:
      'hold a ceremony (keystead ceremony crl certifies the signer again); without a signer a CA is revoked there',
  },
  // ---- end of the indirect CRL of the root
  'revocation.unissued-too-many': {
    kind: 'forbidden',
    rule: 'of serial numbers that keyd did not issue, at most 1000000 of one CA are listed',
    remedy: 'no honest front end has that many: take it for one that was taken over',
  },
  'evidence.not-revoked': {
    kind: 'conflict',
    rule: 'evidence is signed when the IDevID of the device, and all that it names as revoked, stand on a signed CRL',
    remedy: 'publish the CRL first',
  },
  'log.size-mismatch': {
    kind: 'conflict',
    rule: 'leaves are appended at the end of the log, or were appended before exactly so',
  },
  // ---- the store
  'store.locked': {
    kind: 'unavailable',
    rule: 'the database must be free to write; another process holds its lock',
    remedy: 'find the other process (fuser keystead.db) and try again; nothing was changed',
  },
  'store.disk-full': {
    kind: 'unavailable',
    rule: 'the disk must have room for the change',
    remedy: 'free some space and try again; nothing was changed',
  },
  'store.corrupt': {
    kind: 'unavailable',
    rule: 'the database must be whole',
    remedy: 'restore it from a backup, then compare it with the files of the audit log',
  },
  'store.failed': {
    kind: 'unavailable',
    rule: 'the disk must write what it was given; after a failed write nothing is sure until a restart',
    remedy: 'look at the disk, then restart: opening the database tells what is durable',
  },
  'store.newer': {
    kind: 'unavailable',
    rule: 'the database must not be of a later version than this program',
    remedy: 'start the version that wrote it',
  },
  'store.outdated': {
    kind: 'unavailable',
    rule: 'the database must be of the version that this program reads',
    remedy: 'start keystead serve of this version once: it brings the database up to date',
  },
  'store.closed': { kind: 'unavailable', rule: 'the store is closed; the service is stopping' },
  // ---- who calls (access)
  'client.certificate-missing': {
    kind: 'unauthenticated',
    rule: 'a client certificate must be shown in the TLS handshake',
  },
  'client.certificate-malformed': { kind: 'unauthenticated', rule: 'the client certificate must be readable' },
  'client.certificate-foreign': {
    kind: 'unauthenticated',
    rule: 'the client certificate must be issued by a CA of this system',
  },
  'client.certificate-expired': {
    kind: 'unauthenticated',
    rule: 'the client certificate must be within its validity',
    remedy: 'a device recovers with its IDevID (simpleenroll); an operator asks for a new certificate',
  },
  'client.certificate-revoked': { kind: 'unauthenticated', rule: 'the client certificate must not be revoked' },
  'client.certificate-unknown': {
    kind: 'unauthenticated',
    rule: 'the client certificate must stand in the records: what was signed but never recorded is void',
  },
  'client.certificate-unsuitable': {
    kind: 'unauthenticated',
    rule: 'the client certificate must be one for TLS clients that names a device, a station or an operator',
  },
  'access.forbidden': { kind: 'forbidden', rule: 'the caller must hold a role that has this permission' },
  // ---- authority
  'enrol.certificate-unfit': {
    kind: 'forbidden',
    rule: 'a first enrolment or recovery is asked for with the IDevID, a renewal with the current LDevID',
  },
  'ticket.unknown': {
    kind: 'not-found',
    rule: 'the batch must be open here: its ticket is opened before its first unit',
  },
  'device.unknown': { kind: 'not-found', rule: 'the device must stand in the records' },
  'device.blocked': {
    kind: 'forbidden',
    rule: 'a device that is stolen or decommissioned, or whose identity was revoked, gets no certificate',
  },
  'certificate.unknown': { kind: 'not-found', rule: 'the certificate must stand in the records' },
  'revocation.final': {
    kind: 'conflict',
    rule: 'a revocation is for ever and keeps its first reason (RFC 5280 section 5.3.1)',
  },
  // ---- revocation as an act
  'revocation.reason-forbidden': {
    kind: 'invalid',
    rule: 'a reason must be one that this party may give of this (RFC 5280 section 5.3.1)',
    remedy: 'keystead revoke --help lists them: cACompromise is for a CA only, removeFromCRL never given by hand',
  },
  'revocation.hold-forbidden': {
    kind: 'conflict',
    rule: 'only a certificate, a key or a device is put on hold and released, by an operator',
  },
  'revocation.not-on-hold': { kind: 'conflict', rule: 'only what is on hold is released' },
  'revocation.nothing': { kind: 'not-found', rule: 'what is named has no certificate in force that this would change' },
  'revocation.expired': {
    kind: 'conflict',
    rule: 'a certificate that has ended by itself is not revoked',
    remedy: 'nobody relies on it; when its key is compromised, revoke the key',
  },
  'revocation.invalidity-date': {
    kind: 'invalid',
    rule: 'the date since which something is invalid is not in the future (RFC 5280 section 5.3.2)',
  },
  'revocation.ca-unknown': {
    kind: 'not-found',
    rule: 'the issuer must be a CA that keyd holds: manufacturing, operational, server or operator',
  },
  'revocation.not-own': { kind: 'forbidden', rule: 'a device revokes certificates of its own, and no others' },
  'revocation.quorum-needed': {
    kind: 'forbidden',
    rule: 'the policy asks several people to agree to this',
    remedy: 'keystead revoke … --propose, and keystead revoke approve by the others',
  },
  'revocation.signature-needed': {
    kind: 'forbidden',
    rule: 'a hold is released by an order that an operator has signed, and keyd verifies',
    remedy: 'keystead revoke … --release signs and sends it',
  },
  'revocation.ca-key-in-use': {
    kind: 'conflict',
    rule: 'before all that a CA issued is revoked for its compromise, its key is reported compromised',
    remedy: 'keystead revoke --ca does both; or keystead keys compromise first',
  },
  'revocation.unconfirmed': {
    kind: 'invalid',
    rule: 'a large act is confirmed by the number of certificates that it takes',
    remedy: 'type the number when asked, or give --yes',
  },
  'revocation.list-untrue': {
    kind: 'forbidden',
    rule: 'what is signed for must be certificates of our own CAs that are what was asked for',
    remedy: 'sign nothing: the service shows other certificates than those that were named',
  },
  'revocation.under-way': {
    kind: 'conflict',
    rule: 'another act on the same device, batch or CA is being carried out',
    remedy: 'wait for it: keystead revoke requests shows how far it is',
  },
  'ticket.revoked': { kind: 'forbidden', rule: 'a batch that was revoked gets no unit any more' },
  'key.reported-compromised': {
    kind: 'conflict',
    rule: 'a key that was reported compromised is never certified again',
    remedy: 'make a new key',
  },
  'revocation-request.malformed': {
    kind: 'invalid',
    rule: 'a statement about a revocation must have the form that keystead revoke writes',
  },
  'revocation-request.signer-unknown': {
    kind: 'forbidden',
    rule: 'the signer must be an operator of the policy in force',
  },
  'revocation-request.signer-forbidden': {
    kind: 'forbidden',
    rule: 'a CA operator asks for a revocation, and those approve whose role the policy in force names',
  },
  'revocation-request.signature-invalid': {
    kind: 'forbidden',
    rule: 'a statement must be signed with the key that the policy in force has for its signer',
  },
  'revocation-request.other-order': {
    kind: 'conflict',
    rule: 'every statement must be about the very same order: selector, act, reason, list, proposer',
  },
  'revocation-request.list-differs': {
    kind: 'conflict',
    rule: 'a statement binds the certificates that its signer saw, and they are others now',
    remedy: 'look at it again with --dry-run, and ask anew',
  },
  'revocation-request.expired': { kind: 'forbidden', rule: 'a statement must not have expired', remedy: 'ask anew' },
  'revocation-request.not-yet-valid': { kind: 'forbidden', rule: 'a statement must not be signed in the future' },
  'revocation-request.too-long': {
    kind: 'forbidden',
    rule: 'a statement may not be valid for longer than the policy in force allows',
  },
  'revocation-request.self': { kind: 'forbidden', rule: 'nobody approves their own request' },
  'revocation-request.duplicate': { kind: 'forbidden', rule: 'a person, and a key, counts once' },
  'revocation-request.too-few': {
    kind: 'forbidden',
    rule: 'as many people must approve as the policy in force asks for',
    remedy: 'keystead revoke approve, by another person',
  },
  'revocation-request.order-used': {
    kind: 'conflict',
    rule: 'an order is carried out once',
    remedy: 'sign a new one',
  },
  'revocation-request.too-many': {
    kind: 'too-many',
    rule: 'as many requests for revocations wait as are kept',
    remedy: 'approve or withdraw some: keystead revoke requests',
  },
  'revocation-request.unknown': { kind: 'not-found', rule: 'the request for a revocation must stand in the records' },
  'revocation-request.closed': { kind: 'conflict', rule: 'the request is carried out or withdrawn' },
  // ---- the audit log
  'log.malformed': { kind: 'internal', rule: 'the files of the log must have the form of C2SP tlog-tiles' },
  'log.out-of-range': { kind: 'invalid', rule: 'the log must hold what is asked for' },
  'log.entry-too-large': { kind: 'too-large', rule: 'an entry of the log has at most 65535 bytes' },
  'log.entry-malformed': { kind: 'internal', rule: 'an entry of the log must be a canonical audit entry' },
  'log.proof-invalid': { kind: 'invalid', rule: 'the proof must lead from its entry to a signed checkpoint' },
  'log.damaged': {
    kind: 'internal',
    rule: 'the published log must be the one that its checkpoint signs; nothing more is published',
    remedy: 'run keystead audit verify; if only the files are damaged, move the log directory away: it is made anew',
  },
  'log.diverged': {
    kind: 'internal',
    rule: 'the database must hold exactly the entries that were signed',
    remedy: 'run keystead audit verify, which names the first entry that differs',
  },
  'log.signer-slow': {
    kind: 'unavailable',
    rule: 'a checkpoint must be signed within seconds of reading the entries, or its time proves nothing',
  },
  'note.malformed': { kind: 'invalid', rule: 'a signed note must have the form of C2SP signed-note' },
  'note.key-malformed': {
    kind: 'invalid',
    rule: 'a verifier key is name+id+base64 of an Ed25519 key (C2SP signed-note)',
  },
  'note.unknown-key': { kind: 'forbidden', rule: 'the note must be signed by the keys that are trusted for it' },
  'note.signature-invalid': { kind: 'forbidden', rule: 'every signature by a known key must verify' },
  'checkpoint.malformed': {
    kind: 'invalid',
    rule: 'a checkpoint is origin, size and root hash (C2SP tlog-checkpoint)',
  },
  // ---- ceremonies: people, rehearsals, later ceremonies
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
  'ca.revoked': {
    kind: 'forbidden',
    rule: 'a CA whose certificate the root has revoked issues nothing more',
    remedy: 'have a successor certified: keystead ceremony intermediate',
  },
  // ---- later ceremonies in keyd: generations of CAs and roots
  'ca.superseded': {
    kind: 'forbidden',
    rule: 'a key of a CA that has a successor answers for what it issued and issues nothing more',
    remedy: 'ask again: the CA issues by its next key',
  },
  'issuer.unknown': {
    kind: 'not-found',
    rule: 'an issuer is a CA of this keyd, or one of its later keys, such as operational.2',
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
  'bundle.key-needed': {
    kind: 'conflict',
    rule: 'a ceremony that certifies a new key of a CA is imported with the keystore that holds this key',
    remedy: 'give the passphrase of keyd: --passphrase-file or --passphrase-fd',
  },
  'policy.transition-too-short': {
    kind: 'invalid',
    rule: 'an old root stays an anchor for at least as long as the certificates live with which devices learn of the new one',
  },
  'fingerprint.malformed': {
    kind: 'invalid',
    rule: 'a fingerprint is 64 hex digits, or 32 words of the PGP word list in their order',
  },
  'fingerprint.differs': { kind: 'forbidden', rule: 'the file must have the fingerprint that was read out' },
  // ---- CMS messages with content, EST's further operations, SCEP
  'cms.message-malformed': {
    kind: 'invalid',
    rule: 'a CMS message must be DER of the form that this operation takes (RFC 5652)',
  },
  'cms.algorithm': {
    kind: 'unsupported',
    rule: 'a message is signed with SHA-256 or SHA-384, and encrypted with AES-128-CBC or AES-256-CBC',
  },
  'cms.signature-invalid': {
    kind: 'invalid',
    rule: 'the signature of the message must verify with its signer certificate',
  },
  'cms.recipient-unfit': {
    kind: 'unsupported',
    rule: 'content is encrypted only to an RSA key, or to a key on P-256 or P-384',
  },
  'policy.est-profile': {
    kind: 'invalid',
    rule: 'est.serverKeys names profiles of devices, est.channelBinding those of devices or hosts, and all of them end',
  },
  'est.label-unknown': {
    kind: 'not-found',
    rule: 'a label of EST is the id of a profile by which devices or hosts get certificates',
  },
  'est.fullcmc': {
    kind: 'not-found',
    rule: 'Keystead speaks no CMC: RFC 7030 leaves /fullcmc to the server',
    remedy: 'use simpleenroll, simplereenroll, serverkeygen, or CMP',
  },
  'est.authorization-malformed': {
    kind: 'unauthenticated',
    rule: 'the Authorization header must be Basic with the id and the secret of an enrolment authorisation',
  },
  'csr.names-missing': {
    kind: 'invalid',
    rule: 'a request under an authorisation must name what it is for: the device as CN, or each host in subjectAltName',
  },
  'est.channel-binding-missing': {
    kind: 'forbidden',
    rule: 'the policy wants requests of this profile bound to their TLS connection (RFC 7030 section 3.5)',
    remedy: 'put tls-unique (TLS 1.2) or tls-exporter (TLS 1.3), base64, into challengePassword',
  },
  'est.channel-binding-wrong': {
    kind: 'forbidden',
    rule: 'a challengePassword must be the channel binding of the very connection that brings it (RFC 7030 section 3.5)',
  },
  'server-key.forbidden': {
    kind: 'forbidden',
    rule: 'keyd makes keys for others only by the profiles that the policy names in est.serverKeys',
    remedy: 'make the key on the device, or have a quorum change the policy',
  },
  'server-key.algorithm': {
    kind: 'unsupported',
    rule: 'keyd makes P-256, P-384 and Ed25519 keys for others; an RSA key takes a second in which nobody is served',
  },
  'server-key.recipient-missing': {
    kind: 'forbidden',
    rule: 'a key that is made for a device leaves keyd only wrapped to a certificate of that device',
    remedy: 'show the IDevID or LDevID in the TLS handshake',
  },
  'server-key.recipient-unfit': {
    kind: 'forbidden',
    rule: 'a key can be wrapped only to an RSA certificate, or to one on P-256 or P-384',
  },
  'server-key.recipient-unknown': {
    kind: 'forbidden',
    rule: 'AsymmetricDecryptKeyIdentifier must be the subject key identifier of a valid certificate of the same device',
  },
  'server-key.symmetric': {
    kind: 'unsupported',
    rule: 'Keystead shares no symmetric keys with devices: DecryptKeyIdentifier names none',
    remedy: 'use AsymmetricDecryptKeyIdentifier, or leave it out',
  },
  // ---- reconciliation of factory nodes with headquarters
  'consignment.malformed': {
    kind: 'invalid',
    rule: 'a parcel must have the form that a factory node writes: a consignment, its tickets, and the contents of each unit',
  },
  'consignment.factory-unknown': {
    kind: 'not-found',
    rule: 'a consignment must be of a factory node that this headquarters has commissioned',
  },
  'consignment.not-a-node': { kind: 'conflict', rule: 'only a factory node makes consignments' },
  'consignment.not-headquarters': { kind: 'conflict', rule: 'only headquarters takes consignments in' },
  'consignment.number-ahead': {
    kind: 'conflict',
    rule: 'the records of the node know a consignment that the journal of its keyd does not have',
    remedy:
      'an older disk image of keyd was put back: commission a new node under another name, this one may not go on',
  },
  'consignment.unit-differs': {
    kind: 'invalid',
    rule: 'certificate, record and signature must be those of the unit that the consignment tells of',
    remedy: 'the parcel was changed after keyd signed the consignment: fetch it from the node again',
  },
  'consignment.seal-broken': {
    kind: 'forbidden',
    rule: 'a parcel must be as its node has packed it, with each certificate and each ticket',
    remedy: 'the parcel was changed on the way: fetch it from the node again',
  },
  'consignment.forked': {
    kind: 'conflict',
    rule: 'a factory node signs each number once, and each consignment after the one before',
    remedy:
      'the node runs from an older disk image, or somebody else has its key: find out, then keystead factory resolve',
  },
  'consignment.stopped': {
    kind: 'conflict',
    rule: 'nothing new is taken of a factory that signed two histories, until an operator has decided',
    remedy: 'keystead factory conflicts shows both, keystead factory resolve decides',
  },
  'consignment.too-far': {
    kind: 'conflict',
    rule: 'a consignment may be at most 10,000 numbers ahead of the first that is missing',
    remedy: 'bring the missing ones first',
  },
  'consignment.busy': {
    kind: 'too-many',
    rule: 'headquarters takes a few consignments at a time',
    remedy: 'send it again later',
  },
  'resolution.malformed': { kind: 'invalid', rule: 'a resolution must have the one form that is signed' },
  'resolution.signer-unknown': { kind: 'forbidden', rule: 'the signer must stand in the policy' },
  'resolution.signer-forbidden': { kind: 'forbidden', rule: 'the signer must hold a role that may sign this' },
  'resolution.signature-invalid': {
    kind: 'forbidden',
    rule: 'a resolution must carry the signature of the operator whom it names',
  },
  'resolution.signer-twice': { kind: 'invalid', rule: 'each person signs a resolution once' },
  'resolution.too-few-signatures': {
    kind: 'forbidden',
    rule: 'a resolution needs as many signatures as a batch ticket',
    remedy: 'let another person add theirs: keystead factory sign FILE --as NAME',
  },
  'resolution.not-now': {
    kind: 'forbidden',
    rule: 'a resolution holds from its signature to its end, and no longer than the policy lets statements hold',
    remedy: 'sign it anew',
  },
  'resolution.nothing': {
    kind: 'not-found',
    rule: 'a resolution must be about a unit in quarantine, or about the second consignment that stopped a factory',
  },
  'receipt.foreign': {
    kind: 'forbidden',
    rule: 'a receipt must be for a consignment that this node has signed, and for its content',
  },
  'device.quarantined': {
    kind: 'forbidden',
    rule: 'nothing is issued to a device in quarantine',
    remedy: 'keystead factory conflicts says why; operators release or reject it',
  },
  'scep.off': { kind: 'not-found', rule: 'SCEP is not switched on here' },
  'scep.operation-unknown': {
    kind: 'invalid',
    rule: 'operation must be GetCACaps, GetCACert or PKIOperation (RFC 8894)',
  },
  'scep.message-unreadable': {
    kind: 'invalid',
    rule: 'the message cannot be read: it is not for this RA, or what is in it is no request. No more is told on purpose',
    remedy: 'fetch the RA certificate anew (GetCACert): it changes with each start',
  },
  'scep.attributes': {
    kind: 'invalid',
    rule: 'a SCEP message carries a transactionID, a messageType and a senderNonce of 16 octets (RFC 8894 section 3.2.1)',
  },
  'scep.key-differs': {
    kind: 'forbidden',
    rule: 'a first request is signed with the very key that it asks a certificate for (RFC 8894 section 2.3)',
  },
  'scep.challenge': {
    kind: 'forbidden',
    rule: 'challengePassword must be the id and the secret of an enrolment authorisation, with a dot between',
  },
  'scep.replayed': { kind: 'conflict', rule: 'a senderNonce is used once' },
  'scep.transaction': {
    kind: 'conflict',
    rule: 'a transactionID belongs to one request of one key until it ends',
  },
  'scep.certificate-unknown': {
    kind: 'not-found',
    rule: 'no certificate, CRL or transaction is the one that is asked for',
  },
  'scep.profile-missing': {
    kind: 'unavailable',
    rule: 'SCEP needs the profile scep-ra in the policy',
    remedy: 'have a quorum add it: docs/scep.md shows it',
  },
  // ---- stations at a line
  'policy.stations': {
    kind: 'invalid',
    rule: "the profile 'station' is a host under the server CA, with clientAuth and nothing else, for which operators sign",
    remedy: 'docs/station.md shows it',
  },
  'station-order.malformed': { kind: 'invalid', rule: 'an order for a station must have the one form that is signed' },
  'station-order.signer-unknown': { kind: 'forbidden', rule: 'the signer must stand in the policy' },
  'station-order.signer-forbidden': { kind: 'forbidden', rule: 'the signer must hold a role that may enrol stations' },
  'station-order.signature-invalid': {
    kind: 'forbidden',
    rule: 'an order for a station must carry the signature of the operator whom it names',
  },
  'station-order.expired': {
    kind: 'forbidden',
    rule: 'an order for a station is good for a day at most',
    remedy: 'sign it anew',
  },
  'station-order.differs': {
    kind: 'forbidden',
    rule: 'an order for a station is for one site, one name and one request',
  },
  'sign-on.malformed': { kind: 'invalid', rule: 'a sign-on must have the one form that is signed' },
  'sign-on.signer-unknown': { kind: 'forbidden', rule: 'who signs on must stand in the policy' },
  'sign-on.signer-forbidden': { kind: 'forbidden', rule: 'who signs on must hold a role that may provision units' },
  'sign-on.signature-invalid': {
    kind: 'forbidden',
    rule: 'a sign-on must carry the signature of the operator whom it names',
  },
  'sign-on.too-long': {
    kind: 'forbidden',
    rule: 'a sign-on holds no longer than the policy lets it, and 12 hours at most',
    remedy: 'sign on for a shorter time',
  },
  'sign-on.not-yet-valid': {
    kind: 'forbidden',
    rule: 'a sign-on must not begin in the future',
    remedy: 'set the clock of the machine where it was signed',
  },
  'sign-on.expired': { kind: 'forbidden', rule: 'a sign-on must not have ended', remedy: 'sign on anew' },
  'sign-on.ended': {
    kind: 'forbidden',
    rule: 'who was signed off stays so, until they sign on anew',
    remedy: 'sign on anew',
  },
  'sign-on.before-restore': {
    kind: 'forbidden',
    rule: 'after a restore nobody is signed on by what was signed before it',
    remedy: 'sign on anew',
  },
  'sign-on.before-recount': {
    kind: 'forbidden',
    rule: 'after a recount nobody is signed on by what was signed before it',
    remedy: 'sign on anew',
  },
  'sign-on.other-station': {
    kind: 'forbidden',
    rule: 'a sign-on is for one station, the one whose certificate is shown',
  },
  'sign-on.other-factory': { kind: 'forbidden', rule: 'a sign-on is for one site' },
  'sign-on.differs': {
    kind: 'forbidden',
    rule: 'operator, station and line of a unit must be those of the sign-on that it comes under',
  },
  'sign-on.needed': {
    kind: 'forbidden',
    rule: 'a unit needs a station that somebody is signed on at',
    remedy: 'sign on at the station',
  },
  'station.needed': {
    kind: 'forbidden',
    rule: 'this is for stations: it needs the certificate of one',
    remedy: 'enrol the station: keystead station enrol',
  },
  'station.clock-wrong': {
    kind: 'forbidden',
    rule: "the station's clock must agree with the node's within five minutes",
    remedy: 'set the clock of the station',
  },
  'station.no-batch': {
    kind: 'not-found',
    rule: 'no batch that is open for this line has this device id',
    remedy: 'look at the id, and at the batches that are open',
  },
  'station.batch-ambiguous': {
    kind: 'conflict',
    rule: 'several open batches have this device id',
    remedy: 'name the ticket',
  },
  'station.unit-unknown': { kind: 'not-found', rule: 'this unit has no result here' },
  'station.way-unknown': {
    kind: 'invalid',
    rule: 'a way to a key must be one that this node knows',
    remedy: 'docs/ways-to-a-key.md has them',
  },
  'station.rig-failed': { kind: 'invalid', rule: 'the rig must give a request, and say that it did' },
  'station.install-failed': {
    kind: 'invalid',
    rule: 'the rig must put the certificate into the unit, and say that it did',
  },
  'station.queue': {
    kind: 'invalid',
    rule: "a station's queue must be files that this program wrote, used by one of it",
  },
  // ---- ways to a key: secure elements, injected keys, symmetric keys by diversification
  'element.not-configured': {
    kind: 'forbidden',
    rule: 'a secure element is believed only where the policy names its maker',
    remedy: 'put `secureElements` into the section `attestation` of the policy (docs/ways-to-a-key.md)',
  },
  'element.chip-refused': {
    kind: 'forbidden',
    rule: 'the certificate of the chip must lead to a maker of secure elements that the policy names, by RFC 5280 section 6, and be for a key that signs',
  },
  'element.key-refused': {
    kind: 'forbidden',
    rule: 'the key of the request must be the one that the maker certified, or one that the certified key has attested',
    remedy: 'ask for a challenge first, and have the chip sign the statement for this device and this key',
  },
  'element.statement-refused': {
    kind: 'forbidden',
    rule: 'a statement of a chip is signed by its certified key over the challenge, the new key and the device id',
  },
  'element.challenge-refused': {
    kind: 'forbidden',
    rule: 'a challenge to a chip is answered once, in time, for the unit, line and chip it was made for',
    remedy: 'begin again with a new challenge; a restart of keyd and a change of the policy forget those that are open',
  },
  'element.chip-used': {
    kind: 'conflict',
    rule: 'one chip is one device, for all time',
    remedy: 'look for the unit that has this chip, or for a chip that was copied; both belong to the report',
  },
  'policy.unit-keys-unsound': {
    kind: 'invalid',
    rule: 'unitKeys.injected names profiles of units, unitKeys.diversified each purpose once, with its version',
  },
  'injection.forbidden': {
    kind: 'forbidden',
    rule: 'keyd makes the key of a unit only by a profile that the policy names in unitKeys.injected, and where the ticket allows it',
    remedy: 'make the key on the device, or have a quorum change the policy and a ticket signed that allows `injected`',
  },
  'injection.recipient-unfit': {
    kind: 'forbidden',
    rule: 'a key is wrapped only to a fresh public key on P-256 or P-384 that is of one unit and is no identity',
  },
  'injection.recipient-used': {
    kind: 'conflict',
    rule: 'one ephemeral key is for one unit',
    remedy: 'have the unit make a key of its own: two units with one ephemeral key could read each other’s keys',
  },
  'injection.too-many': {
    kind: 'conflict',
    rule: 'for one unit no more than a few keys are made before one of them is certified',
    remedy: 'provision the unit with an ephemeral key that it has used before, or give it another device id',
  },
  'injection.package-lost': {
    kind: 'internal',
    rule: 'the wrapped key of a unit must lie where keyd put it, unaltered',
    remedy: 'the key cannot be made again: decommission the unit, and provision it under another device id',
  },
  'injection.none': {
    kind: 'not-found',
    rule: 'the key that is to be certified as injected must be one that keyd has made for this unit',
  },
  'diversify.purpose-unknown': {
    kind: 'forbidden',
    rule: 'keys are derived only for purposes that the policy names in unitKeys.diversified',
  },
  'diversify.unproven': {
    kind: 'forbidden',
    rule: 'a derived key goes only to a device that was provisioned here and is not revoked, wrapped to a key that it signed with its identity',
  },
  'diversify.master-lost': {
    kind: 'unavailable',
    rule: 'a master that has given keys must be in the keystore: another of its name would give others',
    remedy:
      'restore the token, or have a quorum raise the version of this purpose in the policy; devices then ask again',
  },
  'diversify.unsupported': {
    kind: 'unsupported',
    rule: 'master keys need a keystore that derives: a sealed file or a PKCS#11 token with CKM_SHA256_HMAC',
  },
  // ---- keys of people who propose and approve
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
  'policy.signer-unfit': {
    kind: 'invalid',
    rule: 'each key by which an operator signs must be of an algorithm of the policy, and neither weak nor published',
  },
  'policy.hardware-unenforced': {
    kind: 'invalid',
    rule: 'a policy demands hardware-held keys only of approvals whose signatures are verified',
    remedy: 'leave `hardware` out: how this quorum comes together is by procedure',
  },
  'webauthn.malformed': {
    kind: 'invalid',
    rule: 'what a browser and its authenticator answer must have the form of W3C WebAuthn, of bounded size',
  },
  'webauthn.type-differs': {
    kind: 'forbidden',
    rule: 'a registration is no assertion, and an assertion no registration',
  },
  'webauthn.challenge-differs': {
    kind: 'forbidden',
    rule: 'an assertion holds for the one challenge that it was made for: this very statement',
    remedy: 'sign what is asked for now; an assertion of something else cannot be used again',
  },
  'webauthn.origin-foreign': {
    kind: 'forbidden',
    rule: 'an assertion is made at one of the origins that the policy names for the credential, in no frame of another page',
    remedy: 'open the console under its own address; if somebody sent you a link, report it',
  },
  'webauthn.relying-party-foreign': {
    kind: 'forbidden',
    rule: 'an assertion is made for the relying party that the credential was registered for',
  },
  'webauthn.user-absent': { kind: 'forbidden', rule: 'somebody must have touched the authenticator' },
  'webauthn.user-unverified': {
    kind: 'forbidden',
    rule: 'the authenticator must have verified who touches it, by PIN or biometrics',
    remedy: 'set a PIN on the security key',
  },
  'webauthn.credential-differs': {
    kind: 'forbidden',
    rule: 'an assertion is made by a credential that the policy has for its signer',
  },
  'webauthn.algorithm-forbidden': {
    kind: 'invalid',
    rule: 'a credential signs by ES256 on P-256, EdDSA on Ed25519, or RS256',
  },
  'webauthn.attestation-refused': {
    kind: 'invalid',
    rule: 'an attestation is of the format none, or packed by the key of the credential itself',
  },
  'webauthn.signature-invalid': {
    kind: 'forbidden',
    rule: 'the signature of an assertion must be by the key of its credential',
  },
  // ---- rotation campaigns
  'rotation.unknown': {
    kind: 'not-found',
    rule: 'there must be a campaign of this name',
    remedy: 'keystead rotate list',
  },
  'rotation.malformed': { kind: 'invalid', rule: 'a plan must have the form that keystead rotate plan takes' },
  'rotation.plan-differs': {
    kind: 'conflict',
    rule: 'one name is one campaign: the same again must say the same',
    remedy: 'give the campaign another name',
  },
  'rotation.target': { kind: 'invalid', rule: 'what is rotated must be there, and be of the kind of the campaign' },
  'rotation.overlaps': {
    kind: 'conflict',
    rule: 'one thing is rotated by one campaign at a time',
    remedy: 'end the other one first: keystead rotate list',
  },
  'rotation.backup-pin': {
    kind: 'forbidden',
    rule: 'server keys rotate under a bundle that has the current, the next and a backup pin of the role',
    remedy: 'make and sign a trust bundle with the three of them',
  },
  'rotation.step': {
    kind: 'conflict',
    rule: 'a campaign goes from state to state as its table says',
    remedy: 'keystead rotate states',
  },
  'rotation.not-ready': {
    kind: 'conflict',
    rule: 'a campaign goes on when what its next state needs is there',
    remedy: 'keystead rotate status NAME says what is missing',
  },
  'rotation.too-early': { kind: 'conflict', rule: 'old and new stay side by side as long as the plan says' },
  'rotation.strands-devices': {
    kind: 'forbidden',
    rule: 'a rotation that would cut devices off goes on only when a quorum insists on these very devices',
    remedy: 'keystead rotate dry-run NAME shows them and why; keystead rotate insist propose NAME asks for it',
  },
  'rotation.too-many-devices': {
    kind: 'too-large',
    rule: 'a campaign has at most a million devices',
  },
  'rotation.unplanned-device': { kind: 'not-found', rule: 'the device must be one of the campaign' },
  'rotation-order.malformed': {
    kind: 'invalid',
    rule: 'a statement about a rotation must have the form that keystead rotate insist writes',
  },
  'rotation-order.signer-unknown': {
    kind: 'forbidden',
    rule: 'the signer must be an operator of the policy in force',
  },
  'rotation-order.signer-forbidden': {
    kind: 'forbidden',
    rule: 'a CA operator asks for it, and those approve whose role the policy names in its quorum ca-rotation',
  },
  'rotation-order.signature-invalid': {
    kind: 'forbidden',
    rule: 'a statement must be signed with the key that the policy in force has for its signer',
  },
  'rotation-order.other-order': {
    kind: 'conflict',
    rule: 'every statement must be about the very same campaign, plan and devices, which are those of now',
    remedy: 'look at the dry run again, and ask anew',
  },
  'rotation-order.expired': { kind: 'forbidden', rule: 'a statement must not have expired', remedy: 'ask anew' },
  'rotation-order.not-yet-valid': { kind: 'forbidden', rule: 'a statement must not be signed in the future' },
  'rotation-order.too-long': {
    kind: 'forbidden',
    rule: 'a statement may not be valid for longer than the policy in force allows',
  },
  'rotation-order.self': { kind: 'forbidden', rule: 'nobody approves what they asked for' },
  'rotation-order.duplicate': { kind: 'forbidden', rule: 'a person, and a key, counts once' },
  'rotation-order.too-few': {
    kind: 'forbidden',
    rule: 'as many people must approve as the policy in force asks for in its quorum ca-rotation',
    remedy: 'keystead rotate insist approve, by another person',
  },
  // ---- end of rotation campaigns
} as const satisfies Record<string, ErrorEntry>;

/** A stable error code such as `csr.signature-invalid`. */
export type ErrorCode = keyof typeof ERRORS;
