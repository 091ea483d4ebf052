import type { ErrorEntry } from '../entry.ts';

/** Attestation by TPM and secure element, injected and derived keys. */
export const ATTESTATION_ERRORS = {
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
} as const satisfies Record<string, ErrorEntry>;
