import { test } from 'node:test';
import { execFileSync } from 'node:child_process';
import { factory } from 'keystead/start/steps/3-factory.ts';
import { Deployment } from './deployment.ts';
import { keystead } from '../interop/foreign.ts';
test('try', async () => {
  const d = await Deployment.start();
  try {
    await factory(d.world);
    const data = ['--data', d.layout.data];
    for (const args of [['keys', ...data], ['keys', 'list', ...data, '--purpose', 'device-idevid', '--limit', '2'], ['keys', 'list', '--offline', ...data, '--state', 'destroyed'], ['keys','warn', ...data], ['keys','suspend','ca-server','--reason','inquiry',...data], ['keys','show','ca-server',...data],['keys','warn', ...data],['keys','resume','ca-server','--reason','done',...data],['keys','show','ca-server',...data], ['keys','explain',...data], ['verify', ...data], ['keys','show','00',...data]]) {
      const r = await keystead(args);
      console.log(args.join(' '), '=>', r.status, '\n' + r.stdout + r.stderr);
    }
    console.log(d.log('serve').split('\n').filter((l) => !l.includes('"level":30')).join('\n'));
  } finally { await d.stop(); }
});
