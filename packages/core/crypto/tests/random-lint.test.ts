import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lintText } from '../../../../tools/lint/sources.ts';

const found = (file: string, text: string): string[] => lintText(file, text);
const PROGRAM = 'packages/keystead/keyd/state.ts';
const TEST = 'packages/keystead/keyd/tests/state.test.ts';

test('TEST-KEY-01: a second random source is noticed wherever it stands, in a test too', () => {
  const sources = [
    'const x = Math.random();',
    'const x = Math["random"]();',
    'const { random } = Math;',
    'const id = crypto.randomUUID();',
    "import { randomUUID } from 'node:crypto';",
    "import { randomInt } from 'crypto';",
    "import { randomFill } from 'node:crypto';",
    'randomFillSync(bytes);',
    'globalThis.crypto.getRandomValues(bytes);',
    "import { getRandomValues } from 'node:crypto';",
    'crypto.pseudoRandomBytes(4);',
    "import { randomBytes } from 'node:crypto';",
    "import {\n  createHash,\n  randomBytes as bytes,\n} from 'node:crypto';",
    "import { randomBytes } from 'crypto';",
    "import { randomBytes } from '@noble/hashes/utils.js';",
    "import { sha256, randomBytes } from '@noble/post-quantum/utils.js';",
    'const x = nodeCrypto.randomBytes(4);',
    'const x = utils?.randomBytes(4);',
    "const x = nodeCrypto['randomBytes'](4);",
    'const key = p256.utils.randomSecretKey();',
    'const pair = ml_kem768.keygen();',
    "readFileSync('/dev/urandom');",
  ];
  for (const text of sources) {
    for (const file of [PROGRAM, TEST, 'tests/story/x.test.ts', 'bench/main.ts', 'packages/core/x509/serial.ts']) {
      assert.equal(found(file, text).length > 0, true, `${file}: ${text}`);
      assert.match(found(file, text)[0] ?? '', /: randomness comes only|node:crypto is imported by name/);
    }
  }
});

test('TEST-KEY-01: keys are generated in core/crypto only; a test may make some', () => {
  const sources = [
    "import { generateKeyPairSync } from 'node:crypto';",
    "import { createHash, generateKeyPair } from 'crypto';",
    "import {\n  type KeyObject,\n  generateKeySync,\n} from 'node:crypto';",
    "import { generatePrimeSync } from 'node:crypto';",
    "import { createECDH } from 'node:crypto';",
    "import { createDiffieHellman } from 'node:crypto';",
    "import { encapsulate } from 'node:crypto';",
    "import crypto from 'node:crypto';",
    "import crypto, { type KeyObject } from 'node:crypto';",
    "import * as everything from 'node:crypto';",
    "const crypto = require('crypto');",
    "const crypto = await import('node:crypto');",
    "process.getBuiltinModule('crypto')",
    "import { webcrypto } from 'node:crypto';",
    'await crypto.subtle.generateKey(algorithm, true, usages);',
    'globalThis.crypto.subtle',
  ];
  for (const text of sources) {
    assert.equal(found(PROGRAM, text).length > 0, true, text);
    assert.deepEqual(found(TEST, text), [], text);
    assert.deepEqual(found('packages/core/crypto/generate.ts', text), [], text);
  }
});

test('what is no random source is not taken for one', () => {
  const innocent = [
    "import { randomBytes } from '@keystead/core/crypto';",
    "import { randomBytes } from '../crypto/index.ts';",
    "import { createHash, type KeyObject, X509Certificate } from 'node:crypto';",
    "import type { KeyObject } from 'node:crypto';",
    'const nonce = randomBytes(32);',
    'session.generateKeyPair(mechanism, publicTemplate, privateTemplate);',
    "const { publicKey } = await token.generateKeyPair('EC');",
    "await keystore.generate('issuing', 'P-256', 'issues');",
    'const randomness = 1; const strandom = 2;',
  ];
  for (const text of innocent) assert.deepEqual(found(PROGRAM, text), [], text);
});

test('a finding tells the line at which it begins', () => {
  const text = "import assert from 'node:assert';\n\nimport {\n  randomBytes,\n} from 'node:crypto';\n";
  assert.deepEqual(found(PROGRAM, text), [`${PROGRAM}:3: randomness comes only from core/crypto randomBytes`]);
});

test('no private key in PEM stands in the sources, also when its lines are broken', () => {
  const [begin, body] = ['-----BEGIN PRIVATE KEY-----', 'A'.repeat(64)];
  assert.equal(found(TEST, `const key = \`${begin}\n${body}\n\`;`).length, 1);
  assert.deepEqual(found(TEST, `assert.match(pem, /${begin}/);`), []);
});
