import {
  addTicketSignature,
  draftTicket,
  HEADQUARTERS,
  joinTickets,
  parseTicket,
  signersOf,
  TICKET_KEY_ORIGINS,
  type TicketKeyOrigin,
  ticketQuorum,
  verifyTicket,
} from '@keystead/core/lifecycle';
import { Command, InvalidArgumentError, Option } from 'commander';
import { systemClock } from '../clock/system.ts';
import { Layout } from '../files/layout.ts';
import { policyInPlace, readPolicyFile } from '../policy/index.ts';
import { asOperator, type OperatorOptions, operatorOptions } from './operator.ts';
import { joinCommand, type QuorumFile, readText, signCommand, writeDraft } from './quorum-files.ts';

const FILE: QuorumFile = {
  what: 'a batch ticket',
  example: 'batch-7.json',
  sign: addTicketSignature,
  join: joinTickets,
  show: ticketText,
};

/** `keystead ticket`: how many units of what one node may provision, signed by several people. REQ-KEY-PROV-01 */
export function ticketCommand(): Command {
  const ticket = new Command('ticket').description(
    'batch tickets: draft one, sign it (each person with their own key, offline), join, show, open a batch with it',
  );
  ticket.addCommand(draftCommand());
  ticket.addCommand(signCommand(FILE, 'ticket'));
  ticket.addCommand(joinCommand(FILE, 'ticket'));
  ticket.addCommand(showCommand());
  ticket.addCommand(openCommand());
  return ticket;
}

interface DraftOptions {
  id: string;
  model: string;
  quota: number;
  ids: { prefix: string; from: number; to: number; width: number };
  line: string[];
  factory: string;
  station?: string[];
  keyOrigin?: TicketKeyOrigin[];
  attestation?: boolean;
  from?: string;
  days: number;
  out: string;
}

function draftCommand(): Command {
  return new Command('draft')
    .description('write a ticket that nobody has signed yet')
    .requiredOption('--id <id>', 'a name that no other ticket has or will have')
    .requiredOption('--model <model>', 'what is made')
    .requiredOption('--quota <n>', 'how many', whole)
    .requiredOption('--ids <first-last>', 'the device ids, first and last: KS-0001..KS-0100', range)
    .requiredOption('--line <line...>', 'at which lines')
    .option('--factory <name>', 'the one node that may use it', HEADQUARTERS)
    .option('--station <station...>', 'at which stations; without it at every station of the lines')
    .addOption(
      new Option('--key-origin <way...>', 'which ways to a key; without it all that the policy allows').choices(
        TICKET_KEY_ORIGINS,
      ),
    )
    .option('--attestation', 'each key must be shown to be in a TPM that the policy believes')
    .option('--from <time>', 'from when on, UTC: 2026-03-01T08:00:00Z; now unless told')
    .option('--days <n>', 'for how long', days, 30)
    .requiredOption('--out <file>', 'write it here')
    .addHelpText(
      'after',
      '\nExample:\n  $ keystead ticket draft --id batch-7 --model KS-PUMP-1 --quota 100 --ids KS-0001..KS-0100 --line line-1 --factory graz --out batch-7.json',
    )
    .action((options: DraftOptions) => {
      const from = options.from === undefined ? systemClock.now() : new Date(options.from);
      if (Number.isNaN(from.getTime())) throw new InvalidArgumentError('--from must be a time in UTC.');
      const text = draftTicket({
        id: options.id,
        model: options.model,
        quota: options.quota,
        notBefore: from.toISOString(),
        notAfter: new Date(from.getTime() + options.days * 86_400_000).toISOString(),
        lines: options.line,
        deviceIds: options.ids,
        profile: 'idevid',
        factory: options.factory,
        ...(options.station === undefined ? {} : { stations: options.station }),
        ...(options.keyOrigin === undefined ? {} : { keyOrigins: options.keyOrigin }),
        ...(options.attestation === true ? { attestation: 'required' as const } : {}),
      });
      writeDraft(options.out, text);
      process.stdout.write(`${ticketText(text)}nobody has signed it yet; it is in ${options.out}\n`);
    });
}

