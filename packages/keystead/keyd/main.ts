import { existsSync, readFileSync } from 'node:fs';
import type { DerCrl } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import type { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type RootId, rootCrlsOf } from '@keystead/core/lifecycle';
import { formatVerifierKey } from '@keystead/core/log';
import { type Logger, pino } from 'pino';
import { systemClock } from '../clock/system.ts';
import { emptyCoreDumps } from '../files/core-dump.ts';
import { Layout } from '../files/layout.ts';
import { readIsolation } from '../host/isolation.ts';
import { becomeOwnerOf } from '../host/owner.ts';
import {
  type Keystore,
  type KeystoreConfig,
  openCounter,
  openKeystore,
  readCounterConfig,
  readKeystoreConfig,
  type SealedPassphrase,
} from '../keystore/index.ts';
import type { KeydContext } from './context.ts';
import type { ContextParts } from './context-parts.ts';
import { isFounded, openHierarchy } from './factory/hierarchy.ts';
import { foundingPolicy, type Hierarchy, pinsPath } from './hierarchy.ts';
import { cosignName } from './init.ts';
import { keystoreMasters } from './keystore-master.ts';
import { openContext } from './open-context.ts';
import { writePresence } from './presence.ts';
import { lastBundle } from './publish-trust.ts';
import { type KeydSecrets, readSecrets } from './secrets.ts';
import { KeydServer } from './server.ts';
import { becomeSole } from './single.ts';
import { keydSocketPath, makeSocketDirectory } from './socket-path.ts';
import { tpmGroups } from './tpm-group.ts';
import type { CountReport } from './unit-count.ts';
import { readWeakKeyLists } from './weak-keys.ts';

export interface RunKeydOptions {
  /** The data directory. */
  readonly data: string;
  /** File descriptor with the secrets; without it they are systemd credentials. */
  readonly secretsFd?: number;
  /** The file in which this machine's TPM has sealed the passphrase. */
  readonly sealed?: SealedPassphrase;
  /** End when standard input closes, so that keyd does not outlive a supervisor that was killed. */
  readonly withParent?: boolean;
}

/**
 * The keyd process: opens the keystore, makes its state again from the journal, listens, and says so with one JSON
 * line on standard output. Resolves when it was told to stop (SIGTERM, SIGINT, the parent's end) and every request
 * under way has been answered. Logs JSON to standard error. Started by root, it becomes the user that its directory
 * belongs to before it reads a secret, and keeps of root's rights the group of a TPM that it needs. REQ-KEY-STO-03
 * @throws KeysteadError `keyd.*`, `keystore.*`, `bundle.*`, `passphrase.*`.
 */
export async function runKeyd(options: RunKeydOptions): Promise<void> {
  process.umask(0o077);
  const log = pino({ name: 'keyd', base: { pid: process.pid } }, pino.destination({ fd: 2, sync: true }));
  if (!emptyCoreDumps()) log.warn('core dumps cannot be emptied on this system: set LimitCORE=0');
  const layout = new Layout(options.data);
  if (existsSync(layout.run)) becomeOwnerOf(layout.keyd, layout.run, tpmGroups(layout.keyd, options.sealed));
  const from = options.secretsFd === undefined ? { credentials: true as const } : { fd: options.secretsFd };
  const secrets = await readSecrets({ ...from, sealed: options.sealed });
  const stop = stopSignal(options.withParent === true);
  try {
    const keyd = await openKeyd({ layout, secrets, clock: systemClock, log });
    process.stdout.write(`${JSON.stringify({ ready: true, pid: process.pid, socket: keyd.socketPath })}\n`);
    log.info({ why: await stop }, 'stopping');
    await keyd.close();
  } finally {
    // The pipe from the parent would keep the process alive, also one that could not start.
    process.stdin.destroy();
  }
  log.info('stopped');
}

export interface OpenKeydOptions {
  readonly layout: Layout;
  /** Both are wiped: the passphrase when the keystore is open, the channel key at the end. */
  readonly secrets: KeydSecrets;
  readonly clock: Clock;
  readonly log: Logger;
  readonly handshakeMs?: number;
}

/** A keyd that listens. */
export interface OpenKeyd {
  readonly socketPath: string;
  /** Answers what is under way, closes the files, wipes the keys. */
  close(): Promise<void>;
}

