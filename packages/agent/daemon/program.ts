import { mkdirSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type DerCertificate, fromPem, toPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { acceptIssued } from '../enrol/index.ts';
import { Agent, openDevice, printable } from './agent.ts';
import { type AgentConfig, readConfig } from './config.ts';
import type { Hangup } from './hangup.ts';
import { type AgentStatus, statusFile } from './status.ts';
import { systemClock } from './system-clock.ts';
import { wipeDevice } from './wipe.ts';

const HELP = `keystead-agent <command> --config <file>

  run         the daemon: enrols, renews, keeps the trust bundle new, holds the tunnels open (SIGHUP: looks now)
  check       reads the configuration and says what is wrong with it
  request     makes the device's own key, and prints the request for its IDevID (PEM)
  install     takes the IDevID that was issued: --certificate <pem>, leaf first
  status      what the running daemon last said [--json]
  recover     gives up its credentials and enrols again by the IDevID: with an older image of the state, or past its grace
  wipe        destroys every key of the device, and prints the signed evidence [--json]; --without-evidence:
              also where what it would sign with is lost
`;

type Options = {
  readonly json: boolean;
  readonly unsigned: boolean;
  readonly certificate: string | undefined;
  readonly hangup: Hangup;
};
type Command = (config: AgentConfig, options: Options) => Promise<void>;

const print = (text: string): void => {
  process.stdout.write(`${text.trimEnd()}\n`);
};

const COMMANDS: Readonly<Record<string, Command>> = {
  async run(config, { hangup }) {
    makeRunDirectory(config);
    const device = await openDevice(config, systemClock);
    const agent = new Agent(config, device, systemClock, (event) => print(JSON.stringify(printable(event))));
    const ended = new Promise<void>((resolve) => {
      for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
    });
    try {
      await agent.start();
      hangup.tell(() => void agent.look());
      await ended;
    } finally {
      await agent.stop();
    }
  },

  async check(config) {
    print(`${config.deviceId}: the configuration is complete`);
  },

  async request(config) {
    const { holder, state } = await openDevice(config, systemClock, { make: true });
    try {
      const { csr } =
        holder.signer === undefined
          ? await state.beginKey('idevid')
          : await state.beginHeldKey('idevid', holder.signer);
      print(toPem('CERTIFICATE REQUEST', csr));
    } finally {
      state.close();
      await holder.close();
    }
  },

  async install(config, { certificate }) {
    if (certificate === undefined)
      throw new KeysteadError('agent.usage', { field: 'install', seen: 'no --certificate' });
    const certificates = fromPem('CERTIFICATE', readFileSync(certificate, 'utf8')).map((der) => der as DerCertificate);
    const { holder, state } = await openDevice(config, systemClock);
    try {
      acceptIssued(state, certificates, systemClock);
      print(`${state.deviceId} has its IDevID`);
    } finally {
      state.close();
      await holder.close();
    }
  },

  async status(config, { json }) {
    const status = JSON.parse(readFileSync(statusFile(config.run), 'utf8')) as AgentStatus;
    print(json ? JSON.stringify(status, null, 2) : statusText(status));
  },

  async recover(config) {
    const { holder, state } = await openDevice(config, systemClock, { recover: true });
    state.close();
    await holder.close();
    print(`${config.deviceId} enrols again by its IDevID when the daemon starts`);
  },

  async wipe(config, { json, unsigned }) {
    const { report, objects } = await wipeDevice(config, systemClock, { unsigned });
    if (json) return print(JSON.stringify({ ...report, objects }, null, 2));
    const gone = [...report.files.map(({ part, name }) => `${part}: ${name}`), ...objects];
    process.stderr.write(`${report.deviceId} was wiped at ${report.at}:\n${gone.map((one) => `  ${one}\n`).join('')}`);
    print(report.evidence ?? '');
  },
};

function statusText({ deviceId, clock, credential, trust, connections }: AgentStatus): string {
  return [
    `${deviceId}`,
    `clock       ${clock.state}${clock.provenTime === undefined ? '' : `, it is at least ${clock.provenTime}`}`,
    `credential  ${credential === null ? 'none yet' : `${credential.serial} until ${credential.notAfter}, renews ${credential.renews}`}`,
    `trust       ${trust === null ? 'no fleet' : `${trust.fleet} ${trust.version}, ${trust.state}${trust.expires === undefined ? '' : ` until ${trust.expires}`}`}`,
    `filter      ${trust?.filter === undefined ? 'none' : `of ${trust.filter.date}, until ${trust.filter.expires}`}`,
    `connections ${connections}`,
  ].join('\n');
}

/** 0750: the group that applications are in reaches the tunnels' sockets; the status has nothing secret. */
function makeRunDirectory({ run }: AgentConfig): void {
  mkdirSync(run, { recursive: true, mode: 0o750 });
}

/** The exit status after which nothing may start the daemon again by itself: each start would spend an attempt of the PIN. */
const PIN_REFUSED = 3;

/** @param hangup has heard every SIGHUP since the process began. @returns the exit status. */
export async function main(args: readonly string[], hangup: Hangup): Promise<number> {
  try {
    const { positionals, values } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        config: { type: 'string' },
        certificate: { type: 'string' },
        json: { type: 'boolean', default: false },
        'without-evidence': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      print(HELP);
      return 0;
    }
    const [name = '', ...more] = positionals;
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (command === undefined || more.length > 0 || values.config === undefined) {
      process.stderr.write(HELP);
      return 2;
    }
    if (name !== 'run') hangup.release();
    const { json, certificate, 'without-evidence': unsigned } = values;
    await command(readConfig(values.config), { json, unsigned, certificate, hangup });
    return 0;
  } catch (error) {
    if (error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')) {
      process.stderr.write(`${error.message}\n${HELP}`);
      return 2;
    }
    const shown =
      error instanceof KeysteadError
        ? error.toJSON()
        : { message: error instanceof Error ? error.message : String(error) };
    process.stderr.write(`${JSON.stringify({ error: shown })}\n`);
    return error instanceof KeysteadError && error.code.startsWith('keystore.pin-') ? PIN_REFUSED : 1;
  }
}
