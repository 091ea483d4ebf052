import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_BACKOFF, waitAfter } from '../renewal/waits.ts';

const DAY = 86_400;
const HOUR = 3_600;

const troubles = fc.record({
  failures: fc.integer({ min: 1, max: 10_000 }),
  refusals: fc.nat(50),
  leftSeconds: fc.double({ min: -400 * DAY, max: 5_000 * DAY, noNaN: true }),
  isAtLeisure: fc.boolean(),
});

test('TEST-KEY-14 no wait is none, takes more than a quarter of the life that is left, or, in a hurry, more than the longest', () => {
  fc.assert(
    fc.property(troubles, (trouble) => {
      const { seconds, isLong } = waitAfter(trouble, DEFAULT_BACKOFF);
      const { failures, refusals, leftSeconds, isAtLeisure } = trouble;
      assert.ok(seconds >= DEFAULT_BACKOFF.firstSeconds / 2);
      if (leftSeconds > 4 * DEFAULT_BACKOFF.firstSeconds) assert.ok(seconds <= leftSeconds / 4);
      if (refusals > 0) assert.ok(seconds <= DAY && !isLong);
      else if (!isAtLeisure || failures < 10) assert.ok(seconds <= DEFAULT_BACKOFF.mostSeconds && !isLong);
      else assert.ok(seconds <= Math.max(DEFAULT_BACKOFF.mostSeconds, leftSeconds / 16));
    }),
  );
});

test('after ten failures the wait is a part of the life that is left, shorter the less there is', () => {
  const wait = (leftSeconds: number): number =>
    waitAfter({ failures: 10, refusals: 0, leftSeconds, isAtLeisure: true }, DEFAULT_BACKOFF).seconds;
  for (const days of [2, 20, 45]) {
    const most = (days * DAY) / 16;
    const seconds = wait(days * DAY);
    assert.ok(seconds >= most / 2 && seconds <= most, `${seconds} of ${most}`);
  }
  assert.ok(wait(HOUR) <= DEFAULT_BACKOFF.mostSeconds);
  assert.ok(wait(-HOUR) <= DEFAULT_BACKOFF.mostSeconds);
});

/** How often most is renewed in an hour after an outage, as a multiple of the mean: of devices that become due evenly. */
function peakAfter(outage: number): number {
  const [devices, span] = [60_000, outage + 120 * HOUR];
  const hours = Array.from({ length: 120 }, () => 0);
  for (let device = 0; device < devices; device += 1) {
    const due = (span * device) / devices;
    // Renewed between 50 % and 75 % of 90 days.
    const end = due + (22.5 + 22.5 * ((device * 0.618) % 1)) * DAY;
    let at = due;
    for (let failures = 1; at < outage; failures += 1)
      at += waitAfter({ failures, refusals: 0, leftSeconds: end - at, isAtLeisure: true }, DEFAULT_BACKOFF).seconds;
    const hour = Math.floor((at - outage) / HOUR);
    if (hour < hours.length) hours[hour] = (hours[hour] ?? 0) + 1;
  }
  return Math.max(...hours) / (devices / (span / HOUR));
}

test('TEST-KEY-14 after an outage of six hours no hour has more than one and a half times the mean of renewals', () => {
  const peak = peakAfter(6 * HOUR);
  assert.ok(peak <= 1.5, `${peak}`);
});
