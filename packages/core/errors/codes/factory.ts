import type { ErrorEntry } from '../entry.ts';

/** Factory nodes, and headquarters. */
export const FACTORY_ERRORS = {
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
  'factory.unknown': { kind: 'not-found', rule: 'there must be a factory node of this name' },
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
} as const satisfies Record<string, ErrorEntry>;
