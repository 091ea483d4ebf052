import { Worker } from 'node:worker_threads';
import type { FleetServer } from './server.ts';
import type { Counts } from './tally.ts';
import type { Answer, FromShard, Order, ShardData, ToShard } from './wire.ts';

/** Old space of one thread, MiB: 100,000 devices on one take less. */
const MOST_HEAP_MIB = 4_096;

/** What a thread needs of the server. */
type Answers = Pick<FleetServer, 'answer'>;

type Done = Extract<FromShard, { done: unknown }>['done'];

/** The threads on which the devices live. All carry the same order out, and all are done when it is. */
export class Shards {
  readonly #threads: Thread[];

  constructor(data: Omit<ShardData, 'shard'>, server: Answers, made: (devices: number) => void) {
    const counts = Array.from({ length: data.shards }, () => 0);
    this.#threads = counts.map(
      (_, shard) =>
        new Thread({ ...data, shard }, server, (devices) => {
          counts[shard] = devices;
          made(counts.reduce((sum, one) => sum + one, 0));
        }),
    );
  }

  /** Resolves when all have done it. @throws what a thread ended with. */
  async carryOut(order: Order): Promise<{ next: number; certificates: number; counts: readonly Counts[] }> {
    const done = await Promise.all(this.#threads.map((thread) => thread.carryOut(order)));
    return {
      next: Math.min(...done.map(({ next }) => next ?? Number.POSITIVE_INFINITY)),
      certificates: done.reduce((sum, { certificates }) => sum + certificates, 0),
      counts: done.flatMap(({ counts }) => counts ?? []),
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.close()));
  }
}

class Thread {
  readonly #worker: Worker;
  readonly #server: Answers;
  readonly #made: (devices: number) => void;
  readonly #answers: { to: number; answer: Answer }[] = [];
  #done: ((done: Done) => void) | undefined;
  #failed: ((error: Error) => void) | undefined;
  /** What the thread ended with: it carries nothing out any more. */
  #ended: Error | undefined;

  constructor(data: ShardData, server: Answers, made: (devices: number) => void) {
    this.#server = server;
    this.#made = made;
    this.#worker = new Worker(new URL('./shard-thread.ts', import.meta.url), {
      workerData: data,
      resourceLimits: { maxOldGenerationSizeMb: MOST_HEAP_MIB },
    });
    this.#worker.on('message', (message: FromShard) => this.#heard(message));
    this.#worker.on('error', (error) => this.#end(error instanceof Error ? error : new Error(String(error))));
    this.#worker.on('exit', (code) => this.#end(new Error(`the thread of shard ${data.shard} ended with ${code}`)));
  }

  carryOut(order: Order): Promise<Done> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) return reject(this.#ended);
      [this.#done, this.#failed] = [resolve, reject];
      this.#send({ order });
    });
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  /** It may end between two orders, when nobody waits: the next order fails with the same. */
  #end(error: Error): void {
    this.#ended ??= error;
    this.#failed?.(this.#ended);
  }

  #heard(message: FromShard): void {
    if ('done' in message) this.#done?.(message.done);
    else if ('made' in message) this.#made(message.made);
    else
      for (const { id, ask } of message.asks) void this.#server.answer(ask).then((answer) => this.#answer(id, answer));
  }

  /** Answers of one turn of the event loop travel together. */
  #answer(to: number, answer: Answer): void {
    if (this.#answers.length === 0) setImmediate(() => this.#send({ answers: this.#answers.splice(0) }));
    this.#answers.push({ to, answer });
  }

  #send(message: ToShard): void {
    this.#worker.postMessage(message);
  }
}
