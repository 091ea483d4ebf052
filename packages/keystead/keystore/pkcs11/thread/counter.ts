import { KeysteadError } from '@keystead/core/errors';
import type { Handle } from 'pkcs11js';
import { type CounterObject, counterValue, formatCounter, parseCounter } from '../counter.ts';
import { CKA } from '../cryptoki.ts';
import type { Order } from '../orders.ts';
import { counterSearch, counterTemplate } from '../templates.ts';
import { call } from './addon.ts';
import { attribute, find } from './objects.ts';
import type { TokenSession } from './session.ts';

interface Found extends CounterObject {
  readonly handle: Handle;
}

/** @throws KeysteadError `counter.missing`, `keystore.damaged`. @throws CallRefused. */
export function readTokenCounter(at: TokenSession, label: string): number {
  return required(label, counterValue(objects(at, label)));
}

/** Makes a counter with the value 0. @throws KeysteadError `counter.exists`. @throws CallRefused. */
export function makeTokenCounter(at: TokenSession, { label, step }: Order<'makeCounter'>): undefined {
  const found = objects(at, label);
  if (found.some((one) => one.step === step)) return;
  if (found.length > 0) throw new KeysteadError('counter.exists', { field: 'counter', seen: label });
  create(at, label, { version: 1, value: 0, step });
}

/**
 * Takes a step: first the object of the higher value is made, then those of lower ones are destroyed, so that a kill
 * anywhere between leaves the counter at the old or the new value and never below. It looks a second time before it
 * acknowledges, for another program may have taken the same step.
 * @throws KeysteadError `counter.moved`, `counter.missing`, `keystore.damaged`. @throws CallRefused.
 */
export function raiseTokenCounter(at: TokenSession, { label, from, step }: Order<'raiseCounter'>): undefined {
  const before = objects(at, label);
  const done = before.some((one) => one.value === from + 1 && one.step === step);
  const value = required(label, counterValue(before));
  if (!done && value !== from) throw moved(value, from);
  if (!done) create(at, label, { version: 1, value: from + 1, step });
  const after = objects(at, label);
  const rival = after.find((one) => one.value > from && one.step !== step);
  if (rival !== undefined) throw moved(required(label, counterValue(after)), from + 1);
  for (const { handle, value: old } of after) {
    if (old <= from) call('C_DestroyObject', () => at.module.C_DestroyObject(at.session, handle));
  }
}

function objects(at: TokenSession, label: string): Found[] {
  return find(at, counterSearch(label)).map((handle) => ({
    ...parseCounter(label, attribute(at, handle, CKA.VALUE) ?? Buffer.alloc(0)),
    handle,
  }));
}

function create(at: TokenSession, label: string, object: CounterObject): void {
  const { module, session, config } = at;
  const template = counterTemplate(label, formatCounter(object), config.quirks);
  call('C_CreateObject', () => module.C_CreateObject(session, template));
}

function required(label: string, value: number | undefined): number {
  if (value === undefined) throw new KeysteadError('counter.missing', { field: 'counter', seen: label });
  return value;
}

const moved = (seen: number, expected: number): KeysteadError =>
  new KeysteadError('counter.moved', { field: 'counter', seen: `${seen}, where ${expected} was expected` });
