import type { Trace } from './matrix.ts';

/** The matrix for people: one line a requirement, what it lacks below it, a summary at the end. */
export function formatTrace({ rows, strangers }: Trace): string {
  const width = Math.max(...rows.map((row) => row.id.length));
  const lines = [`${'requirement'.padEnd(width)}  status   code  tests  text`];
  for (const row of rows) {
    const counts = `${String(row.code.length).padStart(4)}  ${String(row.tests.length).padStart(5)}`;
    lines.push(`${row.id.padEnd(width)}  ${row.status.padEnd(7)}  ${counts}  ${shorten(row.text, 90)}`);
    if (row.status !== 'proven') for (const lack of row.lacks) lines.push(`${' '.repeat(width)}    - ${lack}`);
  }
  for (const stranger of strangers) lines.push(`unknown id: ${stranger}`);
  const count = (status: string): number => rows.filter((row) => row.status === status).length;
  lines.push('', `${count('proven')} proven, ${count('planned')} planned, ${count('missing')} missing`);
  return lines.join('\n');
}

/** The matrix as Markdown, for a file that a quality person keeps. */
export function traceMarkdown({ rows }: Trace): string {
  const table = rows.map(
    (row) =>
      `| ${row.id} | ${row.status} | ${row.code.join('<br>') || '–'} | ${row.tests.join('<br>') || '–'} | ${row.text} |`,
  );
  return ['| requirement | status | code | tests | text |', '|---|---|---|---|---|', ...table, ''].join('\n');
}

const shorten = (text: string, length: number): string =>
  text.length <= length ? text : `${text.slice(0, length - 1)}…`;
