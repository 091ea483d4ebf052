import type { ErrorEntry } from '../entry.ts';

/** The device's side. */
export const AGENT_ERRORS = {
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
  'renewal.grace-ended': {
    kind: 'forbidden',
    rule: 'an expired device recovers by itself only within the grace period',
    remedy: 'an operator admits the device again: keystead device readmit; then on the device: keystead-agent recover',
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
  'evidence.not-revoked': {
    kind: 'conflict',
    rule: 'evidence is signed when the IDevID of the device, and all that it names as revoked, stand on a signed CRL',
    remedy: 'publish the CRL first',
  },
  'peer.refused': {
    kind: 'unauthenticated',
    rule: 'the peer must prove an identity that is valid, expected and not revoked',
  },
  'peer.unreachable': { kind: 'unavailable', rule: 'the peer must be reachable by TLS 1.3' },
} as const satisfies Record<string, ErrorEntry>;
