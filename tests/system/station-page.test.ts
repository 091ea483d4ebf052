import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ERRORS, type ErrorCode, KeysteadError } from '@keystead/core/errors';
import { OUTCOMES, outcomeOfError, outcomesTable } from 'keystead/provisioning/index.ts';
import { isKnownError, namedErrors } from 'keystead/provisioning/station/outcomes.ts';

test('docs/station.md has the table of outcomes as the program has it', () => {
  const page = readFileSync(new URL('../../docs/station.md', import.meta.url), 'utf8');
  const [, printed] = /<!-- outcomes[^>]*-->\n([\s\S]*?)<!-- end of outcomes -->/.exec(page) ?? [];
  assert.equal(printed, outcomesTable());
});

/** Codes that rigs have been told of: a row may be added here, and none changed. */
const PUBLISHED =
  '0 done, 1 done-before, 10 id-unreadable, 11 id-out-of-range, 12 id-reused, 13 key-of-another, 14 request-of-another, 15 request-broken, 16 key-refused, 17 attestation-refused, 18 device-blocked, 19 way-unknown, 20 rig-failed, 21 unit-unknown, 22 install-failed, 23 chip-refused, 24 injection-refused, 40 ticket-expired, 41 ticket-early, 42 ticket-forged, 43 quota-reached, 44 batch-unknown, 45 batch-revoked, 46 wrong-line, 47 wrong-station, 48 batch-ambiguous, 49 way-forbidden, 50 wrong-factory, 60 sign-on-needed, 61 sign-on-over, 62 sign-on-refused, 63 sign-on-elsewhere, 64 station-refused, 65 clock-wrong, 66 rig-speaks-wrongly, 80 busy, 81 key-service-away, 82 hsm-away, 83 disk-full, 84 node-clock-wrong, 85 node-away, 86 try-again, 87 node-stopped, 88 count-wrong, 98 refused, 99 defect';

test('no code of the rig has changed its meaning', () => {
  assert.equal(OUTCOMES.map(({ code, name }) => `${code} ${name}`).join(', '), PUBLISHED);
});

test('what is wrong with the node is no fail of the unit, and a batch that is elsewhere is not called forged', () => {
  const of = (code: ErrorCode): string => {
    const { result, name } = outcomeOfError(new KeysteadError(code));
    return `${result} ${name}`;
  };
  for (const code of ['keyd.journal-rolled-back', 'keyd.counter-replaced', 'keyd.counter-missing'] as const)
    assert.equal(of(code), 'retry count-wrong');
  assert.equal(of('factory.closed'), 'retry node-stopped');
  assert.equal(of('ticket.other-factory'), 'fail wrong-factory');
  assert.equal(of('ticket.key-origin-forbidden'), 'fail way-forbidden');
  assert.equal(of('device.quarantined'), 'fail device-blocked');
  assert.equal(of('ticket.signature-invalid'), 'fail ticket-forged');
});

test('every error has an outcome, none that may pass is a fail, and each error that the table names is one', () => {
  for (const name of namedErrors()) assert.ok(isKnownError(name), name);
  for (const code of Object.keys(ERRORS) as ErrorCode[]) {
    const { result } = outcomeOfError(new KeysteadError(code));
    if (ERRORS[code].kind === 'unavailable') assert.equal(result, 'retry', code);
    assert.notEqual(result, 'pass', code);
  }
});
