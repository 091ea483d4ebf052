import { KeysteadError } from '../../errors/index.ts';
import { DerError, type DerNode, readDer, readInteger, readOid } from '../der/strict.ts';
import { readExtensions } from '../extensions.ts';
import { nameOf } from '../oids.ts';
import { IMPRINT_HASHES, type ImprintHash, MOST_NONCE_OCTETS } from './oids.ts';

/** A usual one has 70 octets; with a nonce and a policy under 120. */
export const MAX_TSP_REQUEST_BYTES = 1024;

export interface TimestampRequest {
  readonly hash: ImprintHash;
  /** As many octets as the hash has. */
  readonly imprint: Uint8Array;
  /** Dotted. */
  readonly policy?: string;
  /** The content octets of its INTEGER: they go back as they came. */
  readonly nonce?: Uint8Array;
  /** Whether the certificate of the TSA shall stand in the token. */
  readonly certReq: boolean;
}

const HASHES = Object.fromEntries(Object.entries(IMPRINT_HASHES).map(([name, { oid }]) => [name, oid]));

/**
 * Reads a TimeStampReq (RFC 3161 section 2.4.1), strictly and in linear time.
 * @throws KeysteadError `tsp.malformed`; `tsp.hash-unsupported` for a well-formed one of another hash;
 *   `tsp.extension-unknown` for any extension, critical or not, as section 2.4.1 wants it.
 */
export function parseTimestampRequest(der: Uint8Array): TimestampRequest {
  if (der.length > MAX_TSP_REQUEST_BYTES)
    throw new KeysteadError('tsp.malformed', { field: 'request', seen: `${der.length} bytes` });
  try {
    return readRequest(readDer(der));
  } catch (cause) {
    if (cause instanceof DerError)
      throw new KeysteadError('tsp.malformed', { field: 'request', seen: cause.message, cause });
    throw cause;
  }
}

function readRequest(root: DerNode): TimestampRequest {
  root.expect(0x30, 'the request').counted(2, 6, 'the request');
  const version = readInteger(root.child(0, 0x02, 'the version'), 'the version');
  if (version !== 1n) throw new DerError(`the version is ${version}`);
  const imprint = readImprint(root.child(1, 0x30, 'messageImprint'));
  const rest = [...root.children.slice(2)];
  const next = (tag: number): DerNode | undefined => (rest[0]?.tag === tag ? rest.shift() : undefined);
  const policy = next(0x06);
  const nonce = next(0x02);
  const certReq = next(0x01);
  const extensions = next(0xa0);
  if (rest.length > 0) throw new DerError('the request has an element of no known kind, or in another order');
  if (nonce !== undefined && nonce.value.length > MOST_NONCE_OCTETS)
    throw new DerError(`a nonce of ${nonce.value.length} octets`);
  if (certReq !== undefined && certReq.value[0] !== 0xff) throw new DerError('certReq is an encoded default');
  if (extensions !== undefined) refuseExtensions(extensions);
  return {
    ...imprint,
    ...(policy === undefined ? {} : { policy: readOid(policy, 'reqPolicy') }),
    ...(nonce === undefined ? {} : { nonce: Uint8Array.from(nonce.value) }),
    certReq: certReq !== undefined,
  };
}

function readImprint(node: DerNode): Pick<TimestampRequest, 'hash' | 'imprint'> {
  node.counted(2, 2, 'messageImprint');
  const algorithm = node.child(0, 0x30, 'hashAlgorithm').counted(1, 2, 'hashAlgorithm');
  if (algorithm.children[1] !== undefined) algorithm.child(1, 0x05, 'the parameters of hashAlgorithm');
  const imprint = Uint8Array.from(node.child(1, 0x04, 'hashedMessage').value);
  const name = nameOf(HASHES, readOid(algorithm.children[0], 'hashAlgorithm'));
  if (!isImprintHash(name)) throw new KeysteadError('tsp.hash-unsupported', { field: 'hashAlgorithm', seen: name });
  const { octets } = IMPRINT_HASHES[name];
  if (imprint.length !== octets)
    throw new DerError(`hashedMessage has ${imprint.length} octets, and ${name} ${octets}`);
  return { hash: name, imprint };
}

const isImprintHash = (name: string): name is ImprintHash => Object.hasOwn(IMPRINT_HASHES, name);

/** Extensions [0] IMPLICIT. */
function refuseExtensions(node: DerNode): never {
  const list = Uint8Array.from(node.bytes);
  list[0] = 0x30;
  const [first] = readExtensions(readDer(list), 'extensions');
  throw new KeysteadError('tsp.extension-unknown', { field: 'extensions', seen: first?.oid });
}