function showCommand(): Command {
  return new Command('show')
    .description('what a ticket says, who signed it, and whether a policy takes it; exit code 3 when it does not')
    .argument('<file>', 'the ticket')
    .option('--data <dir>', 'data directory, for the policy in force', './keystead-data')
    .option('--policy <file>', 'judge by this policy instead')
    .option('--json', 'machine-readable output')
    .action((path: string, options: { data: string; policy?: string; json?: boolean }) => {
      const text = readText(path);
      const signed = parseTicket(text);
      const { policy } =
        options.policy === undefined ? policyInPlace(new Layout(options.data)).file : readPolicyFile(options.policy);
      const { ticket, sha256 } = signed;
      process.stdout.write(
        options.json === true
          ? `${JSON.stringify({ ticket, sha256, signers: signersOf(signed), quorum: ticketQuorum(policy) }, null, 2)}\n`
          : ticketText(text),
      );
      verifyTicket(text, policy);
      if (options.json !== true)
        process.stdout.write('the policy takes it: every signature is good and they are enough\n');
    });
}

function openCommand(): Command {
  return operatorOptions(
    new Command('open')
      .description('open the batch of a signed ticket: from then on its units can be provisioned at this node')
      .argument('<file>', 'the ticket'),
    'pki',
  ).action(async (path: string, options: OperatorOptions) => {
    const ticket = readText(path);
    const opened = await asOperator(options, (client) =>
      client.post<{ ticketId: string; quota: number }>('/api/v1/batches', { ticket }),
    );
    process.stdout.write(
      options.json === true
        ? `${JSON.stringify(opened, null, 2)}\n`
        : `batch ${opened.ticketId} is open: ${opened.quota} units\n`,
    );
  });
}

function ticketText(text: string): string {
  const signed = parseTicket(text);
  const { ticket, sha256 } = signed;
  const { prefix, from, to, width } = ticket.deviceIds;
  const id = (number: number): string => `${prefix}${String(number).padStart(width, '0')}`;
  const rows: [string, string][] = [
    ['ticket', `${ticket.id} (sha256 ${sha256})`],
    ['for', `${ticket.quota} units of ${ticket.model}, ${id(from)} to ${id(to)}`],
    ['at', `${ticket.factory}, lines ${ticket.lines.join(', ')}${stationsOf(ticket.stations)}`],
    ['from', `${ticket.notBefore} to ${ticket.notAfter}`],
    [
      'keys',
      ticket.keyOrigins?.join(', ') ?? (ticket.attestation === 'required' ? 'attested' : 'as the policy allows'),
    ],
    ['signed', signersOf(signed).join(', ') || 'by nobody'],
  ];
  return rows.map(([name, value]) => `${name.padEnd(8)}${value}\n`).join('');
}

const stationsOf = (stations: readonly string[] | undefined): string =>
  stations === undefined ? '' : `, stations ${stations.join(', ')}`;

function whole(text: string): number {
  if (!/^[1-9]\d{0,7}$/.test(text)) throw new InvalidArgumentError('A whole number from 1.');
  return Number(text);
}

function days(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('A number of days above 0.');
  return value;
}

/** Both ends have the same prefix and as many digits. */
function range(text: string): DraftOptions['ids'] {
  const [first = '', last = '', ...more] = text.split('..');
  const [, prefix = '', from = ''] = /^(.*?)(\d{1,12})$/.exec(first) ?? [];
  const to = last.startsWith(prefix) ? last.slice(prefix.length) : '';
  if (more.length === 0 && prefix !== '' && from.length === to.length && /^\d+$/.test(to)) {
    return { prefix, from: Number(from), to: Number(to), width: from.length };
  }
  throw new InvalidArgumentError('Two device ids with one prefix and as many digits: KS-0001..KS-0100.');
}
