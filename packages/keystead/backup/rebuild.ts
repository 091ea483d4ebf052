import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sameBytes } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import { MAX_NOTE_LENGTH, openCheckpoint, TileBuilder } from '@keystead/core/log';
import { archiveRecord, lastArchived } from '../audit/archive.ts';
import { AuditTable, LogDirectory, type LogReport } from '../audit/index.ts';
import { durableWrite } from '../files/durable.ts';
import type { Layout } from '../files/layout.ts';
import { Journal } from '../keyd/journal.ts';
import { KeydState } from '../keyd/state.ts';
import { openStore } from '../store/index.ts';
import { verifyHistory } from '../verify/history.ts';
import { checkpointKeys } from '../verify/log-keys.ts';

const PAGE = 8_192;

/**
 * Makes the tiles of an unpacked state again, from the entries in its records up to keyd's checkpoint, under whose
 * signed root they must come out; and ends the archive with that checkpoint. @returns how many entries.
 * @throws KeysteadError `backup.state-inconsistent`.
 */
export async function rebuildLog(layout: Layout): Promise<number> {
  mkdirSync(layout.log, { recursive: true, mode: 0o700 });
  const signed = join(layout.keyd, 'checkpoint');
  if (!existsSync(signed)) return 0;
  const head = openCheckpoint(readFileSync(signed, 'utf8'), checkpointKeys(layout.trust));
  const files = new LogDirectory(layout.log);
  const builder = new TileBuilder();
  const records = new AuditTable(layout.database);
  try {
    while (builder.size < head.size) {
      const rows = records.auditEntries(builder.size, Math.min(PAGE, head.size - builder.size));
      if (rows.length === 0) break;
      for (const row of rows) builder.append(row.bytes);
      for (const { path, bytes } of builder.takeFull()) await files.write(path, bytes);
    }
  } finally {
    records.close();
  }
  if (builder.size !== head.size || !sameBytes(builder.root(), head.root)) {
    throw new KeysteadError('backup.state-inconsistent', {
      field: 'log',
      seen: `${builder.size} entries that do not lead to the signed root of ${head.size}`,
    });
  }
  for (const { path, bytes } of builder.takePartial()) await files.write(path, bytes);
  durableWrite(join(layout.log, 'checkpoint'), head.note, 0o644);
  const tail = await files.tail('checkpoints', 3 * MAX_NOTE_LENGTH);
  const last = lastArchived(tail.bytes);
  const torn = last === undefined ? tail.bytes.length : last.torn;
  if (torn > 0) await files.truncate('checkpoints', tail.size - torn);
  if (last?.note !== head.note) await files.append('checkpoints', archiveRecord(head.note));
  return head.size;
}

/**
 * Holds everything of an unpacked state against everything else: the database is whole, keyd's journal reads back, the
 * history is proven from its files and agrees with records and leaves. REQ-KEY-BAK-02
 * @throws KeysteadError `store.corrupt`, `keyd.journal-damaged`, `backup.state-inconsistent`.
 */
export async function verifyState(layout: Layout, clock: Clock): Promise<LogReport | undefined> {
  await openStore({ path: layout.database, clock }).close();
  const state = new KeydState();
  const journal = await Journal.open(join(layout.keyd, 'journal'), (entry) => state.replay(entry));
  await journal.close();
  if (!existsSync(join(layout.keyd, 'checkpoint'))) return undefined;
  const report = await verifyHistory(layout);
  if (report.verdict === 'proven') return report;
  throw new KeysteadError('backup.state-inconsistent', {
    field: 'log',
    seen: report.firstBad?.why ?? report.findings[0]?.detail ?? 'not proven',
  });
}
