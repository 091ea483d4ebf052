import { spawnSync } from 'node:child_process';
import { checkModuli, type KnownGroup } from '@keystead/core/x509';
import { gcd } from '../packages/core/x509/goodkey/gcd.ts';
import { soundModuli } from '../packages/core/x509/tests/distinct-primes.ts';
import type { Bench } from './bench.ts';
import { type Figure, figure } from './figure.ts';

const BITS = 2048;
/** As serve compares them. */
const GROUP = 16_384;
/** A whole group and some of the next one: what a run of all parts has time for. */
const MODULI = GROUP + 2_048;
/** How many keys come together in the figure of new ones. */
const FRESH = 16;

/**
 * Shared factors among RSA-2048 moduli: the whole fleet compared with itself, against what gcd of every pair by itself
 * would do; a few new keys against all; and one multiplication of the largest numbers in it against GMP's.
 */
export async function moduliFigures(bench: Bench): Promise<Figure[]> {
  const count = bench.moduli ?? (bench.quick ? 1024 : MODULI);
  const group = bench.group ?? GROUP;
  bench.note(`setting up: ${count} moduli`);
  const source = soundModuli(BITS);
  const take = (n: number): bigint[] => Array.from({ length: n }, () => source.next().value as bigint);
  const naive = pairRate(take(64));
  const known: KnownGroup[] = [];
  let making = 0;
  let processor = 0;
  const started = performance.now();
  for (let from = 0; from < count; from += group) {
    const before = performance.now();
    const fresh = take(Math.min(group, count - from));
    making += performance.now() - before;
    const used = process.cpuUsage();
    const { product, pairs } = checkModuli(fresh, known);
    const { user, system } = process.cpuUsage(used);
    processor += (user + system) / 1e6;
    if (pairs.length > 0) throw new Error('sound moduli were found to share a factor');
    // As files hold them. Their moduli are asked for only where one shares a factor.
    const kept = Buffer.from(product.toString(16), 'latin1');
    known.push({ product: () => BigInt(`0x${kept.toString('latin1')}`), moduli: () => [] });
    bench.note(`${from + fresh.length} of ${count} moduli compared, ${megabytes()} MB`);
  }
  const seconds = (performance.now() - started - making) / 1000;
  const pairs = (count * (count - 1)) / 2;
  const whole = `${count} RSA-2048 moduli, every pair of them, in ${seconds.toFixed(1)} s on one thread, ${processor.toFixed(1)} s of a processor (the process has ${megabytes()} MB), against gcd of each pair by itself; pairs a second`;
  const [ours, each] = freshSeconds(take(FRESH), known);
  const few = `${FRESH} new moduli compared with ${count} known ones, against gcd of each pair by itself (worked out from its rate); less is better`;
  const figures = [
    figure('moduli-pairs-vs-gcd', pairs / seconds, 'pairs/s', naive, whole),
    figure('moduli-new-vs-gcd', ours, 's', (each * count) / naive, few),
  ];
  const peer = multiplications(known[0]?.product() ?? 1n);
  if (peer !== undefined) {
    const what = `one product of two numbers of ${peer.bits} bits, the largest of a group, against GMP's (libgmp by way of python3); less is better`;
    figures.push(figure('moduli-multiply-vs-gmp', peer.ours * 1000, 'ms', peer.theirs * 1000, what));
  }
  return figures;
}

const megabytes = (): number => Math.round(process.memoryUsage.rss() / 1e6);

/** gcd of pairs, one after the other, a second. */
function pairRate(moduli: readonly bigint[]): number {
  const started = performance.now();
  let pairs = 0;
  while (performance.now() - started < 500) {
    for (const one of moduli) gcd(one, moduli[pairs % moduli.length] ?? 1n);
    pairs += moduli.length;
  }
  return pairs / ((performance.now() - started) / 1000);
}

/** @returns seconds, and how many were compared. */
function freshSeconds(fresh: readonly bigint[], known: readonly KnownGroup[]): [seconds: number, count: number] {
  const started = performance.now();
  checkModuli(fresh, known);
  return [(performance.now() - started) / 1000, fresh.length];
}

const GMP = `
import ctypes, sys, time
try: g = ctypes.CDLL('libgmp.so.10')
except OSError: sys.exit(3)
class Z(ctypes.Structure): _fields_ = [('a', ctypes.c_int), ('s', ctypes.c_int), ('d', ctypes.c_void_p)]
a, b, c = Z(), Z(), Z()
for z in (a, b, c): g.__gmpz_init(ctypes.byref(z))
hex = sys.stdin.readline().strip().encode()
g.__gmpz_set_str(ctypes.byref(a), hex, 16)
g.__gmpz_add_ui(ctypes.byref(b), ctypes.byref(a), ctypes.c_ulong(2))
best = 1e9
for _ in range(3):
    t = time.perf_counter()
    g.__gmpz_mul(ctypes.byref(c), ctypes.byref(a), ctypes.byref(b))
    best = min(best, time.perf_counter() - t)
print(best)
`;

/** The best of three here and with GMP; undefined where python3 or GMP is not installed. */
function multiplications(product: bigint): { ours: number; theirs: number; bits: number } | undefined {
  const hex = product.toString(16);
  const half = hex.slice(0, hex.length >> 1);
  const a = BigInt(`0x${half}`);
  const run = spawnSync('python3', ['-c', GMP], { input: `${half}\n`, encoding: 'utf8' });
  const theirs = Number(run.stdout);
  if (run.status !== 0 || !(theirs > 0)) return undefined;
  const b = a + 2n;
  const times = [0, 1, 2].map(() => {
    const started = performance.now();
    // Not optimised away: something depends on it.
    if (a * b === 0n) throw new Error('a product of two numbers is 0');
    return (performance.now() - started) / 1000;
  });
  return { ours: Math.min(...times), theirs, bits: half.length * 4 };
}
