import { canonicalJson, type JsonValue, sameBytes } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { type Proof, prove, type StatementSigner } from './proof.ts';

/**
 * The payload that a signer signs: `payload`, or the one that was written out earlier for them. That says the same but
 * for what is new in each statement: its times, and the random id of an order that is asked for.
 * @param payload canonical JSON.
 * @throws KeysteadError `approval.bytes-differ` with the member that is another.
 */
export function payloadFor({ earlier }: StatementSigner, context: string, payload: Uint8Array): Uint8Array {
  if (earlier === undefined) return payload;
  const start = Buffer.from(context, 'latin1');
  if (!sameBytes(earlier.subarray(0, start.length), start)) {
    throw differ('the kind of statement', JSON.stringify(Buffer.from(earlier.subarray(0, 64)).toString('latin1')));
  }
  const held = earlier.subarray(start.length);
  const [then, now] = [lasting(held), lasting(payload)];
  const member = [...new Set([...Object.keys(then), ...Object.keys(now)])].find(
    (name) => canonicalJson(then[name] ?? null) !== canonicalJson(now[name] ?? null),
  );
  if (member === undefined) return held;
  throw differ(member, canonicalJson(then[member] ?? null).slice(0, 200));
}

/**
 * Signs a payload that stays as it is, since others sign it, too.
 * @param data the kind's context and the payload.
 * @throws KeysteadError `approval.bytes-differ` for a signer who has signed other bytes.
 */
export function proveUnchanged(signer: StatementSigner, data: Uint8Array): Promise<Proof> {
  if (signer.earlier === undefined || sameBytes(signer.earlier, data)) return prove(signer, data);
  throw differ('payload', 'the bytes of another file');
}

const differ = (field: string, seen: string): KeysteadError =>
  new KeysteadError('approval.bytes-differ', { field, seen });

type Members = Readonly<Record<string, JsonValue>>;

function lasting(payload: Uint8Array): Members {
  const { signedAt: _signedAt, expiresAt: _expiresAt, at: _at, order, ...rest } = objectOf(payload);
  if (order === undefined) return rest;
  const isNew = rest.act === 'propose' && typeof order === 'object' && order !== null && !Array.isArray(order);
  if (!isNew) return { ...rest, order };
  const { id: _id, ...what } = order as Members;
  return { ...rest, order: what };
}

function objectOf(payload: Uint8Array): Members {
  try {
    const value: unknown = JSON.parse(Buffer.from(payload).toString('utf8'));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Members;
  } catch {
    // Below.
  }
  throw differ('payload', 'no statement');
}
