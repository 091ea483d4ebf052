import { spawnSync } from 'node:child_process';
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The directory of the whole program, with its packages. */
export const PROGRAM_ROOT = realpathSync(fileURLToPath(new URL('../../..', import.meta.url)));

/** How the process of a service is started so that it can do less. */
export interface Confinement {
  /** Programs that each narrow what they then run in their place (util-linux). */
  readonly prefix: readonly string[];
  readonly nodeFlags: readonly string[];
}

/**
 * OpenSSL keeps private keys in a heap of their own, which is locked in memory, left out of core dumps and fenced by
 * pages that nobody may touch (CRYPTO_secure_malloc_init(3)). The keys take a few kB of it; but Argon2id works in it
 * too, in 64 MiB while the keystore is opened, and what finds no room there is refused: hence 128 MiB.
 */
export const SECURE_HEAP = ['--secure-heap=134217728', '--secure-heap-min=32'] as const;

/** An empty network namespace: as root; within a user namespace, in which an ordinary user stays who he is. */
const NO_NETWORK = [
  ['unshare', '--net', '--'],
  ['unshare', '--net', '--map-current-user', '--'],
];
const NO_NEW_PRIVILEGES = ['setpriv', '--no-new-privs', '--'];
const NO_CORE = ['prlimit', '--core=0:0', '--'];

/** For serve: no core dumps, and no program that it starts gets more rights. */
export const confineServe = (): Confinement => ({ prefix: chain([[NO_NEW_PRIVILEGES], [NO_CORE]]), nodeFlags: [] });

/**
 * For keyd: besides, no network, and its keys in locked memory. What this machine does not allow is left out; keyd sees
 * by itself what it has got and says so in its status. The permission model of Node.js is no part of it: it forbids
 * fsync, and with that every promise of durability (docs/decisions/0018).
 */
export const confineKeyd = (): Confinement => ({
  prefix: chain([NO_NETWORK, [NO_NEW_PRIVILEGES], [NO_CORE]]),
  nodeFlags: SECURE_HEAP,
});

/** Of each step the first way that works behind those before it; what was found is kept, a try costs some 50 ms. */
function chain(steps: readonly (readonly (readonly string[])[])[]): string[] {
  const found: string[] = [];
  for (const ways of steps) found.push(...(ways.find((way) => works([...found, ...way])) ?? []));
  return found;
}

const tried = new Map<string, boolean>();

function works(prefix: readonly string[]): boolean {
  const key = prefix.join(' ');
  const known = tried.get(key);
  if (known !== undefined) return known;
  const [command = '', ...args] = prefix;
  // The very runtime: a way that works for `true` alone would prove less.
  const worked = spawnSync(command, [...args, process.execPath, '--version'], { stdio: 'ignore' }).status === 0;
  tried.set(key, worked);
  return worked;
}
