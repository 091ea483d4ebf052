import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DEMO_FIRMWARE, DEMO_TUF, demoPolicy, formatPolicy } from '@keystead/core/lifecycle';
import { spawnCeremony } from '../../ceremony/index.ts';
import { durableWrite } from '../../files/durable.ts';
import { importBundle, isImported } from '../../keyd/import.ts';
import { initKeyd } from '../../keyd/init.ts';
import { readKeystoreConfig, writeKeystoreConfig } from '../../keystore/index.ts';
import { makeCustodianKeys, makePeopleKeys } from '../operators.ts';
import { separateOwners } from '../owners.ts';
import type { World } from '../world.ts';

/**
 * Step 1: keyd makes its keys and requests; an offline ceremony makes the roots and certifies them. At its end, keyd
 * and serve have users of their own where root starts them.
 */
export async function ceremony(world: World): Promise<void> {
  const { layout, narrator } = world;
  await found(world);
  const owners = separateOwners(layout);
  if (owners.separate) {
    narrator.done(
      `keyd is user ${owners.keyd.uid} and serve user ${owners.serve.uid}: neither can open what is the other's`,
    );
  } else if (owners.asRoot) {
    narrator.warn(
      `KEYD AND SERVE ARE NOT SEPARATED BY USER: ${owners.why}. Both run as the owner of their directories`,
    );
  } else {
    narrator.note(`keyd and serve run as one user: ${owners.why}`);
  }
}

async function found(world: World): Promise<void> {
  const { layout, narrator, clock, passphrases } = world;
  narrator.step(
    1,
    'Offline ceremony',
    'The roots are made in a process of their own, without network, and certify the keys that keyd made for itself. Only requests and certificates cross over; no private key ever does.',
  );
  narrator.warn('this is a DEMONSTRATION policy: one approval changes it, and nothing issued here is to be relied on');
  if (isImported(layout)) {
    narrator.done(`found the hierarchy of an earlier start in ${layout.trust}`);
    return;
  }
  // A first start that was cut short made nothing that anyone trusts yet: begin again from clean ground. Where the
  // keys are to live was decided before it (`keystead keystore init`); keys on a token stay there and are used.
  const keystore = readKeystoreConfig(layout.keyd);
  for (const path of [layout.keyd, layout.run, layout.ceremony, layout.trust, layout.offline, layout.operators]) {
    rmSync(path, { recursive: true, force: true });
  }
  if (keystore.make !== 'sealed') {
    mkdirSync(layout.keyd, { recursive: true, mode: 0o700 });
    writeKeystoreConfig(layout.keyd, keystore);
  }
  const people = await makePeopleKeys(layout, passphrases.operators);
  const { path: request } = await initKeyd(layout, passphrases.keyd, clock, {
    origin: `keystead.local/${world.config.storeId}`,
    firmware: DEMO_FIRMWARE.keys,
  });
  const where = keystore.make === 'sealed' ? 'sealed' : 'on its token';
  narrator.done(`keyd made its ten keys, ${where}, and wrote certification requests`);

  const policyPath = join(layout.ceremony, 'policy.json');
  const base = world.httpUrl;
  const policy = demoPolicy({
    operators: people,
    issued: clock.now(),
    backup: await makeCustodianKeys(layout, passphrases.operators),
    est: { serverKeys: ['ldevid'] },
    factory: {},
    firmware: DEMO_FIRMWARE,
    tuf: DEMO_TUF,
    lifetimes: { ldevid: { seconds: world.config.ldevidSeconds, backdateSeconds: 10 } },
    urls: { crl: `${base}/crl/{ca}.crl`, ocsp: `${base}/ocsp/{ca}`, caIssuers: `${base}/ca/{ca}.cer` },
  });
  durableWrite(policyPath, formatPolicy(policy), 0o644);

  const result = await spawnCeremony({
    request,
    policy: policyPath,
    out: layout.ceremony,
    offline: layout.offline,
    witnesses: ['npm start (unattended demonstration)'],
    passphrase: 'discard',
    acceptNetwork: true,
    onLine: (line) => narrator.note(line),
  });
  if (result.isolation === 'none') {
    narrator.warn('this machine could make no empty network namespace: the transcript says NOT OFFLINE');
  } else {
    narrator.done(`the ceremony ran without network (${result.isolation})`);
  }
  await importBundle(layout, passphrases.keyd, clock, { rootSha256: result.rootSha256 });
  narrator.done(`keyd took the signed bundle; the roots' sealed files are in ${layout.offline}`);
  narrator.note('nothing that runs from here on opens that directory; in earnest it goes into a safe');
  if (!existsSync(world.rootPath)) throw new Error('the import left no trust anchor');
}
