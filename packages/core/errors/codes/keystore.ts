import type { ErrorEntry } from '../entry.ts';

/** Where private keys live: sealed files, tokens, TPMs. */
export const KEYSTORE_ERRORS = {
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
} as const satisfies Record<string, ErrorEntry>;
