import assert from 'node:assert/strict';
import { test } from 'node:test';
import { claimDifference, FIRMWARE_FORMATS, firmwareFormat, imageOf } from '../index.ts';

const SAID = { product: 'PUMP', version: '1.2.0', securityCounter: 5 };
const NONE = { product: null, version: null, securityCounter: null };

test('a counter that people say and the image has not differs, where its format has a place for one', () => {
  const image = { ...NONE, version: '1.2.0' };
  assert.deepEqual(claimDifference(firmwareFormat('mcuboot'), image, SAID), {
    field: 'securityCounter',
    image: null,
    said: 5,
  });
  assert.equal(claimDifference(firmwareFormat('mcuboot'), image, { ...SAID, securityCounter: null }), undefined);
  assert.equal(claimDifference(firmwareFormat('cms'), NONE, SAID), undefined);
});

test('what an image says differs from what is said of it, or from nothing, by the first such claim', () => {
  const format = firmwareFormat('tuf');
  assert.equal(claimDifference(format, SAID, SAID), undefined);
  assert.equal(claimDifference(format, { ...SAID, product: 'LAMP' }, SAID)?.field, 'product');
  assert.equal(claimDifference(format, { ...SAID, version: '1.2.1' }, SAID)?.field, 'version');
  assert.equal(claimDifference(format, SAID, { ...SAID, securityCounter: null })?.field, 'securityCounter');
});

test('nothing is put together without a signature, by one error whatever the format', () => {
  for (const name of FIRMWARE_FORMATS) {
    const put = () => firmwareFormat(name).assemble(imageOf(new Uint8Array(64)), new Uint8Array(64), []);
    assert.throws(put, { code: 'firmware.unsigned', field: 'signatures', seen: `none for ${name}` });
  }
});
