import { text } from 'node:stream/consumers';
import { Connection } from './connection.ts';
import { type ConnectionPlan, type LoadPlan, resultOf } from './plan.ts';

// The load generator, a process of its own: a plan as JSON on standard input, the result as JSON on standard output.
const plan: LoadPlan = JSON.parse(await text(process.stdin));
const connections = await Promise.all(
  plan.connections.map(async (own) => ({ connection: await Connection.open(plan, own), requests: requestsOf(own) })),
);
const latencies: number[] = [];
let failures = 0;
let failure: string | undefined;
const started = performance.now();
const until = plan.seconds === undefined ? Number.POSITIVE_INFINITY : started + plan.seconds * 1000;
await Promise.all(connections.map(({ connection, requests }) => drive(connection, requests)));
const seconds = (performance.now() - started) / 1000;
for (const { connection } of connections) connection.close();
process.stdout.write(`${JSON.stringify(resultOf(latencies, seconds, failures, failure))}\n`);

async function drive(connection: Connection, requests: readonly Buffer[]): Promise<void> {
  const rounds = plan.seconds === undefined ? 1 : Number.POSITIVE_INFINITY;
  try {
    for (let round = 0; round < rounds; round += 1) {
      for (const request of requests) {
        const sent = performance.now();
        if (sent > until) return;
        const { status, text: seen } = await connection.send(request);
        if (status === 200) {
          latencies.push(performance.now() - sent);
        } else {
          failures += 1;
          failure ??= seen;
        }
      }
    }
  } catch (error) {
    failures += 1;
    failure ??= error instanceof Error ? error.message : String(error);
  }
}

/** The whole requests, made before the clock runs. */
function requestsOf(own: ConnectionPlan): Buffer[] {
  const { method, path, host, port, headers } = plan;
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const start = `${method} ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\n${lines.join('')}`;
  if (method === 'GET') return [Buffer.from(`${start}\r\n`, 'latin1')];
  return own.bodies.map((body) => {
    const bytes = Buffer.from(body, 'base64');
    return Buffer.concat([Buffer.from(`${start}Content-Length: ${bytes.length}\r\n\r\n`, 'latin1'), bytes]);
  });
}
