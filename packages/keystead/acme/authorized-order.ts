import type { KeysteadError } from '@keystead/core/errors';
import type { Tx } from '../store/index.ts';
import { problemOf } from './problem.ts';
import { ORDER_STATES, stateAfter } from './states.ts';

/** An order is ready when the last of its authorizations is valid. */
export function advanceOrder(tx: Tx, orderId: string): void {
  const order = tx.acme.order(orderId);
  if (order?.state !== 'pending') return;
  if (tx.acme.authorizationsOf(orderId).some(({ state }) => state !== 'valid')) return;
  tx.acme.setOrder({ ...order, state: stateAfter(ORDER_STATES, order.state, 'authorize') });
}

/** An order that has not been finalised is invalid when one of its authorizations is. */
export function failOrder(tx: Tx, orderId: string, why: KeysteadError): void {
  const order = tx.acme.order(orderId);
  if (order?.state !== 'pending' && order?.state !== 'ready') return;
  const error = JSON.stringify(problemOf(why));
  tx.acme.setOrder({ ...order, state: stateAfter(ORDER_STATES, order.state, 'fail'), error });
}
