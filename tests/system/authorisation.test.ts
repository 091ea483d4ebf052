import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { keystead } from '../interop/foreign.ts';
import { Deployment } from './deployment.ts';

let deployment: Deployment;
before(async () => {
  deployment = await Deployment.start();
});
after(async () => {
  assert.deepEqual(deployment.deaths, []);
  await deployment.stop();
});

const authorisation = (...args: string[]) => keystead(['authorisation', ...args, '--data', deployment.layout.data]);

test('TEST-KEY-12 an operator creates an authorisation; its secret is printed once and stands nowhere', async () => {
  const made = await authorisation(
    'create',
    '--id',
    'gw-1',
    '--host',
    'gw1.plant.example',
    '--way',
    'est',
    'acme',
    '--json',
  );
  assert.equal(made.status, 0, made.stderr);
  const { id, secret, state } = JSON.parse(made.stdout) as { id: string; secret: string; state: string };
  assert.equal(id, 'gw-1');
  assert.equal(state, 'usable');
  assert.match(secret, /^[A-Za-z0-9_-]{43}$/);
  const listed = await authorisation('list');
  assert.match(listed.stdout, /gw-1 +usable +tls-server +gw1\.plant\.example +1 /);
  assert.doesNotMatch(listed.stdout, new RegExp(secret));
  const database = readFileSync(deployment.layout.database);
  assert.equal(database.includes(secret) || database.includes(Buffer.from(secret, 'base64url')), false);
});

test('what an authorisation may not say is refused with its field, and a line operator signs none', async () => {
  const wide = await authorisation('create', '--host', '*.example');
  assert.equal(wide.status, 3);
  assert.match(wide.stderr, /hosts\[0\].*authorisation\.malformed/);
  const both = await authorisation('create', '--host', 'a.example', '--devices', 'KS-0001..KS-0002');
  assert.equal(both.status, 3);
  assert.match(both.stderr, /hosts.*deviceIds.*authorisation\.malformed/);
  const lin = await authorisation('create', '--host', 'gw1.plant.example', '--as', 'line-1');
  assert.equal(lin.status, 3, lin.stdout);
  assert.match(lin.stderr, /access\.forbidden|authorisation\.signer-forbidden/);
  const nobody = await authorisation('create', '--host', 'gw1.plant.example', '--as', 'nobody');
  assert.equal(nobody.status, 3);
  assert.match(nobody.stderr, /--as.*operator\.no-key-here/);
  const range = await authorisation('create', '--devices', 'KS-1..KS-0002');
  assert.equal(range.status, 2);
});

test('an authorisation is withdrawn once and for all', async () => {
  assert.equal((await authorisation('withdraw', 'gw-1')).status, 0);
  assert.equal((await authorisation('withdraw', 'gw-1')).status, 0, 'to withdraw again changes nothing');
  const unknown = await authorisation('withdraw', 'gw-2');
  assert.equal(unknown.status, 3);
  assert.match(unknown.stderr, /authorisation\.unknown/);
  assert.match((await authorisation('list')).stdout, /gw-1 +withdrawn/);
  const requests = await authorisation('requests', '--json');
  assert.deepEqual(JSON.parse(requests.stdout), []);
});
