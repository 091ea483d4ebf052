import { writeSync } from 'node:fs';
import { SimulatedClock } from '@keystead/core/clock';
import { openStore } from '../index.ts';
import { appendEntry, certificateRow, insertWithKey, START } from './bed.ts';

/** Writes to the database in argv until it is killed, and says each serial that was acknowledged. */
const store = openStore({ path: process.argv[2] ?? '', clock: new SimulatedClock(START) });
async function writer(): Promise<never> {
  for (;;) {
    const row = certificateRow();
    await store.commit((tx) => {
      insertWithKey(tx, row);
      appendEntry(tx, `issued ${row.serial}`);
    });
    writeSync(1, `${row.serial}\n`);
  }
}
await Promise.all(Array.from({ length: 16 }, writer));
