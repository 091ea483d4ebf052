import { systemClock } from '../../clock/system.ts';
import {
  type MonotonicCounter,
  openCounter,
  openKeystore,
  readCounterConfig,
  readKeystoreConfig,
} from '../../keystore/index.ts';
import { CountedJournal, countPassphrase, EndingCounter, type EndPoint } from './counted-journal.ts';

/**
 * Takes units on the counter of a directory, told on standard output one by one as they are covered, and kills itself at
 * a point of the third: `killed-count.ts DIR POINT`.
 */
const [dir = '', point = ''] = process.argv.slice(2);
using secret = countPassphrase();
const config = readCounterConfig(dir);
if (config === undefined) throw new Error('no counter.json');
const keystore =
  config.make === 'pkcs11' ? await openKeystore(readKeystoreConfig(dir), secret, systemClock) : undefined;
const inner: MonotonicCounter = await openCounter(config, keystore as never, secret);
let steps = 0;
const counter = new EndingCounter(inner, (at: EndPoint) => {
  if (at === 'before the counter') steps += 1;
  if (steps === 3 && at === point) process.kill(process.pid, 'SIGKILL');
});
const opened = await CountedJournal.open(`${dir}/journal`, counter, config.base);
if (point === 'before the journal') {
  const next = opened.count.next.bind(opened.count);
  let groups = 0;
  opened.count.next = async () => {
    groups += 1;
    if (groups === 3) process.kill(process.pid, 'SIGKILL');
    return next();
  };
}
for (let n = 0; n < 4; n += 1) process.stdout.write(`${await opened.take()}\n`);
await opened.close();
await inner.close();
keystore?.close();
