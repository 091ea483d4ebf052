import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { ownLoad, requireAnswers } from './own.ts';
import type { LoadPlan, LoadResult } from './plan.ts';

/** Load on a plain HTTP server: each connection goes round and round through the same bodies. */
export interface PlainLoad extends Pick<LoadPlan, 'host' | 'port' | 'method' | 'path' | 'headers'> {
  /** None for GET. */
  readonly bodies: readonly Uint8Array[];
  readonly connections: number;
  readonly seconds: number;
}

export const hasWrk = (): boolean => spawnSync('wrk', ['--version'], { stdio: 'ignore' }).error === undefined;

/** What makes plain load in this run: the same for both sides of every ratio. */
export type Generator = 'wrk' | 'own';

export function plainLoad(load: PlainLoad, generator: Generator): Promise<LoadResult> {
  if (generator === 'wrk') return wrkLoad(load);
  const bodies = load.bodies.map((body) => Buffer.from(body).toString('base64'));
  const { connections, ...plan } = load;
  return ownLoad({ ...plan, connections: Array.from({ length: connections }, () => ({ bodies })) });
}

/** Reads the bodies (hex, one a line), and ends with the figures as JSON. */
const SCRIPT = `
local method, path, headers, file = METHOD, PATH, HEADERS, BODIES
local requests, at = {}, 0
function init(args)
  for line in io.lines(file) do
    local body = line:gsub('..', function(pair) return string.char(tonumber(pair, 16)) end)
    requests[#requests + 1] = wrk.format(method, path, headers, body)
  end
  if #requests == 0 then requests[1] = wrk.format(method, path, headers) end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
function done(summary, latency, _)
  local e = summary.errors
  io.write(string.format('\\nRESULT {"count":%d,"failures":%d,"micros":%d,"p50":%f,"p99":%f}\\n', summary.requests,
    e.connect + e.read + e.write + e.timeout + e.status, summary.duration,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
`;

async function wrkLoad(load: PlainLoad): Promise<LoadResult> {
  const folder = mkdtempSync(join(tmpdir(), 'keystead-load-'));
  try {
    const bodies = join(folder, 'bodies');
    writeFileSync(bodies, load.bodies.map((body) => `${Buffer.from(body).toString('hex')}\n`).join(''));
    const headers = Object.entries(load.headers).map(([name, value]) => `[${lua(name)}] = ${lua(value)}`);
    const script = join(folder, 'load.lua');
    const filled = SCRIPT.replace('METHOD', lua(load.method))
      .replace('PATH', lua(load.path))
      .replace('HEADERS', `{ ${headers.join(', ')} }`)
      .replace('BODIES', lua(bodies));
    writeFileSync(script, filled);
    const child = spawn(
      'wrk',
      ['-t1', `-c${load.connections}`, `-d${load.seconds}s`, '-s', script, `http://${load.host}:${load.port}`],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const output = await text(child.stdout);
    const found = /^RESULT (.*)$/m.exec(output)?.[1];
    if (found === undefined) throw new Error(`wrk ended without a result: ${output}`);
    const { count, failures, micros, p50, p99 } = JSON.parse(found);
    const seconds = micros / 1e6;
    return requireAnswers(load, {
      answers: count - failures,
      failures,
      failure: 'wrk does not say',
      seconds,
      perSecond: count / seconds,
      p50Ms: p50,
      p99Ms: p99,
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A string of Lua: JSON's escapes of what stands in these requests are Lua's too. */
const lua = (value: string): string => JSON.stringify(value);
