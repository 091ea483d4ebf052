import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { sqliteDialect } from '../dialect.ts';
import { migrate } from '../migrate.ts';
import { MIGRATIONS } from '../migrations.ts';
import { StoreBed } from './bed.ts';

test('devices keep the way by which they came through the migration, the new ways can be written, and no others', (t) => {
  const bed = new StoreBed();
  t.after(() => bed.remove());
  mkdirSync(dirname(bed.path), { recursive: true });
  const database = new DatabaseSync(bed.path);
  t.after(() => database.close());
  const upTo = (last: number) => MIGRATIONS.filter(({ version }) => version <= last);
  migrate(database, sqliteDialect(), bed.clock, upTo(14));
  database.exec("insert into ticket values ('b1', '{}', 'ada', 'PUMP', 9, 0, 9, 'lin', 1)");
  const columns = '(device_id, state, model, ticket_id, idevid_serial, created_at, changed_at, key_origin)';
  database.exec(
    `insert into device ${columns} values ('KS-1', 'provisioned', 'P', 'b1', x'01', 1, 1, 'tpm2-attested')`,
  );
  migrate(database, sqliteDialect(), bed.clock, upTo(15));
  const { key_origin: origin } = database.prepare('select key_origin from device').get() ?? {};
  assert.equal(origin, 'tpm2-attested');
  for (const way of ['secure-element', 'injected']) database.exec(`update device set key_origin = '${way}'`);
  assert.throws(() => database.exec("update device set key_origin = 'HSM'"), /CHECK/);
});
