import type { Clock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import type { Layout } from '../files/layout.ts';

/**
 * `unknown` is what a check says that could not look: it is not a pass. `weak`: nothing is wrong, and a deployment in
 * earnest has more in an attacker's way; the evidence says what.
 */
export type Verdict = 'passed' | 'weak' | 'failed' | 'unknown';

/** What one check found. */
export interface Finding {
  readonly verdict: Verdict;
  /** What was looked at and seen: numbers, fingerprints, file names. */
  readonly evidence: string;
}

/** What every check is given: where the deployment is, and the time. */
export interface CheckContext {
  readonly layout: Layout;
  readonly clock: Clock;
  /** Where CRLs, OCSP and the log are served, for example `http://localhost:8080`. */
  readonly httpUrl: string;
}

export interface Check {
  readonly id: string;
  /** The requirements that it is evidence for; a check covers a part of each, seldom all of it. */
  readonly requirements: readonly string[];
  /** What must be true. */
  readonly text: string;
  run(context: CheckContext): Promise<Finding>;
}

/** One line of the checklist after it was run. */
export interface CheckResult extends Finding {
  readonly id: string;
  readonly requirements: readonly string[];
  readonly text: string;
}

export const passed = (evidence: string): Finding => ({ verdict: 'passed', evidence });
export const weak = (evidence: string): Finding => ({ verdict: 'weak', evidence });
export const failed = (evidence: string): Finding => ({ verdict: 'failed', evidence });

/** Runs a check; one that breaks is `failed` when a rule refused, `unknown` when it could not look. */
export async function runCheck(check: Check, context: CheckContext): Promise<CheckResult> {
  const { id, requirements, text } = check;
  try {
    return { id, requirements, text, ...(await check.run(context)) };
  } catch (error) {
    const unavailable = !(error instanceof KeysteadError) || error.kind === 'unavailable';
    const evidence = error instanceof Error ? error.message : String(error);
    return { id, requirements, text, verdict: unavailable ? 'unknown' : 'failed', evidence };
  }
}
