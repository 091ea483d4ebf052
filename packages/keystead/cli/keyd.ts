import { ONLINE_CAS, type OnlineCa } from '@keystead/core/lifecycle';
import { type Command, Option } from 'commander';
import { fingerprintRows, readFingerprint } from '../ceremony/index.ts';
import { systemClock } from '../clock/system.ts';
import { Layout } from '../files/layout.ts';
import { type KeystoreFlags, secretOf } from './keystore.ts';

/** The flags of these commands; `--data` is that of `keystead keyd` itself. */
type Flags = KeystoreFlags & {
  origin: string;
  rootSha256?: string;
  from?: string;
  renew?: OnlineCa;
  successor?: OnlineCa;
};

/** What keyd asks of ceremonies and takes from them: `keystead keyd init`, `request`, `import`. */
export function addCeremonyCommands(keyd: Command): Command {
  secretOptions(keyd.command('init'))
    .description('make the keys of keyd, and the request for the founding ceremony')
    .requiredOption('--origin <name>', 'name of the audit log, for example keystead.example/log')
    .action(async (_flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<Flags>();
      using secret = await secretOf(flags);
      const { initKeyd } = await import('../keyd/init.ts');
      const made = await initKeyd(new Layout(flags.data), secret, systemClock, { origin: flags.origin });
      tell(flags, made);
    });
  secretOptions(keyd.command('request'))
    .description('write the request for a later ceremony: a certificate for a CA of this keyd')
    .addOption(new Option('--renew <ca>', 'for the key that the CA has').choices(ONLINE_CAS))
    .addOption(new Option('--successor <ca>', 'for a new key, which is made now').choices(ONLINE_CAS))
    .action(async (_flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<Flags>();
      const ca = flags.successor ?? flags.renew;
      if (ca === undefined || (flags.successor !== undefined && flags.renew !== undefined)) {
        command.error('error: give one of --renew and --successor');
      }
      using secret = await secretOf(flags);
      const { requestRenewal } = await import('../keyd/renewal.ts');
      const key = flags.successor === undefined ? 'same' : 'successor';
      tell(flags, await requestRenewal(new Layout(flags.data), secret, systemClock, { ca, key }));
    });
  secretOptions(keyd.command('import'))
    .description('take over what a ceremony made; keyd must not be running')
    .option('--from <dir>', "the ceremony's outputs (default: ceremony/ in the data directory)")
    .option('--root-sha256 <fingerprint>', 'the root as a witness vouches for it, in hex or in words', readFingerprint)
    .action(async (_flags: unknown, command: Command) => {
      const flags = command.optsWithGlobals<Flags>();
      using secret = await secretOf(flags);
      const { importBundle } = await import('../keyd/import.ts');
      const { from, rootSha256 } = flags;
      const pins = await importBundle(new Layout(flags.data), secret, systemClock, { from, rootSha256 });
      const last = pins.later.at(-1);
      const what = last === undefined ? 'the founding ceremony' : `ceremony ${last.number} (${last.ceremony})`;
      const revoked =
        pins.revoked.length === 0 ? '' : `REVOKED, and issuing nothing more: ${pins.revoked.join(', ')}\n`;
      process.stdout.write(
        flags.json === true ? `${JSON.stringify(pins)}\n` : `keyd took over ${what}; start it again\n${revoked}`,
      );
    });
  return keyd;
}

const secretOptions = (command: Command): Command =>
  command
    .option('--passphrase-fd <n>', 'file descriptor with the passphrase or PIN', Number)
    .option('--passphrase-file <file>', 'private file with it; the unlock file of the data directory when it is there')
    .option('--json', 'as one JSON document');

function tell(flags: Flags, { path, sha256 }: { path: string; sha256: string }): void {
  const text = `${path}\nSHA-256, to be compared with what the ceremony shows:\n${fingerprintRows(sha256, '  ')}\n`;
  process.stdout.write(flags.json === true ? `${JSON.stringify({ path, sha256 })}\n` : text);
}
