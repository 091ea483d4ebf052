import { createRequire } from 'node:module';
import { sha256 } from '@keystead/core/crypto';
import { CKM, CKO_PRIVATE_KEY } from '@keystead/pkcs11/cryptoki.ts';
import { objectIdOf } from '@keystead/pkcs11/record.ts';
import { keySearch } from '@keystead/pkcs11/templates.ts';
import { SOFTHSM, SoftHsm } from 'keystead/keystore/pkcs11/tests/softhsm.ts';
import type { Bench } from './bench.ts';
import { type Figure, figure } from './figure.ts';
import { type LoadResult, resultOf } from './load/plan.ts';

const AT_ONCE = 64;
/** About the length of what is signed of a certificate. */
const DATA = Buffer.alloc(512, 0x5a);
/** Between two looks at the clock. */
const RAW_AT_ONCE = 100;

/** P-256 signatures of a keystore on SoftHSM, against the same token asked in a loop that does nothing else. */
export async function pkcs11Figures(bench: Bench): Promise<Figure[]> {
  bench.note('setting up: a SoftHSM token');
  const hsm = new SoftHsm('one');
  bench.defer(() => hsm.remove());
  const keystore = await hsm.open();
  bench.defer(() => keystore.close());
  await keystore.generate('bench', 'P-256', 'the bench');
  const signer = keystore.signer('bench');
  const ours = async (callers: number): Promise<LoadResult> => {
    const started = performance.now();
    const until = started + bench.seconds * 1000;
    const latencies: number[] = [];
    const caller = async (): Promise<void> => {
      while (performance.now() < until) {
        const asked = performance.now();
        await signer.sign(DATA);
        latencies.push(performance.now() - asked);
      }
    };
    await Promise.all(Array.from({ length: callers }, caller));
    return resultOf(latencies, (performance.now() - started) / 1000);
  };
  const [many, raw] = (await bench.compare({
    [`signatures of the keystore, ${AT_ONCE} callers`]: () => ours(AT_ONCE),
    'signatures of the token, raw': async () => rawSignatures(bench.seconds, 'one', 'bench'),
  })) as [LoadResult, LoadResult];
  const alone = await bench.measure('signatures of the keystore, one caller', () => ours(1));
  const openssl = `OpenSSL in software makes ${Math.round(bench.signing)}/s`;
  const against = 'against C_SignInit and C_Sign in a loop on one session (pkcs11js) on the same SoftHSM token';
  return [
    figure(
      'keystore-pkcs11',
      many.perSecond,
      '1/s',
      raw.perSecond,
      `P-256 signatures of the PKCS#11 keystore, ${AT_ONCE} callers at once, two sessions, ${against}; ${openssl}`,
    ),
    figure(
      'keystore-pkcs11-alone',
      alone.perSecond,
      '1/s',
      raw.perSecond,
      `the same, one caller after the other: each signature crosses to a thread and back, ${against}`,
    ),
  ];
}

/** The token's own rate, hashing included, from a thread that does nothing else: this one. */
export function rawSignatures(seconds: number, token: string, keyId: string): LoadResult {
  const pkcs11js: typeof import('pkcs11js') = createRequire(import.meta.resolve('@keystead/pkcs11'))('pkcs11js');
  const module = new pkcs11js.PKCS11();
  // The keystore of this process has initialised the module and logged in.
  module.load(SOFTHSM);
  const slot = module.C_GetSlotList(true).find((one) => module.C_GetTokenInfo(one).label.trimEnd() === token);
  if (slot === undefined) throw new Error('the token of the bench is gone');
  const session = module.C_OpenSession(slot, 4);
  module.C_FindObjectsInit(session, keySearch(CKO_PRIVATE_KEY, objectIdOf(keyId)));
  const [key] = module.C_FindObjects(session, 1);
  module.C_FindObjectsFinal(session);
  if (key === undefined) throw new Error('the key of the bench is gone');
  const output = Buffer.alloc(128);
  const started = performance.now();
  const until = started + seconds * 1000;
  let count = 0;
  while (performance.now() < until) {
    for (let n = 0; n < RAW_AT_ONCE; n += 1) {
      module.C_SignInit(session, { mechanism: CKM.ECDSA }, key);
      module.C_Sign(session, Buffer.from(sha256(DATA)), output);
    }
    count += RAW_AT_ONCE;
  }
  const took = (performance.now() - started) / 1000;
  module.C_CloseSession(session);
  return { answers: count, failures: 0, seconds: took, perSecond: count / took, p50Ms: 0, p99Ms: 0 };
}
