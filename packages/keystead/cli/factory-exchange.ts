import { existsSync, readFileSync } from 'node:fs';
import { toHex } from '@keystead/core/bytes';
import { randomBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  addResolutionSignature,
  MOST_PARCEL_BYTES,
  parseConsignment,
  parseParcel,
  parseResolution,
  signResolution,
} from '@keystead/core/lifecycle';
import { Command, Option } from 'commander';
import type { RestClient } from '../client/rest.ts';
import { systemClock } from '../clock/system.ts';
import { durableWrite } from '../files/durable.ts';
import type { Result } from '../keyd-client/index.ts';
import type { ExchangeView, OutboxView } from '../protocols/rest/reconciliation.ts';
import { asOperator, asSigningOperator, type OperatorOptions, operatorOptions, table } from './operator.ts';
import { type QuorumFile, readText, signCommand, writeDraft } from './quorum-files.ts';
import { type SignWithOptions, signWithOptions } from './statement-signer.ts';

/** How long a decision holds: others have to sign it too. */
const RESOLUTION_MS = 24 * 3_600_000;
/** The most lines of a file that is read into memory. */
const MOST_FILE_BYTES = 512 * 1024 * 1024;
const RECEIPTS_AT_ONCE = 16;

/** The commands of `keystead factory` by which a factory node and headquarters are reconciled. */
export const exchangeCommands = (): Command[] => [
  exportCommand(),
  takeCommand(),
  reconcileCommand(),
  conflictsCommand(),
  resolveCommand(),
  decideCommand(),
  signCommand(FILE, 'factory'),
];

const FILE: Omit<QuorumFile, 'join'> = {
  what: 'a decision about a conflict',
  example: 'decision.json',
  sign: addResolutionSignature,
  show: decisionText,
};

/** What a decision says, for who is to sign it. */
function decisionText(text: string): string {
  const { content, signatures } = parseResolution(text);
  const about =
    content.act === 'accept' ? `number ${content.number}, ${content.sha256}` : `${content.deviceId} ${content.serial}`;
  const signed = signatures.map(({ signer }) => signer).join(', ') || 'nobody';
  return `${content.act} ${content.factory} ${about}\nwhy: ${content.reason}\nuntil ${content.expiresAt}, signed by ${signed}\n`;
}

const print = (options: OperatorOptions, value: unknown, text: string): void => {
  process.stdout.write(options.json === true ? `${JSON.stringify(value, null, 2)}\n` : `${text}\n`);
};

function exportCommand(): Command {
  return operatorOptions(new Command('export'), 'line-1')
    .description('at a factory node: write the consignments that headquarters has given no receipt for into a file')
    .requiredOption('--out <file>', 'the file, for example on a USB stick')
    .addHelpText('after', '\nThe same consignments may be exported as often as you like; headquarters takes each once.')
    .action(async (options: OperatorOptions & { out: string }) => {
      const { parcels, progress } = await asOperator(options, async (client) => {
        const found: string[] = [];
        let last: OutboxView | undefined;
        for (let after: number | null = 0; after !== null; ) {
          const page: { parcels: string[]; next: number | null; progress: OutboxView } = await client.get(
            `/api/v1/factory/outbox?after=${after}`,
          );
          found.push(...page.parcels);
          last = page.progress;
          after = page.next;
        }
        return { parcels: found, progress: last };
      });
      durableWrite(options.out, parcels.map((line) => `${line}\n`).join(''), 0o644);
      const text = `${parcels.length} consignments in ${options.out}; ${progress?.settled ?? 0} of ${progress?.made ?? 0} have a receipt`;
      print(options, { file: options.out, consignments: parcels.length, ...progress }, text);
    });
}

