import {
  envelopeBytes,
  joinEnvelopes,
  readEnvelope,
  signedBytes,
  type TufEnvelope,
  tufKeyId,
  tufKeyOf,
  tufShown,
  withSignature,
} from '@keystead/core/firmware';
import { Command } from 'commander';
import { systemClock } from '../clock/system.ts';
import { durableWrite } from '../files/durable.ts';
import { beginRepository, checkRepository, publish, TufRepository, type Versions } from '../signing/tuf/index.ts';
import { duration } from './duration.ts';
import { EXIT } from './exit.ts';
import { type OfflineSignerOptions, offlineSigner } from './offline-signer.ts';
import { table } from './operator.ts';
import { joinCommand, type QuorumFile } from './quorum-files.ts';
import { namedFile } from './sign-files.ts';
import { rootCommand, targetsCommand } from './tuf-propose.ts';

const METADATA: Omit<QuorumFile, 'sign'> = {
  what: 'a root or targets of a TUF repository',
  example: 'root.json',
  join: (texts) => textOf(joinEnvelopes(texts.map((text) => readEnvelope(Buffer.from(text))))),
  show(text) {
    const { signed, signatures } = readEnvelope(Buffer.from(text));
    const rows = signed._type === 'root' || signed._type === 'targets' ? tufShown(signed) : [];
    const signers = signatures.map(({ keyid }) => ['signed by', keyid]);
    return `${table([...rows.map(({ name, value }) => [name, value]), ...signers])}\n`;
  },
};

const textOf = (envelope: TufEnvelope): string => Buffer.from(envelopeBytes(envelope)).toString('utf8');

/** `keystead tuf`: a repository of The Update Framework, its root and targets signed offline by several people. */
export function tufCommand(): Command {
  const command = new Command('tuf').description('an update repository (TUF): roots, targets, publication');
  command.addCommand(rootCommand());
  command.addCommand(targetsCommand());
  command.addCommand(signMetadata());
  command.addCommand(joinCommand(METADATA, 'tuf'));
  command.addCommand(initCommand());
  command.addCommand(publishCommand());
  command.addCommand(statusCommand());
  return command;
}

/** Metadata is signed as it is: no context goes before it, so that no key of another kind of statement serves. */
const signMetadata = (): Command =>
  new Command('sign')
    .description(
      'sign a root or targets with your own key, offline; the file gets the signature, or --out a copy of it',
    )
    .argument('<file>', 'the file')
    .requiredOption('--as <operator>', 'who signs: whose key it is in the data directory, unless --key names it')
    .option('--data <dir>', 'data directory, where the key is unless --key names it', './keystead-data')
    .option('--key <file>', 'encrypted PKCS#8 PEM; the key in the data directory unless told')
    .option('--passphrase-fd <n>', "read the key's passphrase from this file descriptor")
    .option('--out <file>', 'write the signed copy here and leave the file as it is')
    .addHelpText('after', '\nExample:\n  $ keystead tuf sign root.json --as ada --key ada.key.pem')
    .action(async (path: string, options: OfflineSignerOptions & { out?: string }) => {
      const text = namedFile(path).toString('utf8');
      // What is signed is what was shown: it is read once.
      process.stdout.write(METADATA.show(text));
      const envelope = readEnvelope(Buffer.from(text));
      const signer = await offlineSigner(options);
      const signature = await signer.sign(signedBytes(envelope.subject));
      const signed = textOf(withSignature(envelope, tufKeyId(tufKeyOf(signer.spki)), signature));
      durableWrite(options.out ?? path, signed, 0o644);
      process.stdout.write(`${options.as} signed; it is in ${options.out ?? path}\n`);
    });

function initCommand(): Command {
  return new Command('init')
    .description('begin a repository with its first root, signed by its threshold')
    .argument('<dir>', 'the directory that a web server gives out')
    .requiredOption('--root <file>', 'the signed root')
    .addHelpText('after', '\nExample:\n  $ keystead tuf init ./repository --root root.json')
    .action((dir: string, { root }: { root: string }) => {
      beginRepository(new TufRepository(dir), namedFile(root), systemClock.now());
      process.stdout.write(`${dir}: root 1; give devices ${dir}/metadata/1.root.json in the factory\n`);
    });
}

interface PublishOptions {
  root?: string;
  targets?: string;
  files?: string;
  onlineKey: string;
  passphraseFd?: string;
  snapshotFor: number;
  timestampFor: number;
  json?: boolean;
}

function publishCommand(): Command {
  return new Command('publish')
    .description('publish what is new, and renew snapshot and timestamp; run it from a timer for the latter alone')
    .argument('<dir>', 'the repository')
    .option('--root <file>', 'the next root, signed by the old keys and the new')
    .option('--targets <file>', 'the next targets, signed')
    .option('--files <dir>', 'where the files of new targets lie, by their paths')
    .requiredOption('--online-key <file>', 'encrypted PKCS#8 PEM: the key of snapshot and timestamp')
    .option('--passphrase-fd <n>', "read the key's passphrase from this file descriptor")
    .option('--snapshot-for <time>', 'how long a snapshot is good, for example 7d', duration, 7 * 86_400)
    .option('--timestamp-for <time>', 'how long a client can be frozen at most, for example 24h', duration, 86_400)
    .option('--json', 'machine-readable output')
    .addHelpText(
      'after',
      '\nExample:\n  $ keystead tuf publish ./repository --targets targets.json --files ./build --online-key online.pem',
    )
    .action(async (dir: string, options: PublishOptions) => {
      const { root, targets, files, onlineKey, passphraseFd, snapshotFor, timestampFor } = options;
      const fd = passphraseFd === undefined ? {} : { passphraseFd };
      const online = await offlineSigner({ data: '.', as: 'online', key: onlineKey, ...fd });
      const done = await publish(new TufRepository(dir), {
        ...(root !== undefined && { root: namedFile(root) }),
        ...(targets !== undefined && { targets: namedFile(targets) }),
        ...(files !== undefined && { files }),
        online,
        policy: { snapshotSeconds: snapshotFor, timestampSeconds: timestampFor },
        now: systemClock.now(),
      });
      process.stdout.write(options.json === true ? `${JSON.stringify(done)}\n` : `${versionsText(done)}\n`);
    });
}

const versionsText = ({ root, targets, snapshot, timestamp, until }: Versions): string =>
  `root ${root}, targets ${targets}, snapshot ${snapshot}, timestamp ${timestamp}; publish again before ${until}`;

function statusCommand(): Command {
  return new Command('status')
    .description('look at a repository as a client does, and at every file; exit code 1 where one would refuse')
    .argument('<dir>', 'the repository')
    .option('--json', 'machine-readable output')
    .action(async (dir: string, { json }: { json?: boolean }) => {
      const findings = await checkRepository(new TufRepository(dir), systemClock.now());
      if (json === true) process.stdout.write(`${JSON.stringify({ findings })}\n`);
      else {
        const rows = findings.map(({ what, version, expires, fault }) => [
          what,
          String(version ?? ''),
          expires ?? '',
          fault ?? 'good',
        ]);
        process.stdout.write(`${table([['what', 'version', 'expires', 'a client says'], ...rows])}\n`);
      }
      if (findings.some(({ fault }) => fault !== null)) process.exitCode = EXIT.notProven;
    });
}
