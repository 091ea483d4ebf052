import { writeSync } from 'node:fs';
import { SimulatedClock } from '@keystead/core/clock';
import { openStore } from '../../store/index.ts';
import { START } from '../../store/tests/bed.ts';
import { actsOver, begin } from './large-batch.ts';

/** Revokes the batch in the database of argv until it is killed, and says each certificate whose status changed. */
const store = openStore({ path: process.argv[2] ?? '', clock: new SimulatedClock(START) });
const { acts } = actsOver(store, () => writeSync(1, '.'));
await (await begin(acts)).done;
writeSync(1, 'done');
