import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { emptyCoreDumps } from '../files/core-dump.ts';
import { BytesWritten } from './bytes-written.ts';
import { commandsFor } from './commands.ts';
import { EXIT, fail } from './exit.ts';

// First of all: most commands hold a passphrase or a key sooner or later.
emptyCoreDumps();
// `keystead ... | head`: whoever read has gone. What was begun is finished, and the exit code stays the true one.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

const program = new Command('keystead')
  .description('Key management for medical-device fleets: from ceremony to destruction, with the proof of it.')
  .version('0.1.0')
  // An option of a command is the command's, also where it is called --version.
  .enablePositionalOptions()
  .showHelpAfterError('(keystead --help shows what there is)')
  .exitOverride()
  .addHelpText(
    'after',
    `
Exit codes:
  0  done                    3   refused: the message names the field and the rule
  1  verified: not proven    4   unavailable now: try again
  2  wrong command line      70  a defect of Keystead

Examples:
  $ keystead start                          the whole story on loopback, in ./keystead-data
  $ keystead audit verify --data DIR        prove the history from the files alone
  $ keystead verify --json                  run the checklist on the live system
  $ keystead device revoke KS-0003 --reason keyCompromise
  $ keystead authorisation create --host gw1.plant.example --way acme --uses 50 --for 365d
  $ keystead keys --ending-within 90d        the keys whose time is nearly over
  $ keystead backup create --out FILE       state for the custodians of the policy; never a signing key
  $ keystead revoke --device KS-0003 --reason keyCompromise --dry-run
  $ keystead sign request pump.bin --help    firmware signatures: ask, approve, wait, fetch
  $ keystead rotate plan spring --help       rotation campaigns: dry run, rings, uptake, retirement
  $ keystead scan firmware.bin               private keys in an image or a file tree
  $ keystead trace --json                   requirements, code, tests and their last run`,
  );

for (const command of await commandsFor(process.argv[2])) {
  inheritExitOverride(command);
  program.addCommand(command);
}

// With no argument at all, help is an answer and not an error.
if (process.argv.length <= 2) {
  program.outputHelp();
} else {
  try {
    await program.parseAsync(process.argv);
  } catch (thrown) {
    if (thrown instanceof CommanderError) {
      // Commander prints what it finds; what a command itself finds of its words, nobody has printed yet.
      if (thrown instanceof InvalidArgumentError) process.stderr.write(`error: ${thrown.message}\n`);
      process.exitCode = thrown.exitCode === 0 ? EXIT.done : EXIT.usage;
    } else if (thrown instanceof BytesWritten) {
      process.stdout.write(thrown.print(process.argv.includes('--json')));
    } else fail(thrown, process.argv.includes('--json'));
  }
}

function inheritExitOverride(command: Command): void {
  command.exitOverride();
  for (const child of command.commands) inheritExitOverride(child);
}
