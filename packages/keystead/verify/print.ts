import type { CheckResult } from './check.ts';

/** The checklist for people: verdict, what must be true, what was seen. */
export function formatChecklist(results: readonly CheckResult[]): string {
  const lines: string[] = [];
  for (const { verdict, text, evidence, requirements } of results) {
    lines.push(`${verdict.padEnd(7)}  ${text}`, `${' '.repeat(9)}${requirements.join(', ')}: ${evidence}`);
  }
  const count = (verdict: string): number => results.filter((one) => one.verdict === verdict).length;
  const weak = count('weak') === 0 ? '' : `, ${count('weak')} weak`;
  lines.push('', `${count('passed')} passed, ${count('failed')} failed, ${count('unknown')} unknown${weak}`);
  return lines.join('\n');
}
