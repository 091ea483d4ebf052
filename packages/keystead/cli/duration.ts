import { InvalidArgumentError } from 'commander';

const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400, y: 365 * 86_400 } as const;

/**
 * How long, as a command line says it: a whole number from 1 to 999999 and a unit, 90s, 30m, 12h, 7d, 1y.
 * @returns seconds. @throws InvalidArgumentError.
 */
export function duration(text: string): number {
  const [, number, unit] = /^([1-9]\d{0,5})([smhdy])$/.exec(text) ?? [];
  if (number === undefined) throw new InvalidArgumentError('A number and s, m, h, d or y: 30m, 12h, 7d.');
  return Number(number) * SECONDS[unit as keyof typeof SECONDS];
}
