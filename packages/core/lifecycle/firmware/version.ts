/**
 * A version as keyd can order it: numbers with dots between, `-` and what comes before a release (`-rc.1`), `+` and
 * what comes after it (`+4`, MCUboot's build number).
 */
export const VERSION =
  /^\d{1,10}(?:\.\d{1,10}){0,4}(?:-[0-9A-Za-z]+(?:\.[0-9A-Za-z]+)*)?(?:\+[0-9A-Za-z]+(?:\.[0-9A-Za-z]+)*)?$/;
/** Characters. */
export const MOST_VERSION = 64;

/**
 * Which of two versions is the higher: by their numbers, part by part (a missing one is 0); what comes before a release
 * is below it; of what follows `+`, none is the lowest. Negative, 0 or positive. Other than in Semantic Versioning, what
 * follows `+` counts, for devices compare it too.
 */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [partsOf(a), partsOf(b)];
  return (
    compareLists(left.numbers, right.numbers, '0') ||
    -compareNone(left.before, right.before) ||
    compareLists(left.before, right.before) ||
    compareLists(left.after, right.after)
  );
}

/** The one spelling of all versions that {@link compareVersions} finds equal: `2026.01` and `2026.1.0` are both `2026.1`. */
export function canonicalVersion(version: string): string {
  const { numbers, before, after } = partsOf(version);
  const kept = numbers.map(plainPart);
  while (kept.length > 1 && kept.at(-1) === '0') kept.pop();
  const words = (sign: string, parts: readonly string[]) =>
    parts.length === 0 ? '' : `${sign}${parts.map(plainPart).join('.')}`;
  return `${kept.join('.')}${words('-', before)}${words('+', after)}`;
}

/** A number without zeros before it; a word as it is. */
const plainPart = (part: string): string => (/^\d+$/.test(part) ? BigInt(part).toString() : part);

function partsOf(version: string) {
  const [rest = '', after] = split(version, '+');
  const [numbers = '', before] = split(rest, '-');
  return { numbers: numbers.split('.'), before: before?.split('.') ?? [], after: after?.split('.') ?? [] };
}

const split = (text: string, at: string): [string, string | undefined] => {
  const index = text.indexOf(at);
  return index < 0 ? [text, undefined] : [text.slice(0, index), text.slice(index + 1)];
};

/** Positive where only `a` has any. */
const compareNone = (a: readonly string[], b: readonly string[]): number => Number(a.length > 0) - Number(b.length > 0);

/** Part by part; where one ends, `filler` goes on, or it is the lower. */
function compareLists(a: readonly string[], b: readonly string[], filler?: string): number {
  for (let at = 0; at < Math.max(a.length, b.length); at++) {
    const [one = filler, two = filler] = [a[at], b[at]];
    if (one === undefined) return -1;
    if (two === undefined) return 1;
    const found = comparePart(one, two);
    if (found !== 0) return found;
  }
  return 0;
}

/** Numbers by their value and below words; words by their characters. */
function comparePart(a: string, b: string): number {
  const [one, two] = [/^\d+$/.test(a), /^\d+$/.test(b)];
  if (one !== two) return one ? -1 : 1;
  if (!one) return a < b ? -1 : Number(a > b);
  const [x, y] = [BigInt(a), BigInt(b)];
  return x < y ? -1 : Number(x > y);
}
