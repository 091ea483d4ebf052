import { parentPort, workerData } from 'node:worker_threads';
import { KeysteadError } from '@keystead/core/errors';
import type { Verdict } from './check-pool.ts';
import { type Check, type CheckFacts, Checks } from './checks.ts';

const facts: CheckFacts = workerData;
const checker = new Checks(facts);

/** A thread that checks and holds no key: it gets what came from outside, never what signs. */
parentPort?.on('message', (checks: readonly Check[]) => {
  parentPort?.postMessage(checks.map(verdictOf));
});

function verdictOf(check: Check): Verdict {
  try {
    return { ok: checker.carryOut(check) };
  } catch (error) {
    if (error instanceof KeysteadError) return { error: error.toJSON() };
    return { fault: error instanceof Error ? (error.stack ?? error.message) : 'an unknown fault' };
  }
}
