import { KeysteadError } from '@keystead/core/errors';
import type { Permission } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import { actorOf, type OperatorClient } from '../access/index.ts';
import type { Caller } from '../protocols/rest/domain.ts';
import type { FactoryDomain, FactoryView } from '../protocols/rest/factories.ts';
import { type FactoryRecords, inForce } from './factory-records.ts';

/** Factory nodes for operators: who asks, whether they may, and what they get. REQ-KEY-PROV-01 */
export function factoryDomain(
  factories: FactoryRecords,
  operator: (caller: Caller, permission: Permission, what: string) => Promise<OperatorClient>,
): FactoryDomain {
  return {
    async factories(caller) {
      await operator(caller, 'factory.read', 'list factories');
      return { factories: (await factories.ask()).map(viewOf) };
    },
    async factory(caller, name) {
      await operator(caller, 'factory.read', 'show factory');
      return viewOf(factories.one(name, await factories.ask()));
    },
    async factoryCommission(caller, name, number) {
      await operator(caller, 'factory.read', 'fetch commission');
      return { commission: await factories.commission(name, number) };
    },
    async orderFactory(caller, { request, statements }) {
      const client = await operator(caller, 'factory.propose', 'order about a factory');
      const actor = actorOf(client);
      const done = await factories.carryOut({ request, statements, actor, requestId: caller.requestId });
      return { ...viewOf(factories.one(done.factory)), number: done.number, commission: done.commission };
    },
  };
}

function viewOf(known: FactoryRecords['all'][number]): FactoryView {
  const act = inForce(known.acts);
  const ends = [act.certified.manufacturing, act.certified.server].map(({ certificate }) =>
    readCertificate(certificate).notAfter.getTime(),
  );
  if (known.acts.length === 0) throw new KeysteadError('factory.unknown', { field: 'factory', seen: known.name });
  return {
    factory: known.name,
    state: known.closed === null ? 'commissioned' : known.closed.revoked ? 'closed, revoked' : 'closed',
    deviceIdPrefixes: act.deviceIdPrefixes,
    custody: act.custody,
    counter: act.counter,
    units: known.units,
    notAfter: new Date(Math.min(...ends)).toISOString(),
    acts: known.acts.map((one) => ({
      number: one.number,
      act: one.act,
      at: one.at.toISOString(),
      by: one.by,
      approvers: one.approvers,
      order: one.order,
      commissionSha256: one.commissionSha256,
    })),
  };
}
