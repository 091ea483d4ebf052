import { toBase64 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import type { Permission } from '@keystead/core/lifecycle';
import { parse } from 'yaml';
import type { OperatorClient } from '../access/index.ts';
import { proofFor } from '../audit/index.ts';
import type { Caller } from '../protocols/rest/domain.ts';
import type { RecordDomain, RecordQuery } from '../protocols/rest/records.ts';
import type { ProvisioningRecord, Reader } from '../store/index.ts';
import { birthCertificate, birthCertificatePem } from '../verify/birth-certificate.ts';
import { checkpointKeys } from '../verify/log-keys.ts';
import { documentChain } from '../verify/trusted.ts';
import type { Rooms } from './rooms.ts';

/** Records in one answer: some hundred kilobytes. */
const PAGE = 200;
/** Later than any record (ECMA-262, time values). */
const NEVER = 8_640_000_000_000_000;

/** REST's view of provisioning records. REQ-KEY-PROV-02 */
export function recordDomain(
  { store, layout }: Pick<Rooms, 'store' | 'layout'>,
  operator: (caller: Caller, permission: Permission, what: string) => Promise<OperatorClient>,
): RecordDomain {
  const recordOf = (deviceId: string): ProvisioningRecord => {
    const found = store.read((records) => records.provisioningRecord(deviceId));
    if (found === undefined) throw new KeysteadError('device.unknown', { field: 'deviceId', seen: deviceId });
    return found;
  };
  return {
    async record(caller, deviceId) {
      await operator(caller, 'device.read', 'show record');
      return view(recordOf(deviceId));
    },
    async records(caller, query) {
      await operator(caller, 'device.read', 'list records');
      return store.read((records) => page(records, query));
    },
    async birthCertificate(caller, deviceId) {
      await operator(caller, 'device.read', 'birth certificate');
      const found = recordOf(deviceId);
      const record = parse(found.record) as { date: string; keys: { bootstrap_ca: string }; signer_cert: string };
      const anchor = record.keys.bootstrap_ca.replace(/^sha256:/, '');
      const chain = documentChain(layout, new Date(record.date), record.signer_cert, anchor);
      const proof = await inLog(proofFor(layout.log, found.auditSeq, checkpointKeys(layout.trust)));
      return { birthCertificate: birthCertificatePem(birthCertificate(found, chain, proof)) };
    },
    async batch(caller, ticketId) {
      await operator(caller, 'device.read', 'show batch');
      const found = store.read((records) => records.ticket(ticketId));
      if (found === undefined) throw new KeysteadError('ticket.unknown', { field: 'id', seen: ticketId });
      return { ticket: found.text };
    },
  };
}

const view = ({ deviceId, record, signature, auditSeq }: ProvisioningRecord) => ({
  deviceId,
  record,
  signature: toBase64(signature),
  auditSeq,
});

/** @throws KeysteadError `ticket.unknown`, `request.malformed`. */
function page(records: Reader, { ticket, from, to, after = '' }: RecordQuery) {
  const [start, end] = [from?.getTime() ?? 0, to?.getTime() ?? NEVER];
  if (ticket !== undefined) {
    if (records.ticket(ticket) === undefined)
      throw new KeysteadError('ticket.unknown', { field: 'ticket', seen: ticket });
    const rows = records.recordsOfTicket({ ticketId: ticket, after, from: start, to: end, count: PAGE });
    return { records: rows.map(view), next: rows.length < PAGE ? null : (rows.at(-1)?.deviceId ?? null) };
  }
  const [, at = String(start), device = ''] = /^(\d{1,16}) ([A-Za-z0-9._-]{1,64})$/.exec(after) ?? [];
  if (after !== '' && device === '') throw new KeysteadError('request.malformed', { field: 'after', seen: after });
  const rows = records.recordsByTime({ at: Number(at), after: device, to: end, count: PAGE });
  const last = rows.at(-1);
  const next = rows.length < PAGE || last === undefined ? null : `${last.createdAt} ${last.deviceId}`;
  return { records: rows.map(view), next };
}

/** What the log will have in a moment is worth another try. @throws KeysteadError `record.not-in-log-yet` */
async function inLog<T>(proof: Promise<T>): Promise<T> {
  try {
    return await proof;
  } catch (cause) {
    if (!(cause instanceof KeysteadError) || cause.code !== 'log.out-of-range') throw cause;
    throw new KeysteadError('record.not-in-log-yet', { seen: cause.seen, cause });
  }
}
