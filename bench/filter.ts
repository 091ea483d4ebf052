import { type Serial, type SpkiSha256, toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { buildDelta, buildFilter, CarriedFilter, type FilterSource } from '@keystead/core/trust';
import type { Bench } from './bench.ts';
import { type Figure, figure } from './figure.ts';
import { boundBytes, filterRoomFigures } from './filter-room.ts';
import type { Rig } from './rig.ts';

const COUNT = 1_000_000;
const LOOK_UPS = 100_000;
/** What is newly revoked from one filter to the next. */
const NEWLY = 500;

/** The revocation filter: by itself, and on its way through serve and keyd. */
export const filterFigures = async (bench: Bench, rig: Rig): Promise<Figure[]> => [
  ...alone(bench),
  ...(await filterRoomFigures(bench, rig)),
];

/** The filter for a million certificates with 1% revoked: its size, how long it takes to build, and to ask. */
function alone(bench: Bench): Figure[] {
  const count = bench.quick ? COUNT / 10 : COUNT;
  const revoked = count / 100;
  bench.note(`revocation filter: ${count} certificates, ${revoked} of them revoked`);
  const issuer = toHex(sha256(Buffer.from('bench'))) as SpkiSha256;
  const serials = Array.from({ length: count }, (_, index) => serialOf(index));
  const source = (until: number): FilterSource => {
    const set = new Set(serials.slice(0, until));
    const date = new Date(Date.UTC(2027, 0, 1));
    const isRevoked = (serial: Serial) => set.has(serial);
    const issuers = [{ issuerSpkiSha256: issuer, serials, isRevoked }];
    return { issuers, date, backdateSeconds: 300, expires: new Date(date.getTime() + 30 * 86_400_000) };
  };
  const [filter, built] = timed(() => buildFilter(source(revoked)));
  bench.note(`built in ${built.toFixed(1)} s: ${filter.length} bytes`);
  const [delta, builtDelta] = timed(() => buildDelta(source(revoked + NEWLY), filter));
  bench.note(`delta for ${NEWLY} more in ${builtDelta.toFixed(1)} s: ${delta.length} bytes`);
  const hashes = timed(() => {
    const bytes = new Uint8Array(54);
    for (let n = 0; n < LOOK_UPS; n += 1) sha256(bytes);
  })[1];
  const carried = CarriedFilter.open(filter);
  const lookUps = timed(() => {
    for (let n = 0; n < LOOK_UPS; n += 1) carried.says(issuer, serials[n] as Serial);
  })[1];
  const per = (seconds: number) => (seconds / LOOK_UPS) * 1e6;
  const what = `${count.toLocaleString('en-US')} certificates, ${revoked.toLocaleString('en-US')} revoked`;
  return [
    figure(
      'filter-bytes',
      filter.length,
      'bytes',
      boundBytes(count, revoked),
      `${what}: the information-theoretic bound`,
    ),
    figure('filter-delta-bytes', delta.length, 'bytes', boundBytes(count, NEWLY), `${NEWLY} more revoked: the bound`),
    figure(
      'filter-build',
      built,
      's',
      (count / LOOK_UPS) * hashes,
      `${what}, each checked at the end: one SHA-256 each`,
    ),
    figure('filter-look-up', per(lookUps), 'us', per(hashes), 'one certificate asked: one SHA-256'),
  ];
}

const serialOf = (index: number): Serial => `4${toHex(sha256(Buffer.from(String(index)))).slice(1, 40)}` as Serial;

function timed<T>(work: () => T): [result: T, seconds: number] {
  const started = performance.now();
  return [work(), (performance.now() - started) / 1000];
}
