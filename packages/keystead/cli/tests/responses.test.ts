import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { KeysteadError } from '@keystead/core/errors';
import { collectResponses } from '../responses.ts';

const dir = mkdtempSync(join(tmpdir(), 'keystead-responses-'));
after(() => rmSync(dir, { recursive: true, force: true }));

/** A session that two custodians answer, and that keeps what it was given. */
class Session {
  readonly given: string[] = [];
  get missing(): number {
    return 2 - new Set(this.given).size;
  }
  async accept(text: string): Promise<string> {
    if (this.given.includes(text)) throw new KeysteadError('backup.share-repeated', { field: 'response', seen: text });
    this.given.push(text);
    return text;
  }
}

test('a response whose file is not finished yet is waited for, and is not refused as a second one when it is', async () => {
  const unfinished = join(dir, '.alice.response.0123456789abcdef.tmp');
  writeFileSync(unfinished, 'of alice');
  writeFileSync(join(dir, 'pki.statement'), 'no response');
  const session = new Session();
  const refused: string[] = [];
  const tell = { accepted: () => {}, refused: (file: string) => void refused.push(file) };
  await collectResponses(session, dir, 0, tell);
  assert.deepEqual(session.given, []);
  renameSync(unfinished, join(dir, 'alice.response'));
  writeFileSync(join(dir, 'bob.response'), 'of bob');
  await collectResponses(session, dir, 0, tell);
  assert.deepEqual([session.given, refused], [['of alice', 'of bob'], []]);
});
