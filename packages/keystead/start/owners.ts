import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  fchownSync,
  fstatSync,
  lchownSync,
  mkdirSync,
  openSync,
  readdirSync,
  realpathSync,
  statSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { sha256 } from '@keystead/core/crypto';
import type { Layout } from '../files/layout.ts';
import { PROGRAM_ROOT } from './confinement.ts';

interface User {
  readonly uid: number;
  readonly gid: number;
}

/** Whom the two services run as, or why they run as one user. */
export type Separation =
  | { readonly separate: true; readonly keyd: User; readonly serve: User }
  | { readonly separate: false; readonly why: string; readonly asRoot: boolean };

/** The users that packaging/systemd/keystead.conf makes; they are taken when they are there. */
export const SYSTEM_USERS = { keyd: 'keystead-keyd', serve: 'keystead-serve' } as const;

/**
 * Without such users, a pair of ids that no one else has: systemd's list of ranges (systemd.io/UIDS-GIDS) leaves
 * 65536 to 524287 to nobody, and the subordinate ids of useradd begin at 100000. Each data directory has its own pair.
 */
const FIRST_FREE = 65_536;
const PAIRS = 17_000;

/**
 * Gives keyd and serve users of their own when root starts them, and each the directories that are its work. The
 * owners in the file system are the record: a later start, and a service that root starts by itself, find them there.
 * Where it cannot be, nothing is changed and the reason is told. docs/decisions/0018 says why so. REQ-KEY-STO-03
 */
export function separateOwners(layout: Layout): Separation {
  const one = (why: string): Separation => ({ separate: false, why, asRoot: process.getuid?.() === 0 });
  if (process.getuid?.() !== 0) return one('only root can give them users of their own');
  const owner = statSync(layout.data).uid;
  if (owner !== 0) return one(`the data directory belongs to user ${owner}`);
  const users = usersOf(layout);
  if (typeof users === 'string') return one(users);
  const { keyd, serve } = users;
  const before = statSync(layout.data);
  try {
    // Passed through by the group of serve, in which keyd is too; listed by root alone.
    chownSync(layout.data, 0, serve.gid);
    chmodSync(layout.data, 0o710);
    const closed = firstClosed(serve, [layout.data, PROGRAM_ROOT, process.execPath]);
    if (closed !== undefined) {
      chownSync(layout.data, 0, before.gid);
      chmodSync(layout.data, before.mode & 0o700);
      return one(closed);
    }
  } catch (error) {
    return one(`this system takes no user ${keyd.uid} (${error instanceof Error ? error.message : 'unknown'})`);
  }
  handOver(layout, keyd, serve);
  return { separate: true, keyd, serve };
}

const serveDirectories = (layout: Layout): string[] => [
  dirname(layout.database),
  layout.log,
  layout.crl,
  layout.records,
  layout.evidence,
  layout.signing,
  layout.bundles,
];

function handOver(layout: Layout, keyd: User, serve: User): void {
  // What both read. keyd publishes each policy that comes into force in `trust/`, and believes nothing there that its
  // pins do not name; `ceremony/` neither writes. The group is handed down to what is made here.
  for (const [dir, owner] of [
    [layout.trust, keyd.uid],
    [layout.ceremony, 0],
  ] as const) {
    if (!existsSync(dir)) continue;
    chownSync(dir, owner, serve.gid);
    chmodSync(dir, 0o2750);
  }
  if (existsSync(layout.config)) {
    chownSync(layout.config, 0, serve.gid);
    chmodSync(layout.config, 0o640);
  }
  for (const dir of serveDirectories(layout)) give(dir, serve);
  give(layout.keyd, keyd);
  give(layout.run, keyd);
  // The socket is keyd's, in the group of serve: setgid hands the group down to what is made here.
  chownSync(layout.run, keyd.uid, serve.gid);
  chmodSync(layout.run, 0o2710);
}

/**
 * Makes a directory `user`'s. One that was root's is given with all that is in it, itself last, so that a start that
 * was cut short begins again. In one that is the user's already, only root's own files at its top are given: nobody
 * who can write in a directory may lead root to change the owner of something else.
 */
