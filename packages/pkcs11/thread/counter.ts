import { KeysteadError } from '@keystead/core/errors';
import type { Handle } from 'pkcs11js';
import {
  type CounterObject,
  type CounterReading,
  counterReading,
  formatCounter,
  NO_MARK,
  parseCounter,
} from '../counter.ts';
import { CKA } from '../cryptoki.ts';
import type { Order } from '../orders.ts';
import { counterSearch, counterTemplate } from '../templates.ts';
import { call } from './addon.ts';
import { attribute, destroyIfAllowed, find, findOwn } from './objects.ts';
import type { TokenSession } from './session.ts';

interface Found extends CounterObject {
  readonly handle: Handle;
}

/** @throws KeysteadError `counter.missing`, `keystore.damaged`. @throws CallRefused. */
export const readTokenCounter = (at: TokenSession, label: string): CounterReading =>
  readingOf(label, objects(at, label));

/** Makes a counter with the value 0. @throws KeysteadError `counter.exists`. @throws CallRefused. */
export function makeTokenCounter(at: TokenSession, label: string): undefined {
  const found = objects(at, label);
  if (found.length > 0) throw new KeysteadError('counter.exists', { field: 'counter', seen: label });
  create(at, label, { version: 1, value: 0, mark: NO_MARK });
}

/**
 * Takes a step: first the object of the higher value is made, then those of lower ones are destroyed, so that a kill
 * anywhere between leaves the counter at the old or the new value and never below. It looks a second time before it
 * acknowledges, for another program may have taken the same step.
 * @throws KeysteadError `counter.moved`, `counter.missing`, `keystore.damaged`. @throws CallRefused.
 */
export function raiseTokenCounter(at: TokenSession, { label, from, mark }: Order<'raiseCounter'>): undefined {
  const before = objects(at, label);
  const { value } = readingOf(label, before);
  const done = before.some((one) => one.value === from + 1 && one.mark === mark);
  if (!done) create(at, label, { version: 1, value: Math.max(from, value) + 1, mark });
  const after = objects(at, label);
  const rival = after.find((one) => one.value > from && one.mark !== mark);
  if (rival !== undefined || (!done && value !== from)) {
    const seen = `${readingOf(label, after).value}, where ${from + 1} was expected`;
    throw new KeysteadError('counter.moved', { field: 'counter', seen });
  }
  for (const { handle, value: old } of after) {
    if (old <= from) call('C_DestroyObject', () => at.module.C_DestroyObject(at.session, handle));
  }
}

/** Destroys every object of a counter, and looks again. @throws KeysteadError `keystore.not-destroyed`. @throws CallRefused. */
export function removeTokenCounter(at: TokenSession, label: string): undefined {
  for (const handle of findOwn(at, counterSearch(label)))
    call('C_DestroyObject', () => at.module.C_DestroyObject(at.session, handle));
  for (const planted of find(at, counterSearch(label))) destroyIfAllowed(at, planted);
  const left = findOwn(at, counterSearch(label)).length;
  if (left > 0)
    throw new KeysteadError('keystore.not-destroyed', { field: `counter ${label}`, seen: `${left} objects` });
}

function objects(at: TokenSession, label: string): Found[] {
  return findOwn(at, counterSearch(label)).map((handle) => ({
    ...parseCounter(label, attribute(at, handle, CKA.VALUE) ?? Buffer.alloc(0)),
    handle,
  }));
}

function create(at: TokenSession, label: string, object: CounterObject): void {
  const { module, session, config } = at;
  const template = counterTemplate(label, formatCounter(object), config.quirks);
  call('C_CreateObject', () => module.C_CreateObject(session, template));
}

function readingOf(label: string, found: readonly CounterObject[]): CounterReading {
  const reading = counterReading(found);
  if (reading === undefined) throw new KeysteadError('counter.missing', { field: 'counter', seen: label });
  return reading;
}
