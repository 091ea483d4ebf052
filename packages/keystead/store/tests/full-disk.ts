import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KeysteadError } from '@keystead/core/errors';
import { appendEntry, certificateRow, insertWithKey, StoreBed } from './bed.ts';

/** Runs on a small disk of its own (argv: its mount point), fills it, and reports as JSON what the store did. */
const disk = process.argv[2] ?? '';
const bed = new StoreBed(disk);
const issue = (): Promise<void> =>
  bed.store.commit((tx) => {
    const row = certificateRow();
    insertWithKey(tx, row);
    appendEntry(tx, `issued ${row.serial}`);
  });
const counts = () =>
  bed.store.read((records) => ({ certificates: records.countCertificates(), entries: records.auditSize() }));
const codeOf = (error: unknown): string => (error instanceof KeysteadError ? error.code : String(error));

const ballast = join(disk, 'ballast');
writeFileSync(ballast, Buffer.alloc(256 * 1024));

let acknowledged = 0;
let refusal: unknown;
while (refusal === undefined) {
  // Groups of several: when the disk is full, none of the group may be acknowledged.
  const outcomes = await Promise.allSettled(Array.from({ length: 8 }, issue));
  acknowledged += outcomes.filter(({ status }) => status === 'fulfilled').length;
  refusal = outcomes.find((outcome) => outcome.status === 'rejected')?.reason;
}
const full = counts();
rmSync(ballast);
await issue();
const afterRoom = counts();
await bed.close();
const reopened = counts();
await bed.close();

// A second database finds no room at all.
writeFileSync(ballast, '');
try {
  for (;;) writeFileSync(ballast, Buffer.alloc(4096), { flag: 'a' });
} catch {
  // The disk is full to the last byte now.
}
let openOnFull = '';
try {
  new StoreBed(join(disk, 'second')).open();
} catch (error) {
  openOnFull = codeOf(error);
}
const kind = refusal instanceof KeysteadError ? refusal.kind : '';
console.log(JSON.stringify({ code: codeOf(refusal), kind, acknowledged, full, afterRoom, reopened, openOnFull }));
