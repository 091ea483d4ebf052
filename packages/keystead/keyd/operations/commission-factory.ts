import type { DerCertificate, DerCrl } from '@keystead/core/bytes';
import { fromBase64, toBase64, toPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import {
  type AgreedCommission,
  type Commission,
  type CommissionOrder,
  checkFactoryPolicy,
  commissionOrderSha256,
  FACTORY_CAS,
  FACTORY_SLOTS,
  type FactorySlot,
  factoryCaProfile,
  factoryEvidenceProfile,
  OFFLINE_CAS,
  parseCommissionStatement,
  requestName,
  signCommission,
  verifyCommissionStatements,
} from '@keystead/core/lifecycle';
import { type Profile, readCertificate, readCrl } from '@keystead/core/x509';
import { commissionFileSha256 } from '../commission-files.ts';
import type { KeydContext } from '../context.ts';
import type { Factory } from '../factories.ts';
import { requireHeadquarters } from '../factory/node.ts';
import type { FactoryJournalEntry } from '../factory-entry.ts';
import { type ProvenRequest, provenRequest, requireKeys } from '../factory-request.ts';
import type { Params, Result } from '../protocol.ts';
import { signVerified } from '../sign-verified.ts';
import { MOST_CRL_BYTES } from '../wire/commission-factory.ts';
import { listRevocations } from './sign-crl.ts';

/** An order that everything allows, and what it is about. */
interface Allowed {
  readonly agreed: AgreedCommission;
  readonly proven: ProvenRequest;
  readonly factory: Factory | undefined;
  readonly crls: Commission['crls'];
  readonly now: Date;
  readonly requestId: string;
}

/**
 * Founds a factory node, gives its keys certificates that end later, or ends it: what a quorum has ordered, and nothing
 * else. keyd verifies every signature of the order, that the request is the one that was signed for, who possesses its
 * keys and that none of them was ever anything else, the name, and the times; it composes the two constrained sub-CAs,
 * the evidence signer's certificate and the commission. Nothing is given out before it stands in the journal. The same
 * order again has the answer of the first time and no further effect. REQ-KEY-PROV-01, REQ-KEY-SOD-02
 * @throws KeysteadError `commission.*`, `factory.*`, `policy.factory-missing`, `policy.factory-names`, `csr.*`, `key.*`,
 *   `ca.revoked`, `clock.went-back`, `keyd.journal-failed`; nothing is changed then.
 */
export async function commissionFactory(
  keyd: KeydContext,
  params: Params<'commissionFactory'>,
): Promise<Result<'commissionFactory'>> {
  requireHeadquarters(keyd.hierarchy.node, 'operation', 'the commission of a factory');
  const { order } = parseCommissionStatement(params.statements[0] ?? '').content;
  // One at a time: a name, a number and a key are each taken once.
  return keyd.state.factories.turnstile.alone(async () => {
    const before = keyd.state.factories.order(commissionOrderSha256(order));
    const act = before ?? (await carryOut(keyd, allow(keyd, params, keyd.now())));
    // Also for an order that comes again: the first time it may not have come so far.
    keyd.publishFactories();
    return answer(keyd, act);
  });
}

function allow(keyd: KeydContext, params: Params<'commissionFactory'>, now: Date): Allowed {
  const { policy } = keyd;
  const agreed = verifyCommissionStatements(params.statements, policy, now);
  const { order } = agreed;
  const sameId = keyd.state.factories.all().find(({ acts }) => acts.some((act) => act.order === order.id));
  if (sameId !== undefined) throw new KeysteadError('commission.order-used', { field: 'order.id', seen: order.id });
  checkFactoryPolicy(policy);
  keyd.ledger.require(requestName('evidence'), 'protect', now);
  const factory = requireStanding(keyd, order);
  const proven = provenRequest(params.request, order);
  requireKeys(keyd, proven, factory);
  if (order.act !== 'close') {
    requirePaths(keyd);
    requireLife(keyd, order, factory, now);
  }
  const crls = requireCrls(keyd, params.crls, now);
  return { agreed, proven, factory, crls, now, requestId: params.requestId };
}

/** Whether there is such a factory, as the act needs it. */
function requireStanding(keyd: KeydContext, { act, factory: name }: CommissionOrder): Factory | undefined {
  const factory = keyd.state.factories.get(name);
  const facts = { field: 'order.factory', seen: name };
  if (act === 'commission') {
    // The name stands in certificates and addresses: it never passes to another key.
    if (factory !== undefined) throw new KeysteadError('commission.name-used', facts);
    return undefined;
  }
  if (factory === undefined) throw new KeysteadError('factory.unknown', facts);
  // What a closed factory made goes on being good, and its verifiers need a certificate of its CA that is in force.
  const renewable = act === 'renew' && factory.closed?.revoked === false;
  if (factory.closed !== undefined && !renewable) throw new KeysteadError('factory.closed', facts);
  return factory;
}

/** The certificates above must let a sub-CA be below them, whatever the policy says that they should. */
function requirePaths(keyd: KeydContext): void {
  const needed: readonly [string, DerCertificate, number][] = [
    ['root', keyd.hierarchy.certificates.root, 2],
    ...FACTORY_CAS.map((ca): [string, DerCertificate, number] => [ca, keyd.issuing(ca).certificate, 1]),
  ];
  for (const [role, certificate, least] of needed) {
    const { pathLength } = readCertificate(certificate);
    if (pathLength === undefined || pathLength >= least) continue;
    const seen = `pathLen ${pathLength}, where ${least} is needed`;
    throw new KeysteadError('commission.path-too-short', { field: `the certificate of ${role}`, seen });
  }
}

/** Within the policy, within the issuers, and for a renewal later than what is there. */
function requireLife(keyd: KeydContext, order: CommissionOrder, factory: Factory | undefined, now: Date): void {
  const field = 'order.seconds';
  const most = keyd.policy.factory?.maxSeconds ?? 0;
  if (order.seconds > most) {
    throw new KeysteadError('commission.life-too-long', {
      field,
      seen: `${order.seconds}, where ${most} are the most`,
    });
  }
  const end = now.getTime() + order.seconds * 1000;
  for (const ca of FACTORY_CAS) {
    const { info } = keyd.issuing(ca);
    if (end > info.notAfter.getTime()) {
      const seen = `until ${new Date(end).toISOString()}, and the ${ca} CA ends ${info.notAfter.toISOString()}`;
      throw new KeysteadError('commission.life-too-long', { field, seen });
    }
    const before = factory && readCertificate(factory.certificates[ca]).notAfter.getTime();
    if (before !== undefined && end <= before) {
      const seen = `until ${new Date(end).toISOString()}, where it has one until ${new Date(before).toISOString()}`;
      throw new KeysteadError('commission.renewal-shorter', { field, seen });
    }
  }
}

/** The lists that the node begins with: keyd's own and those of the roots, in force. */
function requireCrls(keyd: KeydContext, crls: readonly DerCrl[], now: Date): Commission['crls'] {
  const roots = OFFLINE_CAS.map((id) => ({ id, certificate: keyd.hierarchy.certificates[id] }));
  const signers: { id: string; certificate: DerCertificate }[] = [...keyd.hierarchy.issuers, ...roots];
  const told: Record<string, string> = {};
  let bytes = 0;
  for (const [index, der] of crls.entries()) {
    const field = `crls[${index}]`;
    bytes += der.length;
    const crl = readCrl(der);
    const issuer = signers.find(({ certificate }) => crl.verify(certificate));
    if (issuer === undefined) throw new KeysteadError('commission.crl-unfit', { field, seen: 'of another issuer' });
    if (crl.nextUpdate <= now || told[issuer.id] !== undefined) {
      const seen = crl.nextUpdate <= now ? `ended ${crl.nextUpdate.toISOString()}` : `a second one of ${issuer.id}`;
      throw new KeysteadError('commission.crl-unfit', { field, seen });
    }
    told[issuer.id] = toBase64(der);
  }
  if (bytes > MOST_CRL_BYTES)
    throw new KeysteadError('commission.crl-unfit', { field: 'crls', seen: `${bytes} bytes` });
  return told;
}

async function carryOut(keyd: KeydContext, allowed: Allowed): Promise<FactoryJournalEntry> {
  const { agreed, proven, factory, now, requestId } = allowed;
  const { order } = agreed;
  const before = factory?.acts.at(-1);
  const certified = order.act === 'close' ? before?.certified : await certify(keyd, allowed);
  if (certified === undefined)
    throw new KeysteadError('factory.unknown', { field: 'order.factory', seen: order.factory });
  const number = (before?.number ?? 0) + 1;
  const text = await compose(keyd, allowed, number, certified);
  keyd.commissions.write({ factory: order.factory, number }, text);
  if (order.revoke === true) await revoke(keyd, factory, now);
  const entry = {
    time: now.toISOString(),
    kind: 'factory' as const,
    act: order.act,
    factory: order.factory,
    number,
    order: order.id,
    orderSha256: agreed.orderSha256,
    requestSha256: order.requestSha256,
    by: agreed.proposer,
    approvers: [...agreed.approvers],
    deviceIdPrefixes: [...order.deviceIdPrefixes],
    custody: proven.request.custody,
    counter: proven.request.counter,
    log: proven.request.log,
    certified,
    commissionSha256: commissionFileSha256(text),
    revoked: order.revoke,
    requestId,
  };
  await keyd.journal.append(entry);
  keyd.state.factories.replay({ n: 1, ...entry });
  return { n: 1, ...entry };
}

/** Certificates for the node's three keys. Each stands in the journal before it is signed. */
async function certify(
  keyd: KeydContext,
  { agreed: { order }, proven, now, requestId }: Allowed,
): Promise<FactoryJournalEntry['certified']> {
  const { factory, seconds, serverNames } = order;
  const issue = async (slot: FactorySlot, profile: Profile) => {
    const authority = keyd.issuing(slot === 'manufacturing' ? 'manufacturing' : 'server');
    const spki = proven.keys[slot];
    const issued = await authority.issue({ profile, named: {}, spki, now, subject: factory, requestId });
    return { issuer: issued.issuer, certificate: toBase64(issued.certificate) };
  };
  const ca = (role: (typeof FACTORY_CAS)[number]) =>
    issue(role, factoryCaProfile(keyd.policy, role, factory, seconds, serverNames));
  return {
    manufacturing: await ca('manufacturing'),
    server: await ca('server'),
    evidence: await issue('evidence', factoryEvidenceProfile(keyd.policy, factory)),
  };
}

async function compose(
  keyd: KeydContext,
  { agreed: { order, orderSha256 }, factory, crls, now }: Allowed,
  number: number,
  certified: FactoryJournalEntry['certified'],
): Promise<string> {
  const { certificates, evidenceSigner, pins } = keyd.hierarchy;
  const pem = (der: DerCertificate): string => toPem('CERTIFICATE', der);
  const issued = (slot: FactorySlot) => pem(fromBase64(certified[slot].certificate) as DerCertificate);
  return signCommission(
    {
      // A closed one stays closed, whatever it gets.
      act: factory?.closed === undefined ? order.act : 'close',
      factory: order.factory,
      number,
      issuedAt: new Date(Math.floor(now.getTime() / 1000) * 1000).toISOString().replace('.000Z', 'Z'),
      requestSha256: order.requestSha256,
      orderSha256,
      deviceIdPrefixes: order.deviceIdPrefixes,
      serverNames: order.serverNames,
      issued: { manufacturing: issued('manufacturing'), server: issued('server'), evidence: issued('evidence') },
      certificates: {
        root: pem(certificates.root),
        'signing-root': pem(certificates['signing-root']),
        manufacturing: pem(certificates.manufacturing),
        operational: pem(certificates.operational),
        server: pem(certificates.server),
        operator: pem(certificates.operator),
        'evidence-signer': pem(evidenceSigner),
      },
      crls,
      policy: toBase64(keyd.policies.inForce.bytes),
      log: { vkey: pins.vkey, cosignVkey: pins.cosignVkey },
    },
    { sign: (data) => signVerified(keyd.evidence, data) },
  );
}

/** Every certificate that the keys of the node were ever given goes onto the list of its issuer. */
async function revoke(keyd: KeydContext, factory: Factory | undefined, now: Date): Promise<void> {
  for (const { certified } of factory?.acts ?? []) {
    for (const slot of FACTORY_SLOTS) {
      const { issuer, certificate } = certified[slot];
      const { serial } = readCertificate(fromBase64(certificate) as DerCertificate);
      await listRevocations(keyd, { issuer, entries: [{ serial, revokedAt: now, reason: 'cessationOfOperation' }] });
    }
  }
}

const answer = (keyd: KeydContext, entry: FactoryJournalEntry): Result<'commissionFactory'> => ({
  ...tellAct(entry),
  commission: keyd.commissions.read(entry),
});

/** What is told of an order that was carried out. */
export function tellAct(entry: FactoryJournalEntry): Result<'factories'>['factories'][number]['acts'][number] {
  const { n: _, kind: __, time, certified, revoked: ___, ...act } = entry;
  const of = (slot: FactorySlot) => ({
    issuer: certified[slot].issuer,
    certificate: fromBase64(certified[slot].certificate) as DerCertificate,
  });
  return {
    ...act,
    at: new Date(time),
    certified: { manufacturing: of('manufacturing'), server: of('server'), evidence: of('evidence') },
  };
}
