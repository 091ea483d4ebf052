import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { systemClock } from '../clock/system.ts';
import type { ShiftView } from '../protocols/rest/stations.ts';
import type { StateView } from '../protocols/station/index.ts';
import { OUTCOMES, outcomesTable } from '../provisioning/index.ts';
import { asOperator, type OperatorOptions, operatorOptions, table } from './operator.ts';
import { enrolCommands } from './station/enrol.ts';
import { NodeLink } from './station/link.ts';
import { connect, type PlaceOptions, placeOptions } from './station/place.ts';
import { type RunOptions, runStation, seconds } from './station/run.ts';
import { makeSignOn, type OperatorKeyOptions, signOnOptions } from './station/signing.ts';

const EXAMPLES = `
Examples:
  $ keystead station --dir ./st-3 --line line-1 --operator line-1 --operator-key line-1.key.pem --rig ./rig.sh
  $ keystead station --dir ./st-3 --line line-1 --csr-dir ./requests --once --json
  $ keystead station sign-on --dir ./st-3 --line line-1 --operator line-1 --operator-key line-1.key.pem --for 8h
  $ keystead station sign-off --dir ./st-3
  $ keystead station codes

The rig's command gets the device id as its last argument and in KEYSTEAD_DEVICE_ID (besides KEYSTEAD_STATION,
KEYSTEAD_LINE, KEYSTEAD_ATTEMPT) and prints a PEM request: 0 done, 75 not ready (asked 3 times), else a fail; the last
line of its standard error is shown. --install gets the certificate on standard input in the same way.
Exit codes: 0 every unit passed; 1 a unit failed; 2 wrong command line; 3 the station or the sign-on was refused, the
unit in hand waits; 4 stopped, the unit in hand waits. What waits is finished by the next start.`;

/** `keystead station`: the program of the PC at a line, and what belongs to it. REQ-KEY-PROV-01 */
export function stationCommand(): Command {
  const station = new Command('station').description(
    'the station at a line: enrol it, sign on and off, and make units with a loud pass or fail',
  );
  signOnOptions(placeOptions(station.command('run', { isDefault: true })))
    .description('read device ids from a scanner, have the rig make the requests, and show how each unit went')
    .option('--rig <command>', 'the command of the test rig that makes a unit its key and request')
    .option('--csr-dir <dir>', 'take requests from here instead, <device id>.csr; no scanner is read then')
    .option('--once', 'with --csr-dir: end when it is empty')
    .option('--install <command>', 'the command of the rig that puts the certificate into the unit')
    .option('--ticket-id <id>', 'the batch, where the device id alone does not say')
    .option('--out <dir>', 'where certificate and record of each unit go; --dir/units unless told')
    .option('--rig-timeout <seconds>', 'how long a command of the rig may take', seconds, 60_000)
    .option('--retry <seconds>', 'the first wait for a node that is away; it doubles up to 15 s', seconds, 1000)
    .option('--json', 'one line of JSON for each unit, for a rig')
    .addHelpText('after', EXAMPLES)
    .action((options: RunOptions, command: Command) => runStation(options, command));
  enrolCommands(station);
  signOnOptions(placeOptions(station.command('sign-on')))
    .description('sign on at the station with your own key')
    .option('--print', 'print the signed statement, for another client, and send nothing')
    .addHelpText('after', EXAMPLES)
    .action(signOn);
  placeOptions(station.command('sign-off'))
    .description('sign off whoever is signed on at this station')
    .action(async (options: PlaceOptions) => {
      await atStation(options, async (link) => print(await link.signOff()));
    });
  placeOptions(station.command('state'))
    .description('who is signed on, the open batches and the counts, JSON')
    .action(async (options: PlaceOptions) => {
      await atStation(options, async (link) => {
        process.stdout.write(`${JSON.stringify(await link.state(), null, 2)}\n`);
      });
    });
  placeOptions(station.command('open <ticket>'))
    .description('open the batch of a ticket that was brought to the station; who is signed on must be allowed to')
    .action(async (ticket: string, options: PlaceOptions) => {
      await atStation(options, async (link) => {
        const { ticketId, quota } = await link.openBatch(readFileSync(ticket, 'utf8'));
        process.stdout.write(`${ticketId}: open, ${quota} units\n`);
      });
    });
  operatorOptions(station.command('list'), 'pki')
    .description('who is signed on at which station')
    .action(async (options: OperatorOptions) => {
      const answer = await asOperator(options, (client) => client.get<{ stations: ShiftView[] }>('/api/v1/stations'));
      if (options.json === true) process.stdout.write(`${JSON.stringify(answer, null, 2)}\n`);
      else {
        const rows = answer.stations.map((one) => [one.station, one.line, one.operator, one.until]);
        process.stdout.write(`${table([['station', 'line', 'operator', 'until'], ...rows])}\n`);
      }
    });
  operatorOptions(station.command('sign-off-other <station>'), 'pki')
    .description('sign off whoever is signed on at another station')
    .action(async (name: string, options: OperatorOptions) => {
      const path = `/api/v1/stations/${encodeURIComponent(name)}/sign-off`;
      const done = await asOperator(options, (client) => client.post<{ operator: string }>(path, {}));
      process.stdout.write(`${name}: ${done.operator} is signed off\n`);
    });
  station
    .command('codes')
    .description('every code that a rig may hear, and what the operator is told')
    .option('--json', 'machine-readable output')
    .action(({ json }: { json?: boolean }) => {
      process.stdout.write(json === true ? `${JSON.stringify(OUTCOMES, null, 2)}\n` : outcomesTable());
    });
  return station.addHelpText('after', EXAMPLES);
}

async function atStation(
  options: PlaceOptions,
  act: (link: NodeLink, station: string) => Promise<void>,
): Promise<void> {
  const { settings, client } = await connect(options);
  try {
    await act(new NodeLink(client, () => systemClock.now()), settings.station);
  } finally {
    client.close();
  }
}

async function signOn(
  options: PlaceOptions & OperatorKeyOptions & { print?: boolean },
  command: Command,
): Promise<void> {
  const { operator, operatorKey } = options;
  if (operator === undefined || operatorKey === undefined) {
    return command.error('give --operator and --operator-key', { exitCode: 2 });
  }
  await atStation(options, async (link, station) => {
    const state = await link.state();
    const signed = await makeSignOn({ ...options, operator, operatorKey }, { ...state, station }, systemClock.now());
    if (options.print === true) process.stdout.write(`${signed}\n`);
    else print(await link.signOn(signed));
  });
}

function print({ station, signedOn }: StateView): void {
  const who =
    signedOn === null
      ? 'nobody is signed on'
      : `${signedOn.operator} is signed on at ${signedOn.line} until ${signedOn.until}`;
  process.stdout.write(`${station}: ${who}\n`);
}
