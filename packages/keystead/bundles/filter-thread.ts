import { parentPort, workerData } from 'node:worker_threads';
import { buildOf, type FilterWork } from './filter-work.ts';

const work: FilterWork = workerData;
parentPort?.postMessage(buildOf(work));