function give(dir: string, user: User): void {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  if (statSync(dir).uid !== 0) {
    for (const name of readdirSync(dir)) giveFile(join(dir, name), user);
    return;
  }
  for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
    lchownSync(join(entry.parentPath, entry.name), user.uid, user.gid);
  }
  chmodSync(dir, 0o700);
  chownSync(dir, user.uid, user.gid);
}

function giveFile(path: string, user: User): void {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    // A symbolic link or a socket; or it is gone.
    return;
  }
  try {
    const stats = fstatSync(file);
    // A second name would be one that somebody else gave it.
    if (stats.uid === 0 && stats.isFile() && stats.nlink === 1) fchownSync(file, user.uid, user.gid);
  } finally {
    closeSync(file);
  }
}

/** The users that the directories have already; else the system's; else a pair of free ids. Or why there are none. */
function usersOf(layout: Layout): { keyd: User; serve: User } | string {
  const chosen = systemUsers() ?? freePair(realpathSync(layout.data));
  if (chosen === undefined) return 'no pair of user ids is free';
  const ownerOf = (dir: string, otherwise: User): User => {
    const stats = statSync(dir, { throwIfNoEntry: false });
    return stats === undefined || stats.uid === 0 ? otherwise : { uid: stats.uid, gid: stats.gid };
  };
  const keyd = ownerOf(layout.keyd, chosen.keyd);
  const serve = ownerOf(dirname(layout.database), chosen.serve);
  if (keyd.uid === serve.uid) return `keyd/ and store/ both belong to user ${keyd.uid}`;
  if (keyd.gid === 0 || serve.gid === 0) return 'keyd/ or store/ belongs to the group root';
  return { keyd, serve };
}

/** By the name service of the system, which knows more users than /etc/passwd. */
const lookUp = (who: string): User | undefined => {
  const [, , uid, gid] = spawnSync('getent', ['passwd', who], { encoding: 'utf8' }).stdout?.trim().split(':') ?? [];
  return uid === undefined || gid === undefined ? undefined : { uid: Number(uid), gid: Number(gid) };
};

function systemUsers(): { keyd: User; serve: User } | undefined {
  const keyd = lookUp(SYSTEM_USERS.keyd);
  const serve = lookUp(SYSTEM_USERS.serve);
  return keyd === undefined || serve === undefined ? undefined : { keyd, serve };
}

function freePair(data: string): { keyd: User; serve: User } | undefined {
  const first = Buffer.from(sha256(Buffer.from(data, 'utf8'))).readUInt32BE();
  for (let step = 0; step < 16; step += 1) {
    const uid = FIRST_FREE + 2 * ((first + step) % PAIRS);
    if (lookUp(String(uid)) !== undefined || lookUp(String(uid + 1)) !== undefined) continue;
    return { keyd: { uid, gid: uid }, serve: { uid: uid + 1, gid: uid + 1 } };
  }
  return undefined;
}

/** Run as the user in question, since only the kernel knows what all modes, groups, lists and mounts together mean. */
const PROBE = `
const { accessSync, constants } = require('node:fs');
const { dirname } = require('node:path');
for (const path of process.argv.slice(1)) {
  const above = [];
  for (let at = path; at !== dirname(at); at = dirname(at)) above.unshift(at);
  for (const at of above) {
    try { accessSync(at, constants.X_OK); } catch { console.log(at); process.exit(0); }
  }
}
console.log('');
`;

/** Why `user` cannot reach one of the paths, in words; undefined when it can reach all. */
function firstClosed(user: User, paths: readonly string[]): string | undefined {
  const real = paths.map((path) => realpathSync(path));
  const run = spawnSync(process.execPath, ['--eval', PROBE, ...real], { ...user, encoding: 'utf8', cwd: '/' });
  if (run.status !== 0) return `user ${user.uid} cannot run ${process.execPath}`;
  const closed = run.stdout.trim();
  return closed === '' ? undefined : `user ${user.uid} cannot pass through ${closed}`;
}
