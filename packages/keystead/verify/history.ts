import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AuditTable, type LogReport, verifyLogFiles } from '../audit/index.ts';
import type { Layout } from '../files/layout.ts';
import { logKeys } from './log-keys.ts';

/**
 * Verifies the log of a data directory, and holds against it what else lies there: keyd's own leaves, the last
 * checkpoint that keyd signed, and, unless it is left out, the rows of the database. REQ-KEY-AUD-01
 * @param options.seen checkpoints (note text) seen earlier or elsewhere
 * @throws KeysteadError `note.key-malformed`
 */
export async function verifyHistory(
  layout: Layout,
  options: { readonly database?: boolean; readonly seen?: readonly string[] } = {},
): Promise<LogReport> {
  const signed = join(layout.keyd, 'checkpoint');
  const seen = existsSync(signed) ? [readFileSync(signed, 'utf8')] : [];
  const compare = options.database !== false && existsSync(layout.database);
  const stored = compare ? new AuditTable(layout.database) : undefined;
  try {
    return await verifyLogFiles({
      dir: layout.log,
      vkeys: logKeys(layout),
      keydLeaves: join(layout.keyd, 'leaves'),
      otherCheckpoint: [...(options.seen ?? []), ...seen],
      stored,
    });
  } finally {
    stored?.close();
  }
}
