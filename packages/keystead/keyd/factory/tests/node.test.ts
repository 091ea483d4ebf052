import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { formatName, readCertificate } from '@keystead/core/x509';
import { NodeBed } from './node-bed.ts';

let bed: NodeBed;
before(async () => {
  bed = await NodeBed.make();
});
after(() => bed.remove());

test('a node provisions', async () => {
  const { certificate } = await bed.provision('B1-0001', await bed.ticket());
  const info = readCertificate(certificate);
  assert.equal(formatName(info.subject), 'x');
});
