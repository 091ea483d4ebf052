import { sameBytes } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import type { Handle } from 'pkcs11js';
import { CKA, CKO_PUBLIC_KEY } from '../cryptoki.ts';
import type { Order, StoredKey } from '../orders.ts';
import { formatRecord, type KeyRecord, objectIdOf } from '../record.ts';
import {
  keySearch,
  MADE_BY,
  masterTemplate,
  privateTemplate,
  probeTemplates,
  publicTemplate,
  recordSearch,
  recordTemplate,
  wrappingTemplate,
} from '../templates.ts';
import { call } from './addon.ts';
import { deriveSecret } from './agree.ts';
import { attribute, destroyIfAllowed, find, findOwn, keySearches, readKey } from './objects.ts';
import type { TokenSession } from './session.ts';

/**
 * Makes a key: first its record, then the key. So a kill between the two leaves a record without a key, which is no
 * key and is cleared away here the next time, and never a key that nobody knows of. When a step fails, what was made
 * is destroyed. Another program may make the same key at the same time: none is acknowledged before it was seen that
 * record and key are there and the only ones, and nothing is destroyed that may be the other's. REQ-KEY-STO-01
 * @throws KeysteadError `keystore.changed`, `keystore.token-ambiguous`, `key.inconsistent`. @throws CallRefused.
 */
export function makeKey(at: TokenSession, { record, begun }: Order<'generate'>): StoredKey {
  const { module, session, config } = at;
  clearLeftovers(at, record.id, begun);
  const value = formatRecord(record);
  const made: Handle[] = [];
  try {
    const template = recordTemplate(record, value, config.quirks);
    made.push(call('C_CreateObject', () => module.C_CreateObject(session, template)));
    generate(at, record, made);
    const stored = readKey(at, record.id, value);
    if (stored.keys === 1 && isOnlyRecord(at, record.id, value)) return stored;
    const seen = `another process made the key ${record.id}, or cleared it away, at the same time`;
    throw new KeysteadError('keystore.changed', { field: 'token', seen });
  } catch (error) {
    // Best effort: where this fails too, the next attempt finds a record that it knows.
    try {
      if (isOnlyRecord(at, record.id, value)) removeKey(at, record.id);
      else for (const object of made.reverse()) call('C_DestroyObject', () => module.C_DestroyObject(session, object));
    } catch {
      // The first error is the one to tell.
    }
    throw error;
  }
}

const isOnlyRecord = (at: TokenSession, id: string, value: Uint8Array): boolean => {
  const values = recordsOf(at, id);
  return values.length === 1 && values.every((one) => sameBytes(one, value));
};

const recordsOf = (at: TokenSession, id: string): Uint8Array[] =>
  findOwn(at, recordSearch(id)).map((object) => attribute(at, object, CKA.VALUE) ?? Buffer.alloc(0));

/**
 * Destroys a key and its record, in the order in which a kill leaves nothing that could pass for a key, then what others
 * have put beside them, and looks again. A public half may be anybody's: it is not private.
 * @throws KeysteadError `keystore.not-destroyed`. @throws CallRefused.
 */
export function removeKey(at: TokenSession, id: string): void {
  const { module, session } = at;
  const keys = keySearches(id);
  const records = recordSearch(id);
  const destroy = (search: typeof records): void => {
    for (const object of findOwn(at, search)) call('C_DestroyObject', () => module.C_DestroyObject(session, object));
  };
  at.handles.clear();
  for (const search of keys) destroy(search);
  for (const search of [...keys, keySearch(CKO_PUBLIC_KEY, objectIdOf(id))])
    for (const object of find(at, search)) destroyIfAllowed(at, object);
  destroy(records);
  for (const object of find(at, records)) destroyIfAllowed(at, object);
  const left = [...keys, records].flatMap((search) => findOwn(at, search)).length;
  if (left > 0) throw new KeysteadError('keystore.not-destroyed', { field: `key ${id}`, seen: `${left} objects` });
}

/** A key with a record is nobody's to clear away but of who has begun it and was never told how that ended. */
function clearLeftovers(at: TokenSession, id: string, begun: readonly KeyRecord[]): void {
  const keys = keySearches(id).flatMap((search) => findOwn(at, search));
  const publicKeys = find(at, keySearch(CKO_PUBLIC_KEY, objectIdOf(id)));
  const records = recordsOf(at, id);
  const known = begun.map(formatRecord);
  const areOwn = records.every((one) => known.some((own) => sameBytes(one, own)));
  if (records.length > 0 && keys.length > 0 && !areOwn) {
    throw new KeysteadError('keystore.changed', { field: 'token', seen: `another process made the key ${id}` });
  }
  if (records.length === 0 && keys.length + publicKeys.length > 0) {
    throw new KeysteadError('keystore.token-ambiguous', { field: `key ${id}`, seen: 'a foreign key with its CKA_ID' });
  }
  if (records.length > 0) removeKey(at, id);
}

/** @param made takes the objects. */
function generate(at: TokenSession, record: KeyRecord, made: Handle[]): void {
  const { module, session, config } = at;
  const { mechanism } = MADE_BY[record.algorithm];
  if (record.use === 'wrap' || record.use === 'derive') {
    const makes = record.use === 'wrap' ? wrappingTemplate : masterTemplate;
    const template = makes(record, config.quirks);
    made.push(call('C_GenerateKey', () => module.C_GenerateKey(session, { mechanism }, template)));
    return;
  }
  const pair = call('C_GenerateKeyPair', () =>
    module.C_GenerateKeyPair(
      session,
      { mechanism },
      publicTemplate(record, config.quirks),
      privateTemplate(record, config.quirks),
    ),
  );
  made.push(pair.publicKey, pair.privateKey);
  if (record.use === 'agree') requireAgreement(at, record, pair);
}

/** The pair must agree with another one on one secret (SP 800-56A r3 section 5.6.2.1.4). A signing key is tried by its keystore. */
function requireAgreement(at: TokenSession, record: KeyRecord, pair: { publicKey: Handle; privateKey: Handle }): void {
  const { module, session, config } = at;
  const [publicProbe, privateProbe] = probeTemplates(record, config.quirks);
  const { mechanism } = MADE_BY[record.algorithm];
  const probe = call('C_GenerateKeyPair', () =>
    module.C_GenerateKeyPair(session, { mechanism }, publicProbe, privateProbe),
  );
  const fieldBytes = record.algorithm === 'P-256' ? 32 : 48;
  const pointOf = (key: Handle): Uint8Array => {
    const value = attribute(at, key, CKA.EC_POINT) ?? Buffer.alloc(0);
    return value.subarray(value.length - (2 * fieldBytes + 1));
  };
  const one = deriveSecret(at, pair.privateKey, pointOf(probe.publicKey), fieldBytes);
  const other = deriveSecret(at, probe.privateKey, pointOf(pair.publicKey), fieldBytes);
  const same = Buffer.compare(one, other) === 0;
  one.fill(0);
  other.fill(0);
  for (const object of [probe.privateKey, probe.publicKey]) {
    call('C_DestroyObject', () => module.C_DestroyObject(session, object));
  }
  if (!same) throw new KeysteadError('key.inconsistent', { field: `key ${record.id}`, seen: record.algorithm });
}