function takeCommand(): Command {
  return operatorOptions(new Command('take').argument('<file>'), 'line-1')
    .description('at a factory node: take the receipts of headquarters from a file')
    .action(async (file: string, options: OperatorOptions) => {
      const receipts = linesOf(file);
      const done = await asOperator(options, async (client) => {
        let settled = 0;
        for (let from = 0; from < receipts.length; from += RECEIPTS_AT_ONCE) {
          const body = { receipts: receipts.slice(from, from + RECEIPTS_AT_ONCE) };
          settled += (await client.post<{ settled: number }>('/api/v1/factory/receipts', body)).settled;
        }
        return { settled, known: receipts.length - settled };
      });
      print(options, done, `${done.settled} receipts are new, ${done.known} were known`);
    });
}

function reconcileCommand(): Command {
  return operatorOptions(new Command('reconcile').argument('<file>'), 'pki')
    .description('at headquarters: take the consignments of a factory in, from the file that its node exported')
    .option('--receipts <file>', 'where to write the receipts for the way back')
    .action(async (file: string, options: OperatorOptions & { receipts?: string }) => {
      const taken: ExchangeView[] = [];
      const failed: { number: number; error: KeysteadError }[] = [];
      await asOperator(options, async (client) => {
        for (const line of linesOf(file)) {
          const parcel = parseParcel(line);
          const { factory, number } = parseConsignment(parcel.consignment).content;
          try {
            taken.push(await client.post<ExchangeView>(`/api/v1/factories/${factory}/consignments`, parcel));
          } catch (error) {
            // One that is refused holds up none of the others; no service is another thing.
            if (!(error instanceof KeysteadError) || error.kind === 'unavailable') throw error;
            failed.push({ number, error });
          }
        }
      });
      if (options.receipts !== undefined)
        durableWrite(options.receipts, taken.map(({ receipt }) => receipt).join(''), 0o644);
      const rows = taken.map((one) => [
        ...[one.factory, `${one.number}`, one.repeated ? 'known' : 'new'],
        ...[`${one.taken}`, `${one.void}`, `${one.quarantined}`],
      ]);
      const missing = taken.at(-1)?.missing ?? [];
      const lines = [
        table([['factory', 'number', '', 'units', 'void', 'in quarantine'], ...rows]),
        ...failed.map(({ number, error }) => `number ${number}: ${error.code}: ${error.message}`),
        ...(missing.length > 0 ? [`missing: ${missing.join(', ')}`] : []),
      ];
      const told = { taken, failed: failed.map(({ number, error }) => ({ number, ...error.toJSON() })), missing };
      print(options, told, lines.join('\n'));
      const [first] = failed;
      if (first !== undefined) throw first.error;
    });
}

function conflictsCommand(): Command {
  return operatorOptions(new Command('conflicts'), 'auditor')
    .description('at headquarters: units in quarantine, factories that are stopped, consignments that are missing')
    .action(async (options: OperatorOptions) => {
      const found = await asOperator(options, (client) =>
        client.get<Result<'reconciliation'>>('/api/v1/reconciliation'),
      );
      const units = found.quarantined.map((unit) => [
        ...[unit.factory, unit.deviceId, unit.serials.at(-1) ?? '', unit.ticket],
        unit.conflicts.map(({ conflict, with: other }) => `${conflict} (${other})`).join(', '),
      ]);
      const factories = found.factories.map(({ factory, highest, missing, fork }) => [
        ...[factory, `${highest}`, missing.length === 0 ? 'none' : missing.join(' ')],
        fork === null ? '' : `STOPPED: number ${fork.number} is ${fork.sha256} against ${fork.known.sha256}`,
      ]);
      const text = [
        table([['factory', 'last', 'missing', ''], ...factories]),
        '',
        units.length === 0
          ? 'no unit is in quarantine'
          : table([['factory', 'device', 'serial', 'ticket', 'conflicts'], ...units]),
      ].join('\n');
      print(options, found, text);
    });
}

interface ResolveOptions extends OperatorOptions, SignWithOptions {
  act: 'release' | 'reject' | 'accept';
  factory: string;
  reason: string;
  device?: string;
  serial?: string;
  number?: string;
  sha256?: string;
  out?: string;
}

