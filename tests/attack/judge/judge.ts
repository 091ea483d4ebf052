import { ONLINE_CAS } from '@keystead/core/lifecycle';
import type { Siege } from '../siege.ts';
import { certificates, openssl, unitKeys, units } from './certificates.ts';
import { checkpoints, documents, timestamps } from './documents.ts';
import { answers, lists, rootLists } from './revocation.ts';

/** Looks at each thing that keyd signed, by the policy and by openssl, and says what should not have been signed. */
export function judge(siege: Siege): string[] {
  return [
    ...certificates(siege),
    ...units(siege),
    ...unitKeys(siege),
    ...openssl(siege),
    ...ONLINE_CAS.flatMap((issuer) => [...lists(siege, issuer), ...answers(siege, issuer)]),
    ...rootLists(siege),
    ...firmware(siege),
    ...tufStatus(siege),
    ...trustBundles(siege),
    ...checkpoints(siege),
    ...documents(siege),
    ...timestamps(siege),
  ];
}

/** The policy of the siege has no update repository. */
const tufStatus = ({ signed }: Siege): string[] =>
  signed.filter(({ op }) => op === 'signTufStatus').map(({ params }) => `a status of ${params.repository}`);

/** Firmware: none, for nobody ordered any. */
const firmware = ({ signed }: Siege): string[] =>
  signed.filter(({ op }) => op === 'signFirmware').map(({ ok }) => `firmware of order ${ok.order}`);

/** Trust bundles: none, for no quorum ordered what is to stand in them. */
const trustBundles = ({ signed }: Siege): string[] =>
  signed.filter(({ op }) => op === 'signTrustBundle').map(({ ok }) => `trust bundle ${ok.version}`);
