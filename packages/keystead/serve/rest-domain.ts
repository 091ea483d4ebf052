import { type Serial, toBase64, toPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { type Permission, permits } from '@keystead/core/lifecycle';
import { actorOf, type Client, type OperatorClient } from '../access/index.ts';
import type { Issued } from '../authority/index.ts';
import { Inventory, keyEventView, keyView, keyWarnings, warningView } from '../inventory/index.ts';
import { asKeysteadError } from '../protocols/http/status.ts';
import type { Caller, IssuedView, RestDomain } from '../protocols/rest/domain.ts';
import type { Certificate, Device } from '../store/index.ts';
import { acmeOperatorDomain } from './acme-domain.ts';
import { authorisationDomain } from './authorisation-domain.ts';
import { campaignDomain } from './campaign-domain.ts';
import { factoryDomain } from './factory-domain.ts';
import { issuedView } from './issued-view.ts';
import { reconciliationDomain } from './reconciliation-domain.ts';
import { recordDomain } from './record-domain.ts';
import { revocationDomain } from './revocation-domain.ts';
import type { Rooms } from './rooms.ts';
import { signingDomain } from './signing-domain.ts';
import { stationOperatorDomain } from './station-domain.ts';
import { tlsKeyDomain } from './tls-key-domain.ts';
import { trustDomain, uptakeView } from './trust-domain.ts';
import { tufDomain } from './tuf-domain.ts';
import { unitDomain } from './unit-domain.ts';

/** The most devices that one answer lists. */
const DEVICES_LISTED = 10_000;

/** REST's view of the rooms: who asks, whether they may, and what they get. */
export function restDomain(rooms: Rooms): RestDomain {
  const { access, authority, backups, provisioning, store, hierarchy, keys, clock } = rooms;

  async function operator(caller: Caller, permission: Permission, what: string): Promise<OperatorClient> {
    const asked = { requestId: caller.requestId, what };
    const client = await access.identify(caller.certificate, asked);
    await access.authorise(client, permission, asked);
    if (client.kind !== 'operator') throw new KeysteadError('access.forbidden', { field: permission, seen: client.id });
    return client;
  }

  const view = (issued: Omit<Issued, 'repeated'>): IssuedView => issuedView(issued, hierarchy);

  return {
    ...authorisationDomain(rooms, operator),
    ...unitDomain(rooms, operator, view),
    ...acmeOperatorDomain(rooms, operator),
    ...revocationDomain(rooms, operator),
    ...reconciliationDomain(rooms, operator),
    ...factoryDomain(rooms.factories, operator),
    ...stationOperatorDomain(rooms, operator, view),
    ...recordDomain(rooms, operator),
    ...signingDomain(rooms, operator),
    ...tufDomain(rooms, operator),
    ...trustDomain(rooms, operator),
    ...campaignDomain(rooms, operator),
    ...tlsKeyDomain(rooms, operator),
    async revokeCa(caller, statements) {
      const client = await operator(caller, 'revocation.propose', 'revoke CA');
      const asked = { actor: actorOf(client), requestId: caller.requestId };
      const { at, invalidityDate, ...told } = await rooms.caRevocations.revoke(statements, asked);
      return { ...told, at: at.toISOString(), invalidityDate: invalidityDate?.toISOString() ?? null };
    },
    async whoami(caller) {
      const client = await access.identify(caller.certificate, { requestId: caller.requestId, what: 'whoami' });
      return { kind: client.kind, id: client.id, roles: client.kind === 'operator' ? [...client.roles] : [] };
    },
    async devices(caller) {
      await operator(caller, 'device.read', 'list devices');
      return { devices: store.read((records) => records.devices('', DEVICES_LISTED)).map(deviceView) };
    },
    async device(caller, deviceId) {
      await operator(caller, 'device.read', 'show device');
      return store.read((records) => {
        const device = records.device(deviceId);
        if (device === undefined) throw new KeysteadError('device.unknown', { field: 'id', seen: deviceId });
        return {
          ...deviceView(device),
          uptake: uptakeView(records.uptake.of(deviceId)),
          certificates: records.certificatesOfDevice(deviceId).map(certificateView),
        };
      });
    },
    async certificate(caller, serial) {
      await operator(caller, 'certificate.read', 'show certificate');
      const found = store.read((records) => records.certificatesBySerial(serial.toLowerCase() as Serial));
      if (found.length === 0) throw new KeysteadError('certificate.unknown', { field: 'serial', seen: serial });
      return { certificates: found.map((one) => ({ ...certificateView(one), pem: toPem('CERTIFICATE', one.der) })) };
    },
    async enrolOperator(caller, name, csr) {
      return view(await authority.operatorCertificate({ name, csr, requestId: caller.requestId }));
    },
    async enrolServer(caller, csr, hosts) {
      const client = await operator(caller, 'server.enrol', 'server certificate');
      return view(
        await authority.serverCertificate({ hosts, csr, requestId: caller.requestId, actor: actorOf(client) }),
      );
    },
    async openBatch(caller, ticket) {
      const client = await operator(caller, 'batch.open', 'open batch');
      const opened = await provisioning.openBatch({ ticket, actor: actorOf(client), requestId: caller.requestId });
      return { ticketId: opened.ticket.id, quota: opened.ticket.quota };
    },
    async decommission(caller, deviceId, end) {
      const client: Client = await operator(caller, 'device.decommission', 'decommission');
      const done = await provisioning.decommission({
        ...end,
        deviceId,
        operator: client.id,
        requestId: caller.requestId,
      });
      return {
        evidence: done.document,
        signature: toBase64(done.signature),
        revoked: done.revoked.map((one) => one.serial),
      };
    },
    async readmit(caller, deviceId, reason) {
      const client = await operator(caller, 'device.readmit', 'readmission');
      return authority.readmit({ deviceId, reason, actor: actorOf(client), requestId: caller.requestId });
    },
    async policy(caller) {
      await operator(caller, 'policy.read', 'show policy');
      const { policy, sha256, bytes } = rooms.policies.file;
      const { version, demonstration } = policy;
      const file = Buffer.from(bytes).toString('utf8');
      return { version, sha256, demonstration, file, history: await rooms.policies.history() };
    },
    async changePolicy(caller, { policy, approvals }) {
      const client = await operator(caller, 'policy.apply', 'change policy');
      const { requestId } = caller;
      const order = { policy: Buffer.from(policy, 'utf8'), approvals, actor: actorOf(client), requestId };
      return rooms.policies.apply(order);
    },
    async keys(caller, { after, endingWithin, ...filter }) {
      await operator(caller, 'key.read', 'list keys');
      const now = clock.now();
      const endingBefore = endingWithin === undefined ? undefined : now.getTime() + endingWithin * 1000;
      return store.read((records) => {
        const page = new Inventory(records, rooms.policy, now).page({ ...filter, endingBefore }, after);
        return { keys: page.keys.map((key) => keyView(key, rooms.policy, now)), next: page.next };
      });
    },
    async dueKeys(caller) {
      await operator(caller, 'key.read', 'list due keys');
      const now = clock.now();
      const due = store.read((records) => keyWarnings(records, rooms.policy, now));
      return { keys: due.map((warning) => warningView(warning, rooms.policy, now)) };
    },
    async key(caller, name) {
      await operator(caller, 'key.read', 'show key');
      const now = clock.now();
      return store.read((records) => {
        const { record, history } = new Inventory(records, rooms.policy, now).find(name);
        return { ...keyView(record, rooms.policy, now), history: history.map(keyEventView) };
      });
    },
    async count(caller) {
      await operator(caller, 'batch.open', 'show count');
      return rooms.recounts.show();
    },
    async recount(caller, order) {
      const client = await operator(caller, 'ticket.sign', 'recount');
      return rooms.recounts.carryOut(order, actorOf(client), caller.requestId);
    },
    async orderKey(caller, order) {
      // keyd verifies the order itself: here only whether this caller may bring one at all.
      const client = await access.identify(caller.certificate, { requestId: caller.requestId, what: 'order key' });
      const stops = client.kind === 'operator' && permits(client.roles, 'key.stop');
      await access.authorise(client, stops ? 'key.stop' : 'key.resume', {
        requestId: caller.requestId,
        what: 'order key',
      });
      try {
        return await keys.change(order, caller.requestId);
      } catch (error) {
        if (error instanceof KeysteadError && error.kind !== 'unavailable') {
          await access.refused(error, { requestId: caller.requestId, what: 'order key' }, client);
        }
        throw error;
      }
    },
    async signBackup(caller, draft) {
      const client = await operator(caller, 'backup.create', 'create backup');
      return backups.sign(draft, client, caller.requestId);
    },
    async recordDrill(caller, drill) {
      return backups.recordDrill(drill, await operator(caller, 'backup.create', 'record drill'), caller.requestId);
    },
    refused: (_certificate, thrown, requestId) => access.refused(asKeysteadError(thrown), { requestId, what: 'rest' }),
  };
}

const deviceView = ({ deviceId, state, model, ticketId, idevidSerial, keyOrigin, createdAt, changedAt }: Device) => ({
  deviceId,
  state,
  model,
  ticketId,
  idevidSerial,
  keyOrigin,
  createdAt: new Date(createdAt).toISOString(),
  changedAt: new Date(changedAt).toISOString(),
});

const certificateView = (one: Certificate) => ({
  serial: one.serial,
  issuer: one.issuer,
  profile: one.profile,
  subject: one.subject,
  status: one.status,
  reason: one.reason,
  revokedAt: one.revokedAt === null ? null : new Date(one.revokedAt).toISOString(),
  notBefore: new Date(one.notBefore).toISOString(),
  notAfter: new Date(one.notAfter).toISOString(),
  spkiSha256: one.spkiSha256,
  certSha256: one.certSha256,
});
