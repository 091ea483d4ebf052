import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { KeysteadError } from '@keystead/core/errors';
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
import { Command, InvalidArgumentError } from 'commander';
import { systemClock } from '../clock/system.ts';
import { durableWrite } from '../files/durable.ts';
import {
  beginRepository,
  checkRepository,
  keepFresh,
  type OnlineRoles,
  ownOnlineKey,
  type Publication,
  publish,
  TufRepository,
  type Versions,
  type Watch,
} from '../signing/tuf/index.ts';
import { duration } from './duration.ts';
import { EXIT } from './exit.ts';
import { type OfflineSignerOptions, offlineSigner } from './offline-signer.ts';
import { asOperator, type OperatorOptions, operatorOptions, table } from './operator.ts';
import { joinCommand, type QuorumFile } from './quorum-files.ts';
import { namedFile } from './sign-files.ts';
import { type KnownRepository, keydRepositories, keydRoles } from './tuf-keyd.ts';
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
  command.addCommand(keysCommand());
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

interface PublishOptions extends OperatorOptions {
  root?: string;
  targets?: string;
  files?: string;
  onlineKey?: string;
  keyd?: string;
  watch?: boolean;
  snapshotFor: number;
  timestampFor: number;
}

function publishCommand(): Command {
  return operatorOptions(new Command('publish').argument('<dir>', 'the repository'), 'release')
    .description('publish what is new, and renew snapshot and timestamp; without anything new, the latter alone')
    .option('--root <file>', 'the next root, signed by the old keys and the new')
    .option('--targets <file>', 'the next targets, signed')
    .option('--files <dir>', 'where the files of new targets lie, by their paths')
    .option('--keyd <repository>', 'keyd signs snapshot and timestamp, for the repository of this name in the policy')
    .option('--watch', 'with --keyd: stay, and renew the timestamp before it ends')
    .option('--online-key <file>', 'without --keyd, encrypted PKCS#8 PEM: the key of snapshot and timestamp')
    .option(
      '--snapshot-for <time>',
      'with --online-key: how long a snapshot is good, for example 7d',
      duration,
      7 * 86_400,
    )
    .option('--timestamp-for <time>', 'with --online-key: how long a client can be frozen at most', duration, 86_400)
    .addHelpText(
      'after',
      '\nExamples:\n  $ keystead tuf publish ./repository --targets targets.json --files ./build --keyd pump\n' +
        '  $ keystead tuf publish ./repository --keyd pump --watch',
    )
    .action(async (dir: string, options: PublishOptions) => {
      const { root, targets, files, onlineKey, keyd, watch } = options;
      if ((keyd === undefined) === (onlineKey === undefined))
        throw new InvalidArgumentError('Who signs is --keyd or --online-key, one of them.');
      if (watch === true && keyd === undefined) throw new InvalidArgumentError('--watch is for --keyd.');
      const repository = new TufRepository(dir);
      const run = async (online: OnlineRoles): Promise<void> => {
        const fresh = {
          ...(root !== undefined && { root: namedFile(root) }),
          ...(targets !== undefined && { targets: namedFile(targets) }),
          ...(files !== undefined && { files }),
        };
        const once = (more: Pick<Publication, 'root' | 'targets' | 'files'> = {}): Promise<Versions> =>
          publish(repository, { ...more, online, now: systemClock.now() });
        const told = (done: Versions): void =>
          void process.stdout.write(options.json === true ? `${JSON.stringify(done)}\n` : `${versionsText(done)}\n`);
        const published = await once(fresh);
        told(published);
        if (watch === true) await keepFresh(once, watchOf(told), published);
      };
      if (keyd !== undefined) return asOperator(options, (client) => run(keydRoles(client, keyd)));
      const { passphraseFd, snapshotFor, timestampFor } = options;
      const fd = passphraseFd === undefined ? {} : { passphraseFd };
      const own = await offlineSigner({
        data: '.',
        as: 'online',
        ...(onlineKey !== undefined && { key: onlineKey }),
        ...fd,
      });
      return run(ownOnlineKey(own, { snapshotSeconds: snapshotFor, timestampSeconds: timestampFor }));
    });
}

/** Until somebody ends the program. */
function watchOf(told: (done: Versions) => void): Watch {
  const end = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => end.abort());
  return {
    clock: systemClock,
    pause: (ms) => pause(ms, undefined, { signal: end.signal }).catch(() => undefined),
    ended: () => end.signal.aborted,
    told: (what) => {
      if (what instanceof KeysteadError) process.stderr.write(`${what.code}: ${what.message}; it is tried again\n`);
      else told(what);
    },
  };
}

/** What the next root must name: the public keys of keyd for a repository. */
function keysCommand(): Command {
  return operatorOptions(new Command('keys'), 'release')
    .description("keyd's keys for the repositories of the policy, and how far each repository is")
    .option('--out <dir>', 'write the public keys there, PEM, for keystead tuf root --online-key')
    .action(async (options: OperatorOptions & { out?: string }) => {
      const { repositories } = await asOperator(options, keydRepositories);
      const { out } = options;
      const keys = repositories.flatMap(({ repository, keys: own }) => own.map((key) => ({ repository, ...key })));
      for (const { id, publicKey } of keys)
        if (out !== undefined && publicKey !== null) durableWrite(join(out, `${id}.pem`), publicKey, 0o644);
      if (options.json === true) process.stdout.write(`${JSON.stringify({ repositories })}\n`);
      else {
        const rows = keys.map(({ repository, id, publicKey, refused }) => [
          repository,
          id,
          publicKey === null ? 'made at the next start of keyd' : (refused ?? 'signs'),
        ]);
        process.stdout.write(`${table([['repository', 'key', 'state'], ...rows])}\n`);
        for (const { repository, renewal } of repositories)
          if (renewal != null) process.stdout.write(`${renewalText(repository, renewal)}\n`);
      }
    });
}

function renewalText(repository: string, { until, late, fault }: NonNullable<KnownRepository['renewal']>): string {
  const state = `${repository}: the service renews it${late ? ', and is LATE' : ''}`;
  const when = until === null ? 'nothing is published yet' : `the timestamp is good until ${until}`;
  return `${state}; ${when}${fault === null ? '' : `; ${fault}`}`;
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
