import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Answer } from './https.ts';
import type { Rig } from './rig.ts';

export interface Refusal {
  readonly status: number;
  readonly code: string;
  /** What the message must say: the field and the rule. */
  readonly says: RegExp;
  /** Whether the log has an entry for it; strangers' first few in each second have. */
  readonly audited: boolean;
}

/** Everything that a refused request must leave as it was. */
export function stateOf(rig: Rig): unknown {
  const { certificates, orphans, devices, units } = rig.records();
  const journal = readFileSync(join(rig.layout.keyd, 'journal'), 'utf8').split('\n');
  const signed = journal.filter((line) => line.includes('"kind":"certificate"') && !line.includes('ocsp-responder'));
  return {
    certificates: certificates.map((row) => `${row.serial} ${row.status}`),
    orphans: orphans.filter((row) => row.fate === 'abandoned'),
    devices,
    units: units.length,
    signed: signed.length,
  };
}

/** Strangers get five entries of their own in each second; a test is slower than that, so that it finds each. */
const STRANGER_MS = 250;

/** Makes a request that must be refused: with this status and words, an entry in the log, and no change. */
export async function assertRefused(rig: Rig, ask: () => Promise<Answer>, refusal: Refusal): Promise<Answer> {
  await pause(STRANGER_MS);
  const before = stateOf(rig);
  const answer = await ask();
  assert.equal(answer.status, refusal.status, answer.text);
  assert.match(answer.text, refusal.says);
  assert.ok(answer.text.includes(refusal.code), `${answer.text} is not ${refusal.code}`);
  assert.deepEqual(stateOf(rig), before, 'a refused request changed something');
  const entries = rig.audited(answer).filter((entry) => entry.type === 'request.refused');
  assert.equal(entries.length, refusal.audited ? 1 : 0, `${entries.length} audit entries for ${refusal.code}`);
  if (refusal.audited) {
    assert.equal(entries[0]?.outcome, 'refused');
    assert.equal(entries[0]?.detail?.code, refusal.code);
  }
  return answer;
}
