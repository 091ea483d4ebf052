import { parentPort, workerData } from 'node:worker_threads';
import { KeysteadError } from '@keystead/core/errors';
import type { Pkcs11Configuration } from '../configuration.ts';
import type { Answer, Failure, Order, OrderKind, Reply } from '../orders.ts';
import { CallRefused, call } from './addon.ts';
import { agree } from './agree.ts';
import { makeTokenCounter, raiseTokenCounter, readTokenCounter, removeTokenCounter } from './counter.ts';
import { findKeys } from './find-keys.ts';
import { makeKey, removeKey } from './make.ts';
import { readAll, seeAll } from './objects.ts';
import { TokenSession } from './session.ts';
import { mac, signOne, tryKey } from './sign.ts';
import { unwrap, wrap } from './wrap.ts';

const config: Pkcs11Configuration = workerData;
const token = new TokenSession(config);

const WORK: { readonly [Kind in OrderKind]: (order: Order<Kind>) => Answer<Kind> } = {
  open({ pin, readWrite, serial }) {
    const bytes = new Uint8Array(pin);
    try {
      return token.open(bytes, readWrite, serial);
    } finally {
      bytes.fill(0);
    }
  },
  finalize() {
    token.finalize();
    return undefined;
  },
  close({ finalize }) {
    token.closeSession();
    if (finalize) token.finalize();
    return undefined;
  },
  random: ({ bytes }) =>
    new Uint8Array(call('C_GenerateRandom', () => token.module.C_GenerateRandom(token.session, Buffer.alloc(bytes)))),
  read: () => readAll(token),
  see: () => seeAll(token),
  findKeys: (order) => findKeys(token, order),
  generate: (order) => makeKey(token, order),
  destroy({ id }) {
    removeKey(token, id);
    return undefined;
  },
  sign: ({ keys, items }) =>
    items.map(({ key, scheme, data }) => {
      const ref = keys[key];
      if (ref === undefined) return { fault: 'a signature by no key' };
      try {
        return signOne(token, ref, scheme, data);
      } catch (error) {
        return failureOf(error);
      }
    }),
  try: (order) => tryKey(token, order),
  agree: (order) => agree(token, order),
  mac: (order) => mac(token, order),
  readCounter: ({ label }) => readTokenCounter(token, label),
  makeCounter: ({ label }) => makeTokenCounter(token, label),
  removeCounter: ({ label }) => removeTokenCounter(token, label),
  raiseCounter: (order) => raiseTokenCounter(token, order),
  wrap: (order) => wrap(token, order),
  unwrap: (order) => unwrap(token, order),
};

/**
 * A thread that talks to the token: every call of it blocks, for a second when it makes an RSA key, for ever when its
 * network hangs. So no other thread calls it, and this one does nothing else.
 */
parentPort?.on('message', (order: Order) => {
  parentPort?.postMessage(carriedOut(order));
  if (order.kind === 'close') parentPort?.close();
});

function carriedOut<Kind extends OrderKind>(order: Order<Kind>): Reply {
  try {
    return { ok: (WORK[order.kind] as (order: Order<Kind>) => unknown)(order) };
  } catch (error) {
    return failureOf(error);
  }
}

function failureOf(error: unknown): Failure {
  if (error instanceof CallRefused) return { refusal: error.refusal };
  if (error instanceof KeysteadError) return { error: error.toJSON() };
  return { fault: error instanceof Error ? (error.stack ?? error.message) : 'an unknown fault' };
}