function resolveCommand(): Command {
  return signWithOptions(operatorOptions(new Command('resolve'), 'pki'))
    .description('at headquarters: decide about a unit in quarantine, or about a second history, with your signature')
    .addOption(
      new Option(
        '--act <act>',
        'release: this unit is the right one, the others are ended; reject: end it; accept: let in a second consignment',
      )
        .choices(['release', 'reject', 'accept'])
        .makeOptionMandatory(),
    )
    .requiredOption('--factory <name>', 'whose unit or consignment it is')
    .requiredOption('--reason <text>', 'why, for the audit log')
    .option('--device <id>', 'of the unit')
    .option('--serial <hex>', 'of the unit, as conflicts shows it')
    .option('--number <n>', 'of the consignment')
    .option('--sha256 <hex>', 'of the consignment, as conflicts shows it')
    .option('--out <file>', 'where the policy asks for several people: write it here for the next one to sign')
    .addHelpText(
      'after',
      '\nExamples:\n  $ keystead factory resolve --act release --factory lyon-2 --device KS-0002 --serial 5f0c… --reason "seen on the bench"\n  $ keystead factory resolve --act accept --factory lyon-2 --number 7 --sha256 9b1e… --reason "disk image of 3 May"',
    )
    .action(async (options: ResolveOptions) => {
      const now = systemClock.now().getTime();
      const done = await asSigningOperator(options, async (client, signer) => {
        const named = { id: `r-${toHex(randomBytes(6))}`, factory: options.factory, reason: options.reason };
        const times = { signedAt: wholeSecond(now), expiresAt: wholeSecond(now + RESOLUTION_MS) };
        const unit = { deviceId: options.device ?? '', serial: (options.serial ?? '') as never };
        const decision = await signResolution(
          options.act === 'accept'
            ? { act: 'accept', ...named, number: Number(options.number), sha256: options.sha256 ?? '', ...times }
            : { act: options.act, ...named, ...unit, ...times },
          options.as,
          signer(),
        );
        if (options.out === undefined) return carryOut(client, decision);
        writeDraft(options.out, decision);
        return undefined;
      });
      if (done === undefined) {
        process.stdout.write(`${options.as} signed; it is in ${options.out}\n`);
        return;
      }
      printDone(options, done);
    });
}

function decideCommand(): Command {
  return operatorOptions(new Command('decide').argument('<file>'), 'pki')
    .description('at headquarters: carry out a decision about a conflict that enough people have signed')
    .action(async (file: string, options: OperatorOptions) => {
      const decision = readText(file);
      printDone(options, await asOperator(options, (client) => carryOut(client, decision)));
    });
}

interface Decided {
  readonly act: string;
  readonly ended: readonly { readonly where: string; readonly deviceId: string }[];
}

const carryOut = (client: Pick<RestClient, 'post'>, resolution: string): Promise<Decided> =>
  client.post('/api/v1/reconciliation/resolutions', { resolution });

function printDone(options: OperatorOptions, done: Decided): void {
  const ended = done.ended.map(({ where, deviceId }) => `${where} ${deviceId}`).join(', ');
  print(options, done, `${done.act}: done${ended === '' ? '' : `; ended: ${ended}`}`);
}

const wholeSecond = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;

/** The lines of a file, each a document. @throws KeysteadError `consignment.malformed`. */
function linesOf(file: string): string[] {
  if (!existsSync(file)) throw new KeysteadError('consignment.malformed', { field: file, seen: 'no such file' });
  const bytes = readFileSync(file);
  if (bytes.length > MOST_FILE_BYTES)
    throw new KeysteadError('consignment.malformed', { field: file, seen: 'too large' });
  const lines: string[] = [];
  for (let from = 0; from < bytes.length; ) {
    const end = bytes.indexOf(0x0a, from);
    // A line without an end was cut off: the stick was pulled, or the file is not all here.
    if (end < 0) throw new KeysteadError('consignment.malformed', { field: file, seen: 'a last line that is cut off' });
    if (end - from > MOST_PARCEL_BYTES)
      throw new KeysteadError('consignment.malformed', { field: file, seen: `a line of ${end - from} bytes` });
    lines.push(bytes.toString('utf8', from, end));
    from = end + 1;
  }
  return lines;
}
