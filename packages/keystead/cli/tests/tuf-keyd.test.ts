import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { RestClient } from '../../client/rest.ts';
import { fetchStamps } from '../sign-files.ts';
import { keydRepositories } from '../tuf-keyd.ts';

const folder = mkdtempSync(join(tmpdir(), 'keystead-tuf-answers-'));
after(() => rmSync(folder, { recursive: true }));

/** A service that was taken over: it answers what it likes. */
const lying = (answer: unknown) => ({ get: async () => answer }) as Pick<RestClient, 'get'> as RestClient;
const repositoryOf = (id: unknown, repository: unknown = 'pump') => ({
  repositories: [{ repository, keys: [{ id, publicKey: 'its own', refused: null }], rooted: false, root: null }],
});

test('an id that is no name of a file is none, whatever a service that was taken over says', async () => {
  const { repositories } = await keydRepositories(lying(repositoryOf('pump-online-1')));
  assert.equal(repositories[0]?.keys[0]?.id, 'pump-online-1');
  for (const id of ['../trust/root', '/etc/root', '..', '', 7]) {
    await assert.rejects(keydRepositories(lying(repositoryOf(id))), { code: 'service.bad-answer' });
    await assert.rejects(keydRepositories(lying(repositoryOf('a', id))), { code: 'service.bad-answer' });
    const stamp = { key: id, signature: 'AA==', token: 'MAA=' };
    const stamps = fetchStamps(lying({ timestamps: [stamp, stamp] }), '/timestamps', join(folder, 'out'));
    await assert.rejects(stamps, { code: 'service.bad-answer' });
  }
  assert.deepEqual(readdirSync(folder), []);
});
