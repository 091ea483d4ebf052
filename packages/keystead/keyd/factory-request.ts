import { type DerCsr, type DerSpki, fromPem, toHex } from '@keystead/core/bytes';
import { sha256, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type CommissionOrder,
  FACTORY_SLOTS,
  type FactoryRequest,
  type FactorySlot,
  parseFactoryRequest,
  requestName,
} from '@keystead/core/lifecycle';
import { parseVerifierKey } from '@keystead/core/log';
import { checkPublicKey, formatName, parseCsr, readCertificate, verifyProofOfPossession } from '@keystead/core/x509';
import type { KeydContext } from './context.ts';
import type { Factory } from './factories.ts';

/** The keys of a request, each in the possession of who asks. */
export interface ProvenRequest {
  readonly request: FactoryRequest;
  readonly keys: Readonly<Record<FactorySlot, DerSpki>>;
}

/**
 * Reads the request of a node: it is the one that the quorum has signed for, and whoever wrote it has the keys.
 * REQ-KEY-PROV-01
 * @throws KeysteadError `commission.request-differs`, `factory.request-malformed`, `csr.*`, `key.*`,
 *   `note.key-malformed`.
 */
export function provenRequest(bytes: Uint8Array, order: CommissionOrder): ProvenRequest {
  const seen = toHex(sha256(bytes));
  if (seen !== order.requestSha256) throw new KeysteadError('commission.request-differs', { field: 'request', seen });
  const request = parseFactoryRequest(bytes);
  if (request.factory !== order.factory) {
    throw new KeysteadError('commission.request-differs', { field: 'request.factory', seen: request.factory });
  }
  for (const vkey of [request.log.vkey, request.log.cosignVkey]) parseVerifierKey(vkey);
  const keys = {
    manufacturing: provenKey(request, 'manufacturing'),
    server: provenKey(request, 'server'),
    evidence: provenKey(request, 'evidence'),
  };
  const [first, ...others] = FACTORY_SLOTS.map((slot) => spkiSha256(keys[slot]));
  if (first === undefined || others.includes(first) || others[0] === others[1]) {
    throw new KeysteadError('commission.key-used', { field: 'request', seen: 'one key for two purposes' });
  }
  return { request, keys };
}

function provenKey({ certificateRequests }: FactoryRequest, slot: FactorySlot): DerSpki {
  const field = `certificateRequests.${slot}`;
  const [der, ...more] = fromPem('CERTIFICATE REQUEST', certificateRequests[slot]);
  if (der === undefined || more.length > 0) {
    throw new KeysteadError('factory.request-malformed', { field, seen: `${more.length + 1} requests` });
  }
  const csr = parseCsr(der as DerCsr);
  const name = formatName(csr.subject);
  // Ties the request to its place, so that two cannot be swapped.
  if (name !== `CN=${requestName(slot)}`) throw new KeysteadError('csr.subject-mismatch', { field, seen: name });
  if (csr.requested.names.length > 0) {
    throw new KeysteadError('csr.extension-forbidden', { field, seen: csr.requested.names.join(', ') });
  }
  // As those of headquarters: they sign for every unit, often.
  checkPublicKey(csr.spki, ['P-256']);
  verifyProofOfPossession(csr);
  return csr.spki;
}

/**
 * A key of a node is new: none of headquarters, none of another factory and none of a device. At a renewal they are the
 * node's own, for its name never passes to another key.
 * @throws KeysteadError `commission.key-used`, `commission.key-differs`.
 */
export function requireKeys(keyd: KeydContext, { request, keys }: ProvenRequest, factory: Factory | undefined): void {
  if (factory !== undefined) {
    requireSame(request, keys, factory);
    return;
  }
  const { issuers, certificates, evidenceSigner, pins } = keyd.hierarchy;
  const taken = new Map<string, string>([
    ...issuers.map(({ id, certificate }): [string, string] => [readCertificate(certificate).spkiSha256, id]),
    ...Object.entries(certificates).map(([role, der]): [string, string] => [readCertificate(der).spkiSha256, role]),
    [readCertificate(evidenceSigner).spkiSha256, 'evidence'],
  ]);
  const logs = new Map<string, string>([pins.vkey, pins.cosignVkey].map((vkey) => [vkey, 'headquarters']));
  for (const other of keyd.state.factories.all()) {
    for (const slot of FACTORY_SLOTS) {
      taken.set(readCertificate(other.certificates[slot]).spkiSha256, `${slot} of ${other.name}`);
    }
    for (const vkey of Object.values(other.inForce.log)) logs.set(vkey, other.name);
  }
  for (const slot of FACTORY_SLOTS) {
    const hash = spkiSha256(keys[slot]);
    const owner = taken.get(hash) ?? keyd.state.factories.ownerOf(hash);
    if (owner === undefined) continue;
    throw new KeysteadError('commission.key-used', {
      field: `certificateRequests.${slot}`,
      seen: `the key of ${owner}`,
    });
  }
  const log = logs.get(request.log.vkey) ?? logs.get(request.log.cosignVkey);
  if (log !== undefined) throw new KeysteadError('commission.key-used', { field: 'log', seen: `the log of ${log}` });
}

function requireSame(request: FactoryRequest, keys: ProvenRequest['keys'], factory: Factory): void {
  for (const slot of FACTORY_SLOTS) {
    const seen = spkiSha256(keys[slot]);
    if (seen === readCertificate(factory.certificates[slot]).spkiSha256) continue;
    throw new KeysteadError('commission.key-differs', { field: `certificateRequests.${slot}`, seen });
  }
  const { vkey, cosignVkey } = factory.inForce.log;
  if (request.log.vkey === vkey && request.log.cosignVkey === cosignVkey) return;
  throw new KeysteadError('commission.key-differs', { field: 'log', seen: request.log.vkey });
}
