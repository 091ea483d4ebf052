import type { DerCertificate, DerSpki } from '@keystead/core/bytes';
import { fromPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import {
  proposeRoot,
  type RoleKeys,
  readSigned,
  spkiOfTufKey,
  type TufRole,
  type TufRoot,
  type TufTarget,
  type TufTargets,
  tufCommon,
  tufSubject,
} from '@keystead/core/firmware';
import { readCertificate } from '@keystead/core/x509';
import { Command, InvalidArgumentError } from 'commander';
import { systemClock } from '../clock/system.ts';
import { TufRepository } from '../signing/tuf/index.ts';
import { duration } from './duration.ts';
import { writeDraft } from './quorum-files.ts';
import { localFile, namedFile } from './sign-files.ts';

const DAY = 86_400;

interface RootOptions {
  repository?: string;
  rootKey?: string[];
  rootThreshold?: number;
  targetsKey?: string[];
  targetsThreshold?: number;
  onlineKey?: string;
  for: number;
  out: string;
}

/** `keystead tuf root`: proposes the first root, or the one that follows. */
export function rootCommand(): Command {
  return new Command('root')
    .description('propose a root: whose keys sign, and how many; it is signed with keystead tuf sign, offline')
    .option('--repository <dir>', 'the repository that it is to follow in; what is not told stays as it is there')
    .option('--root-key <file...>', 'public keys or certificates of those who sign roots, PEM')
    .option('--root-threshold <n>', 'how many of them must', count)
    .option('--targets-key <file...>', 'public keys or certificates of those who sign targets, PEM')
    .option('--targets-threshold <n>', 'how many of them must', count)
    .option('--online-key <file>', 'public key of snapshot and timestamp, PEM')
    .option('--for <time>', 'how long it is good, for example 365d', duration, 365 * DAY)
    .requiredOption('--out <file>', 'write the proposal here')
    .addHelpText(
      'after',
      '\nExample:\n  $ keystead tuf root --root-key a.pem b.pem c.pem --root-threshold 2 --targets-key d.pem --online-key o.pem --out root.json',
    )
    .action((options: RootOptions) => {
      const now = systemClock.now();
      const previous = options.repository === undefined ? undefined : new TufRepository(options.repository).root();
      const online = options.onlineKey === undefined ? undefined : [options.onlineKey];
      const role = (name: TufRole, option: string, files?: readonly string[], threshold?: number): RoleKeys =>
        keysOf(previous, name, option, files, threshold);
      const root = proposeRoot(
        previous,
        {
          root: role('root', '--root-key', options.rootKey, options.rootThreshold),
          targets: role('targets', '--targets-key', options.targetsKey, options.targetsThreshold),
          snapshot: role('snapshot', '--online-key', online),
          timestamp: role('timestamp', '--online-key', online),
        },
        { expires: new Date(now.getTime() + options.for * 1000), now },
      );
      writeDraft(options.out, Buffer.from(tufSubject(root)).toString('utf8'));
      process.stdout.write(`${options.out}: root ${root.version}; it is signed with keystead tuf sign\n`);
    });
}

function keysOf(
  previous: TufRoot | undefined,
  name: TufRole,
  option: string,
  files: readonly string[] | undefined,
  threshold: number | undefined,
): RoleKeys {
  const before = previous?.roles[name];
  if (files === undefined && before === undefined) {
    throw new InvalidArgumentError(`${option} is missing, and no --repository has a key for it.`);
  }
  const keys =
    files?.map(spkiOfFile) ??
    (before?.keyids ?? []).flatMap((id) => {
      const key = previous?.keys[id];
      return key === undefined ? [] : [spkiOfTufKey(key, id)];
    });
  return { keys, threshold: threshold ?? before?.threshold ?? 1 };
}

interface TargetsOptions {
  repository: string;
  add?: string[];
  remove?: string[];
  product?: string;
  firmwareVersion?: string;
  counter?: number;
  for: number;
  out: string;
}

/** `keystead tuf targets`: proposes the targets that follow. */
export function targetsCommand(): Command {
  return new Command('targets')
    .description('propose targets: what is in force, with files added and removed; signed with keystead tuf sign')
    .requiredOption('--repository <dir>', 'the repository')
    .option('--add <path=file...>', 'files, with the paths by which clients ask for them')
    .option('--remove <path...>', 'paths that clients are not to find any more')
    .option('--product <name>', 'the product that added files are for; one repository has one')
    .option('--firmware-version <version>', 'the version of added files')
    .option('--counter <n>', 'the security counter of added files', count)
    .option('--for <time>', 'how long they are good, for example 90d', duration, 90 * DAY)
    .requiredOption('--out <file>', 'write the proposal here')
    .addHelpText(
      'after',
      '\nExample:\n  $ keystead tuf targets --repository ./repository --add boot/u-boot.bin=build/u-boot.bin --out targets.json',
    )
    .action(async (options: TargetsOptions) => {
      const before = new TufRepository(options.repository).inForce()?.targets.signed;
      const targets: Record<string, TufTarget> = { ...before?.targets };
      for (const path of options.remove ?? []) {
        if (targets[path] === undefined)
          throw new KeysteadError('firmware.tuf-target', { field: path, seen: 'no such path' });
        delete targets[path];
      }
      const { product, firmwareVersion: version, counter: securityCounter } = options;
      const custom = {
        ...(product !== undefined && { product }),
        ...(version !== undefined && { version }),
        ...(securityCounter !== undefined && { securityCounter }),
      };
      for (const added of options.add ?? []) {
        const at = added.indexOf('=');
        if (at < 1) throw new InvalidArgumentError('--add takes PATH=FILE.');
        const { bytes, sha256 } = await localFile(added.slice(at + 1), true);
        targets[added.slice(0, at)] = {
          length: bytes,
          hashes: { sha256 },
          ...(Object.keys(custom).length > 0 && { custom }),
        };
      }
      const expires = new Date(systemClock.now().getTime() + options.for * 1000);
      const next = { _type: 'targets', ...tufCommon((before?.version ?? 0) + 1, expires), targets } as const;
      const signed = readSigned(next) as TufTargets;
      writeDraft(options.out, Buffer.from(tufSubject(signed)).toString('utf8'));
      process.stdout.write(
        `${options.out}: targets ${signed.version}, ${Object.keys(targets).length} files; signed with keystead tuf sign\n`,
      );
    });
}

function spkiOfFile(path: string): DerSpki {
  const text = namedFile(path).toString('latin1');
  const [key] = fromPem('PUBLIC KEY', text);
  if (key !== undefined) return key as DerSpki;
  const [certificate] = fromPem('CERTIFICATE', text);
  if (certificate !== undefined) return readCertificate(certificate as DerCertificate).spki;
  throw new KeysteadError('firmware.key-unsuitable', {
    field: path,
    seen: 'neither a public key nor a certificate, PEM',
  });
}

function count(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('It must be a whole number from 1 on.');
  return value;
}
