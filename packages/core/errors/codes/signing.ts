import type { ErrorEntry } from '../entry.ts';

/** Requests for signatures, time stamps (RFC 3161), repositories of The Update Framework. */
export const SIGNING_ERRORS = {
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
  'tuf.not-renewed': {
    kind: 'unavailable',
    rule: 'a timestamp of which half of the time is over is followed by another',
    remedy: 'look at the clocks of serve and keyd: the one that signs is behind',
  },
  'tuf.publisher-busy': {
    kind: 'unavailable',
    rule: 'an update repository has one publisher at a time, serve or a command',
    remedy: 'give the same command again in a moment',
  },
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
} as const satisfies Record<string, ErrorEntry>;
