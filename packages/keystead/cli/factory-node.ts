import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import type { DerCrl } from '@keystead/core/bytes';
import type { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { COUNTER_KINDS, type CounterKind, parseCommission, parsePolicy } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { systemClock } from '../clock/system.ts';
import { openConfig } from '../files/config.ts';
import { fingerprintRows } from '../files/fingerprint.ts';
import { Layout } from '../files/layout.ts';
import { asOwnerOf } from '../host/as-owner.ts';
import { nodeOf } from '../keyd/factory/hierarchy.ts';
import { requireIdentity } from '../keyd/factory/identity.ts';
import { importCommission } from '../keyd/factory/import.ts';
import { factoryRequestPath, initFactoryNode } from '../keyd/factory/init.ts';
import { currentCommission, readNodePins } from '../keyd/factory/pins.ts';
import { becomeSole } from '../keyd/single.ts';
import { readPassphrase } from '../keystore/index.ts';
import { type OutboxProgress, outboxProgress } from '../provisioning/index.ts';
import { readOnly } from '../store/index.ts';

interface NodeFlags {
  data: string;
  passphraseFd?: number;
  passphraseFile?: string;
  json?: boolean;
}

interface InitFlags extends NodeFlags {
  name: string;
  origin?: string;
  counter?: CounterKind;
}

/** What a factory node does by itself: make its keys, take its commission over, say how it stands. */
export function addNodeCommands(factory: Command): void {
  common(factory.command('init'))
    .description('make the keys of a factory node, and the request that headquarters answers with a commission')
    .requiredOption('--name <name>', 'how the node is called, everywhere and for good: 1 to 32 of a-z 0-9 -')
    .option('--origin <text>', 'the name of its audit log; keystead.local/factory/<name> unless given')
    .addOption(
      new Option('--counter <kind>', 'what counts units where no old disk image sets it back').choices(COUNTER_KINDS),
    )
    .addHelpText(
      'after',
      `
Where the keys are to be on a token or in a TPM, say so first: keystead keystore init --data DIR --module ...

Example:
  $ keystead factory init --name berlin-1 --data DIR --passphrase-file pin`,
    )
    .action(init);

  common(factory.command('import'))
    .description('take over the commission that headquarters made; keyd must not run')
    .argument('<file>', 'the commission')
    .option('--root-sha256 <fingerprint>', 'SHA-256 of the root as headquarters vouches for it, in hex or in words')
    .addHelpText('after', '\nExample:\n  $ keystead factory import commission.json --data DIR --root-sha256 "$ROOT"')
    .action(importFile);

  common(factory.command('crls'))
    .description('take newer CRLs of headquarters, carried here while the link is down; keyd must not run')
    .argument('<files...>', 'the CRLs, DER')
    .action(takeFiles);

  common(factory.command('status'))
    .description('how this node stands: commission, what it may make, how long it may go on; changes nothing')
    .action(status);
}

function common(command: Command): Command {
  return command
    .option('--data <dir>', 'data directory', './keystead-data')
    .option('--passphrase-fd <n>', 'file descriptor with the passphrase or PIN of keyd', descriptor)
    .option('--passphrase-file <file>', 'private file with it; the unlock file of the data directory when it is there')
    .option('--json', 'as one JSON document');
}

const print = (flags: NodeFlags, value: object, text: string): void => {
  process.stdout.write(flags.json === true ? `${JSON.stringify(value, null, 2)}\n` : text);
};

async function init(flags: InitFlags): Promise<void> {
  const layout = new Layout(flags.data);
  mkdirSync(layout.data, { recursive: true, mode: 0o700 });
  using secret = await passphraseOf(flags);
  const { name, origin, counter } = flags;
  const { path, sha256, request } = await initFactoryNode(layout, secret, systemClock, { name, origin, counter });
  await openConfig(layout, systemClock, 90);
  const text = [
    `the node ${request.factory} has its keys (${request.custody}); the request for headquarters is`,
    `  ${path}`,
    'SHA-256, to compare with what headquarters shows before anybody signs the order:',
    fingerprintRows(sha256, '  '),
  ];
  print(flags, { path, sha256, factory: request.factory, custody: request.custody }, `${text.join('\n')}\n`);
}

async function importFile(path: string, flags: NodeFlags & { rootSha256?: string }): Promise<void> {
  const layout = new Layout(flags.data);
  const pins = await importCommission(layout, systemClock, {
    file: read(path),
    rootSha256: flags.rootSha256,
    passphrase: () => passphraseOf(flags),
  });
  const node = nodeOf(layout, pins);
  const text = [
    `commission ${node.number} is taken over: ${node.closed ? 'this node is CLOSED and issues nothing more' : `${node.name} may make ${prefixes(node.deviceIdPrefixes)}`}`,
    "SHA-256 of the root's certificate:",
    fingerprintRows(pins.rootSha256, '  '),
  ];
  const value = { commission: node.number, closed: node.closed, rootSha256: pins.rootSha256 };
  print(flags, value, `${text.join('\n')}\n`);
}

async function takeFiles(paths: string[], flags: NodeFlags): Promise<void> {
  const layout = new Layout(flags.data);
  requireIdentity(layout);
  const pins = readNodePins(layout);
  if (pins === undefined) throw new KeysteadError('keyd.not-ready', { field: 'commission', seen: 'none' });
  const right = await becomeSole(layout.run);
  try {
    const taken = await asOwnerOf(layout.keyd, () => {
      const { crls } = nodeOf(layout, pins);
      return paths.map((path) => ({ path, ...crls.take(read(path) as DerCrl, systemClock.now()) }));
    });
    const said = taken.map(({ path, ca, fresh }) => `${path}: ${ca}, ${fresh ? 'newer' : 'known already'}\n`);
    print(flags, { taken }, said.join(''));
  } finally {
    right.release();
  }
}

/** How a node stands, as scripts read it. */
interface NodeStatus {
  readonly factory: string;
  readonly log: string;
  readonly request: string;
  /** `asking` before the first commission. */
  readonly state: 'asking' | 'open' | 'offline-too-long' | 'ended' | 'closed';
  readonly commission?: { readonly number: number; readonly importedAt: string };
  readonly deviceIdPrefixes?: readonly string[];
  readonly policyVersion?: number;
  readonly ends?: { readonly manufacturing: string; readonly server: string };
  readonly crls?: readonly { readonly ca: string; readonly number: number; readonly nextUpdate: string }[];
  readonly goodUntil?: string;
  /** The number of a later commission that came over the link and waits to be imported. */
  readonly waitingCommission?: number;
  /** What is on its way to headquarters; absent where serve has never run. */
  readonly outbox?: OutboxProgress;
}

function status(flags: NodeFlags): void {
  const layout = new Layout(flags.data);
  const found = statusOf(layout);
  print(flags, found, formatStatus(found));
}

function statusOf(layout: Layout): NodeStatus {
  const { name, origin } = requireIdentity(layout);
  const pins = readNodePins(layout);
  const asked = { factory: name, log: origin, request: factoryRequestPath(layout) };
  if (pins === undefined) return { ...asked, state: 'asking' };
  const node = nodeOf(layout, pins);
  const policy = parsePolicy(readFileSync(layout.policy));
  const now = systemClock.now();
  const ends = (ca: 'manufacturing' | 'server') => readCertificate(node.certificates.issued[ca]).notAfter;
  const goodUntil = node.crls.goodUntil(policy.factory?.offlineSeconds ?? 0);
  const { number, importedAt } = currentCommission(pins);
  return {
    ...asked,
    state: node.closed
      ? 'closed'
      : ends('manufacturing') <= now
        ? 'ended'
        : goodUntil < now
          ? 'offline-too-long'
          : 'open',
    commission: { number, importedAt },
    deviceIdPrefixes: node.deviceIdPrefixes,
    policyVersion: policy.version,
    ends: { manufacturing: ends('manufacturing').toISOString(), server: ends('server').toISOString() },
    crls: node.crls.list().map(({ ca, number: crl, nextUpdate }) => ({
      ca,
      number: crl,
      nextUpdate: nextUpdate.toISOString(),
    })),
    goodUntil: goodUntil.toISOString(),
    ...waitingCommission(layout, number),
    ...outboxOf(layout),
  };
}

/** What lies there proves itself at the import; here it is only told of. */
function waitingCommission({ waitingCommission: path }: Layout, number: number): Pick<NodeStatus, 'waitingCommission'> {
  if (!existsSync(path)) return {};
  const { content } = parseCommission(readFileSync(path, 'utf8'));
  return content.number > number ? { waitingCommission: content.number } : {};
}

const outboxOf = ({ database }: Layout): Pick<NodeStatus, 'outbox'> =>
  existsSync(database) ? { outbox: readOnly(database, outboxProgress) } : {};

const STATES: Readonly<Record<NodeStatus['state'], string>> = {
  asking: 'waits for its first commission: take the request to headquarters',
  open: 'may provision',
  'offline-too-long': 'provisions nothing: it has not heard from headquarters for too long',
  ended: 'provisions nothing: the certificate of its manufacturing sub-CA has ended; ask for a renewal',
  closed: 'closed by headquarters: it issues nothing more',
};

function formatStatus(node: NodeStatus): string {
  const lines = [
    `${node.factory}  ${STATES[node.state]}`,
    `  request     ${node.request}`,
    `  log         ${node.log}`,
  ];
  if (node.commission !== undefined) {
    const { number, importedAt } = node.commission;
    lines.push(
      `  commission  ${number}, imported ${importedAt}`,
      `  makes       ${prefixes(node.deviceIdPrefixes ?? [])}`,
      `  policy      version ${node.policyVersion}`,
      `  sub-CAs     manufacturing until ${node.ends?.manufacturing}, server until ${node.ends?.server}`,
      ...(node.crls ?? []).map(
        ({ ca, number: crl, nextUpdate }) => `  heard       ${ca} CRL ${crl}, until ${nextUpdate}`,
      ),
      `  goes on     without headquarters until ${node.goodUntil}`,
    );
    if (node.waitingCommission !== undefined) {
      lines.push(
        `  RENEWAL     commission ${node.waitingCommission} waits: stop keyd, then import store/waiting-commission.json of the data directory`,
      );
    }
    if (node.outbox !== undefined) lines.push(...outboxLines(node.outbox));
  }
  return `${lines.join('\n')}\n`;
}

function outboxLines({ waiting, waitingUnits, waitingSince, settledAt, refusal }: OutboxProgress): string[] {
  const waits =
    waiting === 0 ? 'empty' : `${waitingUnits} units wait, in ${waiting} consignments, since ${waitingSince}`;
  return [
    `  outbox      ${waits}; last receipt ${settledAt ?? 'never'}`,
    ...(refusal === null
      ? []
      : [`  REFUSED     consignment ${refusal.number} since ${refusal.at}: ${refusal.code}: ${refusal.message}`]),
  ];
}

const prefixes = (all: readonly string[]): string => all.map((prefix) => `${prefix}...`).join(', ');

function read(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new KeysteadError('ceremony.file-unreadable', { field: 'file', seen: path, cause });
  }
}

function passphraseOf({ data, passphraseFd, passphraseFile }: NodeFlags): Promise<SecretBytes> {
  const unlock = new Layout(data).passphrase('keyd');
  const file = passphraseFile ?? (existsSync(unlock) ? unlock : undefined);
  return readPassphrase(
    passphraseFd !== undefined ? { fd: passphraseFd } : file !== undefined ? { file } : { prompt: true },
  );
}

function descriptor(text: string): number {
  if (!/^\d{1,4}$/.test(text)) throw new InvalidArgumentError('A file descriptor is a number.');
  return Number(text);
}
