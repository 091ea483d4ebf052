import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { type Requirement, readRequirements } from './requirements.ts';
import { scanCode, scanTests } from './scan.ts';

/** Where the test run leaves its outcomes, from the project's root. */
export const RESULTS_PATH = '.keystead/test-results.json';

const ResultsSchema = z.object({
  finishedAt: z.string(),
  tests: z.array(z.object({ path: z.string(), name: z.string(), passed: z.boolean() })),
});

/** The outcome of the last test run, one entry a test. */
export type TestResults = z.infer<typeof ResultsSchema>;

export type TraceStatus = 'proven' | 'planned' | 'missing';

/** One row of the matrix: a requirement, the code that claims it and the tests that prove it. */
export interface TraceRow {
  readonly id: string;
  readonly status: TraceStatus;
  readonly test: string;
  readonly text: string;
  /** Doc comments that name the requirement, `path:line`. */
  readonly code: string[];
  /** Tests that carry the requirement's TEST-KEY id, `path:line`. */
  readonly tests: string[];
  /** What the last run said of those tests. */
  readonly evidence: { readonly test: string; readonly passed: boolean }[];
  /** Why the status is not `proven`; empty when it is. */
  readonly lacks: string[];
}

export interface Trace {
  readonly rows: TraceRow[];
  /** Ids in code or tests that stand in no requirement. */
  readonly strangers: string[];
}

/** The outcomes of the last test run, or undefined when there was none or it has not ended. */
export function readResults(root: string): TestResults | undefined {
  const path = join(root, RESULTS_PATH);
  const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
  return text === '' ? undefined : ResultsSchema.parse(JSON.parse(text));
}

/**
 * Traces each requirement to code, tests and the last run's evidence. REQ-KEY-TRC-01
 * A requirement is proven when code claims it and each test that carries its id passed in the last run.
 */
export function trace(root: string, results: TestResults | undefined): Trace {
  const requirements = readRequirements(join(root, 'requirements.yaml'));
  const code = scanCode(root);
  const tests = scanTests(root);
  const rows = requirements.map((requirement) => row(requirement));

  function row(requirement: Requirement): TraceRow {
    const claims = code.filter((mention) => mention.id === requirement.id);
    const proofs = tests.filter((test) => test.id === requirement.test);
    const outcomes = (results?.tests ?? []).filter((outcome) => outcome.name.includes(requirement.test));
    const lacks: string[] = [];
    if (claims.length === 0) lacks.push('no code names it');
    if (proofs.length === 0) lacks.push(`no test carries ${requirement.test}`);
    for (const proof of proofs) {
      const outcome = outcomes.find((candidate) => sameTest(candidate, proof));
      const where = `${proof.path}:${proof.line}`;
      if (results === undefined) lacks.push(`${where} has not been run: run npm test`);
      else if (outcome === undefined) lacks.push(`${where} did not run in the last test run`);
      else if (!outcome.passed) lacks.push(`${where} failed in the last test run`);
    }
    const planned = requirement.status === 'planned';
    return {
      id: requirement.id,
      status: planned ? 'planned' : lacks.length === 0 ? 'proven' : 'missing',
      test: requirement.test,
      text: requirement.text,
      code: claims.map((mention) => `${mention.path}:${mention.line}`),
      tests: proofs.map((proof) => `${proof.path}:${proof.line}`),
      evidence: outcomes.map((outcome) => ({ test: `${outcome.path} › ${outcome.name}`, passed: outcome.passed })),
      lacks: planned && requirement.note ? [requirement.note] : lacks,
    };
  }

  // A name made from a template is known only up to its first placeholder.
  function sameTest(outcome: { path: string; name: string }, proof: { path: string; name: string }): boolean {
    const fixed = proof.name.indexOf('${');
    const sameName = fixed < 0 ? outcome.name === proof.name : outcome.name.startsWith(proof.name.slice(0, fixed));
    return sameName && outcome.path === proof.path;
  }

  const known = new Set(requirements.flatMap((requirement) => [requirement.id, requirement.test]));
  const strangers = [...code, ...tests]
    .filter((mention) => !known.has(mention.id))
    .map((mention) => `${mention.path}:${mention.line}: ${mention.id} is not in requirements.yaml`);
  return { rows, strangers };
}
