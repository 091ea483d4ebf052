import type { Command } from 'commander';
import { systemClock } from '../clock/system.ts';

/**
 * Every command by its name, in the order of the help. What a command needs is loaded when it is asked for: to load all of
 * them takes longer than most commands do.
 */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  start: async () => (await import('./start.ts')).startCommand(),
  ceremony: async () => (await import('../ceremony/index.ts')).ceremonyCommand(systemClock),
  keyd: async () => (await import('./services.ts')).keydCommand(),
  serve: async () => (await import('./services.ts')).serveCommand(),
  hierarchy: async () => (await import('./hierarchy.ts')).hierarchyCommand(),
  factory: async () => {
    const [{ factoryCommand }, { exchangeCommands }] = await Promise.all([
      import('./factory.ts'),
      import('./factory-exchange.ts'),
    ]);
    const factory = factoryCommand();
    for (const command of exchangeCommands()) factory.addCommand(command);
    return factory;
  },
  fingerprint: async () => (await import('./hierarchy.ts')).fingerprintCommand(),
  ticket: async () => (await import('./ticket.ts')).ticketCommand(),
  'tls-key': async () => (await import('./tls-key.ts')).tlsKeyCommand(),
  recount: async () => (await import('./recount.ts')).recountCommand(),
  provisioning: async () => (await import('./provisioning.ts')).provisioningCommand(),
  station: async () => (await import('./station.ts')).stationCommand(),
  device: async () => (await import('./device.ts')).deviceCommand(),
  authorisation: async () => (await import('./authorisation.ts')).authorisationCommand(),
  acme: async () => (await import('./acme.ts')).acmeCommand(),
  revoke: async () => (await import('./revoke.ts')).revokeCommand(),
  'revoke-ca': async () => (await import('./revoke-ca.ts')).revokeCaCommand(),
  rotate: async () => (await import('./rotate.ts')).rotateCommand(),
  sign: async () => (await import('./sign.ts')).signCommand(),
  keys: async () => (await import('./keys.ts')).keysCommand(),
  policy: async () => (await import('./policy.ts')).policyCommand(),
  audit: async () => (await import('./audit.ts')).auditCommand(),
  backup: async () => (await import('./backup.ts')).backupCommand(),
  keystore: async () => (await import('./keystore.ts')).keystoreCommand(),
  tpm: async () => (await import('./tpm.ts')).tpmCommand(),
  crl: async () => (await import('./crl.ts')).crlCommand(),
  verify: async () => (await import('./verify.ts')).verifyCommand(),
  scan: async () => (await import('./scan.ts')).scanCommand(),
  tuf: async () => (await import('./tuf.ts')).tufCommand(),
  trust: async () => (await import('./trust.ts')).trustCommand(),
  trace: async () => (await import('./trace.ts')).traceCommand(),
};

/** The command that the first word names; all of them where it names none, as help and a misspelt word need them. */
export function commandsFor(word: string | undefined): Promise<Command[]> {
  const load = word !== undefined && Object.hasOwn(COMMANDS, word) ? COMMANDS[word] : undefined;
  return Promise.all((load === undefined ? Object.values(COMMANDS) : [load]).map((one) => one()));
}
