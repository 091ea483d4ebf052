import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crlText, withheldTexts } from '../on-crl.ts';

test('TEST-KEY-23 who revokes is told that keyd withholds it from the CRL, and not that keyd is away', () => {
  assert.equal(crlText({ onCrl: true, withheld: 0 }), 'its CRL is out');
  assert.match(crlText({ onCrl: false, withheld: 0 }), /as soon as keyd is back/);
  const text = crlText({ onCrl: false, withheld: 3 });
  assert.match(text, /keyd withholds 3.*revocation\.alone.*--propose/);
  assert.doesNotMatch(text, /keyd is back/);
  assert.deepEqual(withheldTexts({}), []);
  const [line] = withheldTexts({ operational: 3 });
  assert.match(line ?? '', /^operational: keyd withholds 3 from the CRL/);
});
