import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { FORMS, scanPath } from '../../scan/index.ts';
import { type Check, failed, passed } from '../check.ts';

/** REQ-KEY-STO-02: a scan of everything that Keystead wrote. */
const noClearKeys: Check = {
  id: 'storage.no-clear-keys',
  requirements: ['REQ-KEY-STO-02'],
  text: 'no file of the deployment (state, logs, database, records) holds a private key in the clear',
  async run({ layout }) {
    let pieces = 0;
    for (const top of [layout.data, layout.offline]) {
      if (!existsSync(top)) continue;
      for await (const one of scanPath(top, { looked: () => (pieces += 1) })) {
        if (one.what === 'unread' && !existsSync(one.where)) continue;
        if (one.what === 'unread') return failed(`${one.where} could not be scanned: ${one.why}`);
        // Of one in the clear there is always a find of its own.
        if (one.what === 'key' && !one.encrypted)
          return failed(`${one.where} holds a private key in ${FORMS[one.form]} at ${one.offset}`);
      }
    }
    return passed(`${pieces} files and pieces of files scanned: ${Object.values(FORMS).join(', ')}`);
  },
};

/** REQ-KEY-STO-01: what is sealed, or opens a seal, is for its owner alone. */
const permissions: Check = {
  id: 'storage.permissions',
  requirements: ['REQ-KEY-STO-01'],
  text: 'the data, keyd and unlock directories and the sealed files are for their owner alone; a group passes through at most',
  async run({ layout }) {
    const wide: string[] = [];
    const look = (path: string, closed = 0o077): void => {
      const stat = statSync(path, { throwIfNoEntry: false });
      if (stat !== undefined && (stat.mode & closed) !== 0) wide.push(`${path} (${(stat.mode & 0o777).toString(8)})`);
    };
    // Where keyd and serve are two users, their group passes through these two, and may list neither.
    for (const path of [layout.data, layout.run]) look(path, 0o067);
    for (const path of [layout.keyd, layout.unlock, layout.offline, layout.operators]) look(path);
    for (const [folder, suffix] of [
      [layout.keyd, '.sealed'],
      [layout.offline, '.sealed'],
      [layout.operators, '.key.pem'],
      [layout.unlock, ''],
    ] as const) {
      if (!existsSync(folder)) continue;
      for (const name of readdirSync(folder)) if (name.endsWith(suffix)) look(join(folder, name));
    }
    return wide.length === 0 ? passed('modes looked at: nothing is open to group or others') : failed(wide.join(', '));
  },
};

export const STORAGE_CHECKS: readonly Check[] = [noClearKeys, permissions];