/** Opens everything and listens. @throws KeysteadError as {@link runKeyd} does. */
export async function openKeyd(options: OpenKeydOptions): Promise<OpenKeyd> {
  const { layout, secrets, clock, log } = options;
  if (!isFounded(layout)) throw new KeysteadError('keyd.not-ready', { field: pinsPath(layout) });
  const socketMode = makeSocketDirectory(layout.run);
  const right = await becomeSole(layout.run);
  const undo: (() => unknown)[] = [() => right.release()];
  try {
    const hierarchy = openHierarchy(layout);
    const keystoreConfig = readKeystoreConfig(layout.keyd);
    const { keystore, counter } = await unlock(layout.keyd, keystoreConfig, secrets.passphrase, clock);
    undo.unshift(() => keystore.close());
    requireLogKeys(hierarchy, keystore);
    const isolation = readIsolation();
    const { weakKeys, names, count } = readWeakKeyLists(layout.keyd);
    if (count > 0) log.info({ lists: names, keys: count }, 'keys on these lists are refused');
    const context = await openContext({
      dir: layout.keyd,
      crls: { dir: layout.crlFiles, shared: socketMode === 0o660 },
      publishedPolicy: layout.policy,
      hierarchy,
      rootCrls: rootCrlsIn(layout, hierarchy),
      lastBundle: lastBundle(layout, hierarchy.pins),
      founding: foundingPolicy(layout, hierarchy.pins),
      signerOf: (id) => keystore.signer(id),
      keystore,
      masters: keystoreMasters(keystoreConfig),
      counter,
      clock,
      software: SOFTWARE,
      isolation,
      weakKeys,
    });
    undo.unshift(() => context.close());
    const socketPath = keydSocketPath(layout);
    const { channelKey } = secrets;
    const server = new KeydServer(context, {
      socketPath,
      socketMode,
      channelKey,
      log,
      handshakeMs: options.handshakeMs,
    });
    await server.listen();
    const { policy, sha256 } = context.policies.inForce;
    if (policy.demonstration)
      log.warn({ policy: policy.name }, 'DEMONSTRATION POLICY: nothing here is to be relied on');
    log.info({ version: policy.version, policySha256: sha256 }, 'policy in force');
    logCount(log, context.count.report);
    logRestore(log, context);
    writePresence(layout, isolation, context.count.report);
    log.info(
      { isolation, socket: socketPath, certificates: context.state.certificates, logSize: context.log.size },
      'ready',
    );
    undo.unshift(() => channelKey.wipe());
    undo.unshift(() => server.drain());
    return { socketPath, close: () => runAll(undo) };
  } catch (error) {
    await runAll(undo);
    throw error;
  }
}

function logCount(log: Logger, count: CountReport): void {
  if (count.state === 'level') log.info({ count }, 'the counter covers the journal');
  else if (count.state === 'disk') log.warn({ count }, 'no monotonic counter: quotas rest on this disk alone');
  else log.error({ count }, 'THE COUNTER DOES NOT COVER THE JOURNAL: no unit is provisioned');
}

/** Whoever reads the log at three in the morning learns what is waited for. */
function logRestore(log: Logger, { state, policy }: KeydContext): void {
  const { pending } = state.restored;
  if (pending === undefined) return;
  const { backupId, restore, time: since, refused } = pending;
  log.error(
    { backupId, restore, since, quorum: policy.quorums.restore, lastRefusal: refused.at(-1) },
    'RESTORE PENDING: keyd signs nothing until statements of this quorum are brought: keystead backup sign-restore, keystead backup admit; then start keyd again, and serve',
  );
}

/** Those of the last ceremony. Before there was a later one they lie where the founding's import put them. */
function rootCrlsIn(layout: Layout, { pins, node }: Hierarchy): { id: RootId; crl: DerCrl }[] {
  if (node !== undefined) {
    return node.crls.list().flatMap(({ ca, der }) => (ca === 'root' ? [{ id: ca, crl: der }] : []));
  }
  const bundle = lastBundle(layout, pins);
  return bundle === undefined ? [] : rootCrlsOf(bundle).map(({ id, crl }) => ({ id, crl }));
}

async function runAll(undo: readonly (() => unknown)[]): Promise<void> {
  for (const step of undo) await step();
}

/** The keystore, and the counter that its journal is tied to: both are opened by the one passphrase. */
async function unlock(
  dir: string,
  config: KeystoreConfig,
  passphrase: SecretBytes,
  clock: Clock,
): Promise<{ keystore: Keystore; counter: ContextParts['counter'] }> {
  try {
    const keystore = await openKeystore(config, passphrase, clock);
    try {
      const counting = readCounterConfig(dir);
      if (counting === undefined) return { keystore, counter: undefined };
      return { keystore, counter: { counter: await openCounter(counting, keystore, passphrase), base: counting.base } };
    } catch (error) {
      keystore.close();
      throw error;
    }
  } finally {
    passphrase.wipe();
  }
}

/** The log's keys are not in certificates; what the ceremony wrote down of them must be what the keystore has. */
function requireLogKeys({ pins }: Hierarchy, keystore: Keystore): void {
  const origin = pins.vkey.slice(0, pins.vkey.indexOf('+'));
  const vkey = formatVerifierKey(origin, 'ed25519', keystore.signer('log').spki);
  const cosign = formatVerifierKey(cosignName(origin), 'cosignature-v1', keystore.signer('log-cosign').spki);
  if (vkey === pins.vkey && cosign === pins.cosignVkey) return;
  throw new KeysteadError('bundle.foreign', { field: 'vkey', seen: 'other keys of the log than the keystore has' });
}

const SOFTWARE = softwareName();

function softwareName(): string {
  const { name, version }: { name: string; version: string } = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  );
  return `${name} ${version}`;
}

function stopSignal(withParent: boolean): Promise<string> {
  return new Promise((resolve) => {
    process.once('SIGTERM', () => resolve('SIGTERM'));
    process.once('SIGINT', () => resolve('SIGINT'));
    if (!withParent) return;
    process.stdin.on('end', () => resolve('the end of the parent'));
    process.stdin.on('error', () => resolve('the end of the parent'));
    process.stdin.resume();
  });
}
