import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { DerCertificate, Serial } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { CarriedFilter } from '@keystead/core/trust';
import { readCertificate } from '@keystead/core/x509';
import { Journal } from '../journal.ts';
import { KeydState } from '../state.ts';
import { TrustBed } from './trust-bed.ts';

let bed: TrustBed;
let idevid: DerCertificate;
const known: { issuer: string; serial: Serial; revoked: boolean }[] = [];
const pass = (seconds: number) => bed.keyd.clock.set(new Date(bed.keyd.clock.now().getTime() + seconds * 1000));
const refused = (seen: RegExp) => (error: unknown) => {
  assert.ok(error instanceof KeysteadError, String(error));
  assert.equal(error.code, 'trust-bundle.filter-refused', error.message);
  assert.match(`${error.field} ${error.seen}`, seen);
  return true;
};
const ask = async (statements: string[] = []) => {
  const filter = [await bed.filter(known)];
  const made = await bed.keyd.client.signTrustBundle({ statements, filter, requestId: 'test' });
  return { made, carried: CarriedFilter.open(filter[0] ?? new Uint8Array()) };
};

before(async () => {
  bed = await TrustBed.make();
  idevid = (await bed.keyd.provision('KS-0001', await bed.keyd.ticket())).certificate;
  await ask(await bed.approved(await bed.order(1, await bed.content())));
});
after(() => bed.keyd.remove());

test('TEST-KEY-10 a certificate that waits for a slow disk is covered by no filter that was compared meanwhile: keyd signs none until it is there', async (context) => {
  pass(3700);
  let written: () => void = () => {};
  const disk = new Promise<void>((resolve) => {
    written = resolve;
  });
  let began: () => void = () => {};
  const waiting = new Promise<void>((resolve) => {
    began = resolve;
  });
  const { append } = Journal.prototype;
  context.mock.method(Journal.prototype, 'append', async function (this: Journal, draft: Parameters<typeof append>[0]) {
    if (draft.kind === 'certificate') {
      began();
      await disk;
    }
    return append.call(this, draft);
  });
  const enrolled = bed.keyd.enrol('KS-0001', idevid);
  await waiting;
  // Longer than what is kept back for what is under way.
  pass(400);
  await assert.rejects(ask(), refused(/filter\.through .* a request is under way since/));
  written();
  const { certificate, serial, notBefore } = await enrolled;
  known.push({ issuer: 'operational', serial, revoked: false });
  const { carried } = await ask();
  const { issuers } = await bed.keyd.client.trust();
  const issuer = issuers.find(({ id }) => id === 'operational');
  assert.ok(issuer);
  assert.ok(notBefore < new Date(carried.date.getTime() - 420_000), 'it is one that such a filter covers');
  const info = readCertificate(certificate);
  assert.equal(carried.verdict(info, readCertificate(issuer.certificate), bed.keyd.clock.now()), 'good');
});

test('TEST-KEY-10 a revocation that could not be written and is sent again makes the next filter urgent, whatever was compared in between', async () => {
  const state = new KeydState();
  const entry = { serial: '4a01' as Serial, revokedAt: bed.keyd.clock.now() };
  const nothing = { at: 0, endedBy: 0, listedBy: 0, allListedBy: 0 };
  const { undo } = state.list('operational', 1, [entry], nothing);
  const compared = state.revocationCount;
  undo();
  assert.equal(state.isListed('operational', entry.serial), false);
  state.list('operational', 1, [entry], nothing);
  assert.notEqual(state.revocationCount, compared);
});
