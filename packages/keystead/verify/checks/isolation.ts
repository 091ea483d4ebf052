import { readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { KeysteadError } from '@keystead/core/errors';
import type { Layout } from '../../files/layout.ts';
import type { Isolation } from '../../host/isolation.ts';
import { readPresence } from '../../keyd/presence.ts';
import { type Check, type Finding, failed, passed, weak } from '../check.ts';

/** What is seen of keyd's process from outside. */
export interface SeenProcess {
  readonly uid: number;
  readonly capabilities: boolean;
  /** Owners of keyd's directory and of the database's. */
  readonly keydOwner: number;
  readonly serveOwner: number;
}

/** REQ-KEY-STO-03: the process with the keys is apart from the one that faces the network. */
const isolation: Check = {
  id: 'keyd.isolation',
  requirements: ['REQ-KEY-STO-03', 'REQ-KEY-STO-02'],
  text: 'keyd is a user of its own, without capabilities, network, core dumps, and with its keys in locked memory',
  async run({ layout }) {
    const presence = readPresence(layout);
    if (presence === undefined) {
      throw new KeysteadError('service.unreachable', { field: 'keyd', seen: 'no process that says it is keyd' });
    }
    return judge(presence.isolation, look(layout, presence.pid));
  },
};

/** /proc/<pid>/status is open to everybody, also of a process that may not be traced. */
function look(layout: Layout, pid: number): SeenProcess {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const uids = /^Uid:\s*(.*)$/m.exec(status)?.[1]?.split('\t') ?? [];
  return {
    // Real, effective, saved and file system user: one that differs could be taken back.
    uid: new Set(uids).size === 1 ? Number(uids[0]) : 0,
    capabilities: !/^CapEff:\s*0+$/m.test(status) || !/^CapPrm:\s*0+$/m.test(status),
    keydOwner: statSync(layout.keyd).uid,
    serveOwner: statSync(dirname(layout.database)).uid,
  };
}

/**
 * `failed` where something that was set up does not hold, or where a key could reach the disk; `weak` where it was
 * never set up: it works, and an attacker who takes serve over has less in the way.
 */
export function judge(told: Isolation, seen: SeenProcess): Finding {
  const { uid, keydOwner, serveOwner } = seen;
  const broken: string[] = [];
  const lacking: string[] = [];
  if (uid !== told.uid) broken.push(`keyd says that it is user ${told.uid} and is user ${uid}`);
  if (keydOwner !== serveOwner && uid !== keydOwner) {
    broken.push(`keyd is user ${uid}, its directory belongs to user ${keydOwner}`);
  }
  if (told.coreDumps === 'on') broken.push('a core dump of keyd would hold its memory');
  if (keydOwner === serveOwner) lacking.push(`keyd and serve are one user (${uid})`);
  if (seen.capabilities) lacking.push('keyd holds capabilities');
  if (told.network !== 'none') lacking.push(`network: ${told.network}`);
  if (told.keyMemory !== 'locked') lacking.push(`keys in memory that is not locked, swap: ${told.swap}`);
  const evidence = `user ${uid}, serve ${serveOwner}; network ${told.network}, core dumps ${told.coreDumps}, key memory ${told.keyMemory}, swap ${told.swap}`;
  if (broken.length > 0) return failed(`${broken.join('; ')} (${evidence})`);
  return lacking.length > 0 ? weak(`${lacking.join('; ')} (${evidence})`) : passed(evidence);
}

export const ISOLATION_CHECKS: readonly Check[] = [isolation];
