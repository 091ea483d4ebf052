import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { findingsOf } from './findings.ts';
import { DEFAULT_PLAN } from './plan.ts';
import { plotPage } from './plot.ts';
import { readRun, saveRun } from './record.ts';
import { formatFindings, isMet } from './report.ts';
import { type FleetRun, simulate } from './simulation.ts';

const USAGE = `npm run fleet -- [--devices n] [--lifetimes n] [--seed n] [--rotations n] [--eventful n]
                        [--factory-minutes n] [--minutes n] [--threads n] [--slice-minutes n]
                        [--html file] [--save file] [--from file] [--json]
  A fleet of devices on a simulated clock, through the server's real rooms: renewals, new CA keys, the compromise of a CA,
  power cuts, times away and wrong clocks.

  --devices    how many (${DEFAULT_PLAN.devices})
  --lifetimes  how many LDevIDs each has, one after the other (${DEFAULT_PLAN.lifetimes})
  --seed       the same one brings the same weather (${DEFAULT_PLAN.seed})
  --rotations  new keys of the operational CA; the last one after its compromise (${DEFAULT_PLAN.rotations})
  --eventful   all that happens to the server happens in so many of the first lifetimes, 0.5 for half of one (all of them)
  --factory-minutes  goes on after so many minutes with as many devices as there are by then
  --minutes    ends the run after so many minutes, at the point of its clock to which it has come; so do SIGTERM and SIGINT
  --threads    threads on which the devices live; by default one less than there are processors
  --slice-minutes  what is due within so many minutes is done together at their end (${DEFAULT_PLAN.sliceSeconds / 60})
  --html       writes a page with the table and plots
  --save       writes what was counted, as JSON
  --from       tells of a run that was saved, and runs nothing
  --json       the findings as JSON on standard output

  examples: npm run fleet -- --devices 200 --lifetimes 3
            npm run fleet -- --devices 100000 --html fleet.html
  exit codes: 0 the goals are met, 1 they are not, 2 usage, 3 it was stopped before its end, and they were met so far,
              70 it failed: the error, and what was counted until then
`;
let hasFailed = false;

const { values } = parseArgs({
  options: {
    devices: { type: 'string', default: String(DEFAULT_PLAN.devices) },
    lifetimes: { type: 'string', default: String(DEFAULT_PLAN.lifetimes) },
    seed: { type: 'string', default: String(DEFAULT_PLAN.seed) },
    rotations: { type: 'string', default: String(DEFAULT_PLAN.rotations) },
    eventful: { type: 'string', default: '100' },
    minutes: { type: 'string', default: '10000' },
    'factory-minutes': { type: 'string', default: '10000' },
    threads: { type: 'string', default: String(Math.max(1, availableParallelism() - 1)) },
    'slice-minutes': { type: 'string', default: String(DEFAULT_PLAN.sliceSeconds / 60) },
    html: { type: 'string' },
    save: { type: 'string' },
    from: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const [
  devices = 0,
  lifetimes = 0,
  seed = 0,
  rotations = 0,
  eventful = 0,
  minutes = 0,
  threads = 0,
  factoryMinutes = 0,
  sliceMinutes = 0,
] = [
  values.devices,
  values.lifetimes,
  values.seed,
  values.rotations,
  values.eventful,
  values.minutes,
  values.threads,
  values['factory-minutes'],
  values['slice-minutes'],
].map(Number);
const bad = [
  ['devices', devices, 1, 1_000_000],
  ['lifetimes', lifetimes, 1, 100],
  ['seed', seed, 0, 2 ** 32 - 1],
  ['rotations', rotations, 0, 9],
  ['minutes', minutes, 1, 10_000],
  ['threads', threads, 1, 64],
  ['factory-minutes', factoryMinutes, 1, 10_000],
  ['slice-minutes', sliceMinutes, 1, 60],
  // Parts of a lifetime as well: in hundredths it is a whole number.
  ['eventful in hundredths', Math.round(eventful * 100), 1, 10_000],
].find(
  ([, value, least, most]) =>
    !(Number.isInteger(value) && Number(value) >= Number(least) && Number(value) <= Number(most)),
);
if (values.help || bad !== undefined) {
  process.stderr.write(
    bad === undefined ? USAGE : `fleet: --${bad[0]} must be a whole number from ${bad[2]} to ${bad[3]}\n${USAGE}`,
  );
  process.exit(values.help ? 0 : 2);
}

const run = values.from === undefined ? await live() : readRun(readFileSync(values.from, 'utf8'));
if (values.save !== undefined) writeFileSync(values.save, saveRun(run));
const found = findingsOf(run);
if (values.html !== undefined) writeFileSync(values.html, plotPage(run, found));
process.stdout.write(values.json ? `${JSON.stringify(found, null, 2)}\n` : `${formatFindings(found)}\n`);
process.exitCode = hasFailed ? 70 : !isMet(found) ? 1 : found.days < found.plannedDays ? 3 : 0;

function live(): Promise<FleetRun> {
  const [stop, enough] = [new AbortController(), new AbortController()];
  // The timers alone keep no process alive.
  setTimeout(() => stop.abort(), minutes * 60_000).unref();
  setTimeout(() => enough.abort(), factoryMinutes * 60_000).unref();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort());
  const started = performance.now();
  let told = 0;
  return simulate(
    { ...DEFAULT_PLAN, devices, lifetimes, seed, rotations, eventful, sliceSeconds: sliceMinutes * 60 },
    {
      threads,
      stop: stop.signal,
      enough: enough.signal,
      failed: (error) => {
        hasFailed = true;
        process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
      },
      progress: (what, done, all, certificates) => {
        const now = performance.now();
        if (now - told < 1_000 && done < all) return;
        told = now;
        const seconds = ((now - started) / 1000).toFixed(1).padStart(8);
        process.stderr.write(`${seconds} s  ${what}: ${done} of ${all}, LDevIDs: ${certificates}\n`);
      },
    },
  );
}
