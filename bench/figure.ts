/** One line of the bench: what was measured, and the limit measured in the same run. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** The limit's own figure in the same unit. */
  readonly limit: number;
  /** value / limit. */
  readonly ratio: number;
  /** What was done, against which limit. */
  readonly what: string;
}

export const figure = (name: string, value: number, unit: string, limit: number, what: string): Figure => ({
  name,
  value: round(value),
  unit,
  limit: round(limit),
  ratio: Math.round((value / limit) * 1000) / 1000,
  what,
});

const round = (value: number): number => (value >= 100 ? Math.round(value) : Math.round(value * 100) / 100);

/** The middle of an odd number of runs; of an even number the upper middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}

/** The figures as an aligned table for people. */
export function formatFigures(figures: readonly Figure[]): string {
  const rows = figures.map((one) => [
    one.name,
    one.value.toLocaleString('en-US'),
    one.unit,
    one.limit.toLocaleString('en-US'),
    one.ratio.toFixed(3),
    one.what,
  ]);
  const head = ['figure', 'value', 'unit', 'limit', 'ratio', 'what'];
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const numeric = new Set([1, 3, 4]);
  const line = (row: string[]): string =>
    row
      .map((cell, column) =>
        numeric.has(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd();
  return [head, ...rows].map(line).join('\n');
}
