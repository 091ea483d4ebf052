import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { Layout } from '../files/layout.ts';
import { GROUP, holderOf, lookForSharedFactors, type WeakPair } from '../fleet-keys/index.ts';
import { readOnly } from '../store/index.ts';
import { EXIT } from './exit.ts';
import { asOperator, type OperatorOptions, operatorOptions, table } from './operator.ts';
import { progressOf } from './progress.ts';

interface CheckOptions extends OperatorOptions {
  readonly work?: string;
  readonly group: number;
  readonly act?: 'hold' | 'revoke';
}

/** A pair with its holders: both keys are broken. */
interface NamedPair extends WeakPair {
  readonly owner: string;
  readonly otherOwner: string;
}

/** `keystead keys check-fleet`: a look of one's own, which believes nothing that serve has put aside. REQ-KEY-PROV-03 */
export function checkFleetCommand(): Command {
  return operatorOptions(new Command('check-fleet'), 'pki')
    .description('compare every RSA key that was ever certified with all others; exit code 1 when two share a factor')
    .option('--work <dir>', 'keep what was compared there: a look that was cut off goes on when it is run again')
    .option('--group <n>', 'keys that are compared at once: 16384 of 2048 bits take some 300 MB', count, GROUP)
    .option('--act <act>', 'hold or revoke the keys that are found; without it nothing is changed', act)
    .addHelpText(
      'after',
      '\nIt reads the data directory itself; only --act asks the service.\n\nExamples:\n  $ keystead keys check-fleet\n  $ keystead keys check-fleet --work ./look --json\n  $ keystead keys check-fleet --act hold',
    )
    .action(async (options: CheckOptions) => {
      const work = options.work ?? mkdtempSync(join(tmpdir(), 'keystead-fleet-keys-'));
      try {
        await checkFleet(work, options);
      } finally {
        if (options.work === undefined) rmSync(work, { recursive: true, force: true });
      }
    });
}

async function checkFleet(work: string, options: CheckOptions): Promise<void> {
  const { database } = new Layout(options.data);
  const found = join(work, 'pairs');
  mkdirSync(work, { recursive: true, mode: 0o700 });
  const progress = progressOf('keys', options.json === true, 'RSA keys');
  const { keys } = await lookForSharedFactors(
    { database, directory: join(work, 'groups'), group: options.group },
    async (pairs, so) => {
      for (const pair of pairs) appendFileSync(found, `${JSON.stringify(pair)}\n`, { mode: 0o600 });
      progress.at(so.keys);
    },
  );
  progress.end();
  const pairs = named(database, existsSync(found) ? readFileSync(found, 'utf8') : '');
  const acted = options.act === undefined ? [] : await stop(pairs, options, options.act);
  if (options.json === true) process.stdout.write(`${JSON.stringify({ keys, pairs, acted }, null, 2)}\n`);
  else process.stdout.write(`${page(keys, pairs, options, acted)}\n`);
  process.exitCode = pairs.length === 0 ? EXIT.done : EXIT.notProven;
}

/** A look that was gone on with may tell of a pair twice. */
function named(database: string, lines: string): NamedPair[] {
  const pairs = [...new Set(lines.split('\n').filter((line) => line !== ''))].map(
    (line) => JSON.parse(line) as WeakPair,
  );
  return readOnly(database, (records) =>
    pairs.map((pair) => ({
      ...pair,
      owner: holderOf(records, pair.spkiSha256).owner,
      otherOwner: holderOf(records, pair.other).owner,
    })),
  );
}

const brokenKeys = (pairs: readonly NamedPair[]): string[] => [
  ...new Set(pairs.flatMap(({ spkiSha256, other }) => [spkiSha256, other])),
];

async function stop(pairs: readonly NamedPair[], options: CheckOptions, what: 'hold' | 'revoke'): Promise<string[]> {
  const keys = brokenKeys(pairs);
  await asOperator(options, async (client) => {
    for (const spkiSha256 of keys) {
      const reason = what === 'revoke' ? { reason: 'keyCompromise' } : {};
      await client.post('/api/v1/revocations', { spkiSha256, act: what, ...reason });
    }
  });
  return keys;
}

function page(
  keys: number,
  pairs: readonly NamedPair[],
  { act: what }: CheckOptions,
  acted: readonly string[],
): string {
  if (pairs.length === 0) return `${keys} RSA keys: none shares a factor with another`;
  const rows = pairs.map(({ owner, otherOwner, spkiSha256, other }) => [owner, otherOwner, spkiSha256, other]);
  const next =
    what === undefined
      ? 'nothing was changed; --act hold or --act revoke stops these keys'
      : `${acted.length} keys: ${what} is done`;
  return [
    table([['holder', 'and', 'key', 'and'], ...rows]),
    `${keys} RSA keys: ${brokenKeys(pairs).length} are broken, since anybody who has two of them can divide`,
    next,
  ].join('\n\n');
}

function act(text: string): 'hold' | 'revoke' {
  if (text === 'hold' || text === 'revoke') return text;
  throw new InvalidArgumentError('hold or revoke.');
}

function count(text: string): number {
  const number = Number(text);
  // 2^30 bits is the largest BigInt of V8; an RSA-4096 group of this size has half of that.
  if (/^[1-9]\d{0,5}$/.test(text) && number <= 131_072) return number;
  throw new InvalidArgumentError('A whole number from 1 to 131072.');
}
