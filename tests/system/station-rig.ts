import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { toHex, toPem } from '@keystead/core/bytes';
import { randomBytes } from '@keystead/core/crypto';
import { type BatchTicketDraft, type SignOn, signSignOn, signTicket } from '@keystead/core/lifecycle';
import { personSigner } from 'keystead/start/operators.ts';
import type { Answer, Identity } from '../faults/https.ts';
import { newKey, type Rig } from '../faults/rig.ts';
import { keystead } from '../interop/foreign.ts';

export const ST_3 = 'st-3.line-1.plant.example';
const second = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');

/** Where a station stands: headquarters of a rig, or a node of a factory, with the people's keys in its data directory. */
export type Site = Pick<Rig, 'folder' | 'layout' | 'world' | 'https'> & { readonly name?: string };

/** A station of a rig, enrolled by the command line, with its key opened so that each request costs no passphrase. */
export class TestStation {
  readonly rig: Site;
  readonly name: string;
  readonly dir: string;
  readonly passFile: string;
  readonly identity: Identity;

  private constructor(rig: Site, name: string, dir: string, passFile: string) {
    this.rig = rig;
    this.name = name;
    this.dir = dir;
    this.passFile = passFile;
    const passphrase = readFileSync(passFile, 'utf8').trim();
    const key = createPrivateKey({ key: readFileSync(join(dir, 'station.key.pem'), 'utf8'), passphrase });
    const cert = readFileSync(join(dir, 'station.pem'), 'utf8');
    this.identity = { cert, key: key.export({ format: 'pem', type: 'pkcs8' }).toString() };
  }

  static async enrol(rig: Site, name = ST_3): Promise<TestStation> {
    const dir = join(rig.folder, 'stations', name);
    mkdirSync(dir, { recursive: true });
    const passFile = `${dir}.pass`;
    writeFileSync(passFile, 'the passphrase of a station\n', { mode: 0o600 });
    const args = ['--dir', dir, '--key-passphrase-file', passFile, '--data', rig.layout.data];
    const { status, stderr } = await keystead(['station', 'enrol', name, ...args]);
    assert.equal(status, 0, stderr);
    return new TestStation(rig, name, dir, passFile);
  }

  /** A request to the station API; the body as JSON. */
  ask(method: 'GET' | 'POST', path: string, body?: unknown): Promise<Answer> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const ask = { identity: this.identity, body: text, type: text === undefined ? undefined : 'application/json' };
    return this.rig.https(method, `/api/v1/station${path}`, ask);
  }

  /** A sign-on of `line-1` here for an hour, unless told otherwise. */
  async statement(more: Partial<SignOn> = {}, by = 'line-1'): Promise<object> {
    const now = Date.now();
    const validity = { notBefore: second(now), notAfter: second(now + 3_600_000) };
    const place = { factory: this.rig.name ?? 'headquarters', station: this.name, line: 'line-1' };
    const signer = personSigner(this.rig.layout, by, this.rig.world.passphrases.operators);
    const id = toHex(randomBytes(16));
    return JSON.parse(await signSignOn({ id, ...place, ...validity, ...more }, by, signer));
  }

  async signOn(more: Partial<SignOn> = {}, by?: string): Promise<Answer> {
    const signOn = await this.statement(more, by);
    return this.ask('POST', '/sign-on', { time: new Date().toISOString(), signOn });
  }

  /** Brings a unit with a new key, or with the request given. */
  async unit(deviceId: string, more: Record<string, unknown> = {}): Promise<Answer> {
    const csr = 'csr' in more ? more.csr : toPem('CERTIFICATE REQUEST', (await newKey(deviceId)).csr);
    return this.ask('POST', '/units', { deviceId, time: new Date().toISOString(), ...more, csr });
  }
}

/** A ticket that pki signed, as its file has it. */
export function ticketText(rig: Rig, more: Partial<BatchTicketDraft> & Pick<BatchTicketDraft, 'id' | 'deviceIds'>) {
  const now = Date.now();
  const signer = personSigner(rig.layout, 'pki', rig.world.passphrases.operators);
  const draft: BatchTicketDraft = {
    ...{ model: 'KS-PUMP-1', quota: 10, lines: ['line-1'], profile: 'idevid' },
    ...{ notBefore: second(now - 60_000), notAfter: second(now + 3_600_000) },
    ...more,
  };
  return signTicket(draft, 'pki', signer);
}

/** What stands in an answer. */
export const told = (answer: Answer): Record<string, unknown> => JSON.parse(answer.text) as Record<string, unknown>;
/** Result, code and name of an answer: what a rig goes by. */
export const verdict = (answer: Answer): string => {
  const { result, code, name } = told(answer);
  return `${String(result)} ${String(code)} ${String(name)}`;
};
