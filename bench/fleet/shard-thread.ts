import { parentPort, workerData } from 'node:worker_threads';
import { Shard } from './shard.ts';
import type { ShardData, ToShard } from './wire.ts';

/** The thread of one shard: orders and answers come in, requests and what was done go out. */
const port = parentPort;
if (port === null) throw new TypeError('this is for a thread');
const shard = new Shard(workerData as ShardData, (message) => port.postMessage(message));
port.on('message', (message: ToShard) => {
  if ('answers' in message) shard.answered(message.answers);
  // What fails here is a fault of the program, and ends the run.
  else void shard.carryOut(message.order);
});
