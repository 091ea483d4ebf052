import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { toHex } from '@keystead/core/bytes';
import { generateSoftwareKey, type Signer, sha256, softwareSigner } from '@keystead/core/crypto';
import { imageOf, MCUBOOT } from '@keystead/core/firmware';
import {
  type FirmwareOrder,
  formatStatements,
  type Policy,
  policyFile,
  type Role,
  signFirmwareStatement,
  signStatement,
} from '@keystead/core/lifecycle';
import type { RequestView } from 'keystead/signing/index.ts';
import { personSigner } from 'keystead/start/operators.ts';
import { fileOf, seconds } from '../../packages/core/lifecycle/tests/policy-parties.ts';
import type { Answer, Identity } from './https.ts';
import { Rig } from './rig.ts';

const ROLES = {
  release: 'release-engineer',
  approver: 'approver',
  second: 'approver',
} as const satisfies Record<string, Role>;
type Person = keyof typeof ROLES;

/** What a request says, but for image and id. */
export type Asked = Partial<FirmwareOrder> & { readonly version: string };

/**
 * keyd and serve as real processes, with a product of which two people must approve each version: `release` asks,
 * `approver` and `second` approve. What they sign is made here, and brought by `release` and `approver`.
 */
export class SigningRig {
  readonly rig: Rig;
  readonly #second: Signer;

  private constructor(rig: Rig, second: Signer) {
    this.rig = rig;
    this.#second = second;
  }

  static async make(): Promise<SigningRig> {
    const rig = await Rig.make();
    const { pkcs8, spki } = generateSoftwareKey('P-256');
    const made = new SigningRig(rig, softwareSigner('P-256', pkcs8));
    pkcs8.wipe();
    const add = made.changePolicy((policy) => {
      policy.operators.push({ name: 'second', roles: ['approver'], spki: Buffer.from(spki).toString('base64') });
      const line = policy.firmware?.products[0]?.environments.production;
      assert.ok(line?.rollback);
      line.approvals = 2;
      line.rollback.approvals = 3;
    });
    // Else two processes would outlive the test that began them.
    await add.catch(async (error: unknown) => {
      await rig.remove();
      throw error;
    });
    return made;
  }

  /** Puts a change of the policy in force, by its quorum: `architect` proposes, `approver` agrees. */
  async changePolicy(change: (policy: Policy) => void): Promise<void> {
    const { rig } = this;
    const before = policyFile(readFileSync(rig.layout.policy));
    const policy = structuredClone(before.policy);
    policy.version += 1;
    change(policy);
    const next = fileOf(policy);
    const now = Date.now();
    const statement = (act: 'propose' | 'approve', signer: 'architect' | 'approver', role: Role) =>
      signStatement(
        {
          ...{ act, signer, role, proposer: 'architect', version: policy.version },
          ...{ policySha256: next.sha256, previousSha256: before.sha256 },
          ...{ signedAt: seconds(now), expiresAt: seconds(now + 3_600_000) },
        },
        personSigner(rig.layout, signer, rig.world.passphrases.operators),
      );
    const approvals = formatStatements([
      await statement('propose', 'architect', 'policy-administrator'),
      await statement('approve', 'approver', 'approver'),
    ]);
    const body = { policy: Buffer.from(next.bytes).toString('utf8'), approvals };
    const answer = await rig.rest('POST', '/policy', rig.person('architect'), body);
    assert.equal(answer.status, 200, answer.text);
  }

  /** An image for MCUboot, as its tools leave it without a key. */
  async image(version: string, counter: number, fill = 9): Promise<Buffer> {
    const raw = imageOf(new Uint8Array(5000).fill(fill));
    const made = await MCUBOOT.prepare?.(raw, { version, 'security-counter': String(counter) });
    assert.ok(made);
    return Buffer.from(await made.read(0, made.size));
  }

  upload(bytes: Uint8Array, sha = toHex(sha256(bytes))): Promise<Answer> {
    const identity = this.rig.person('release');
    const type = 'application/octet-stream';
    return this.rig.https('PUT', `/api/v1/signing/files/${sha}`, { identity, body: bytes, type });
  }

  /** Hands an image in and asks for its signature. */
  async submit(bytes: Uint8Array, id: string, asked: Asked): Promise<Answer> {
    const uploaded = await this.upload(bytes);
    assert.equal(uploaded.status, 200, uploaded.text);
    const body = {
      ...{ id, product: 'KS-PUMP-1', environment: 'production', target: 'mcu', format: 'mcuboot' },
      ...{ image: { sha256: toHex(sha256(bytes)) }, documents: {}, reason: 'a test', rollback: false, ...asked },
    };
    return this.rig.rest('POST', '/signing/requests', this.rig.person('release'), body);
  }

  /** A draft of an image. */
  async draft(bytes: Uint8Array, id: string, asked: Asked): Promise<RequestView> {
    const answer = await this.submit(bytes, id, asked);
    assert.equal(answer.status, 200, answer.text);
    return JSON.parse(answer.text) as RequestView;
  }

  /** What one person signs of an order. @param lasts seconds. */
  statement(order: FirmwareOrder, by: Person, lasts = 3600): Promise<string> {
    const { rig } = this;
    const signer = by === 'second' ? this.#second : personSigner(rig.layout, by, rig.world.passphrases.operators);
    const now = Date.now();
    const act = by === 'release' ? 'propose' : 'approve';
    const times = { signedAt: seconds(now), expiresAt: seconds(now + lasts * 1000) };
    return signFirmwareStatement({ act, order, proposer: 'release', role: ROLES[by], ...times }, by, signer);
  }

  bring(id: string, statement: string): Promise<Answer> {
    return this.rig.rest('POST', `/signing/requests/${id}/statements`, this.rig.person('approver'), { statement });
  }

  /** Signs and brings. */
  async sign(view: RequestView, ...people: Person[]): Promise<RequestView> {
    let after = view;
    for (const by of people) {
      const answer = await this.bring(view.id, await this.statement(view.order, by));
      assert.equal(answer.status, 200, answer.text);
      after = JSON.parse(answer.text) as RequestView;
    }
    return after;
  }

  async show(id: string): Promise<RequestView> {
    const answer = await this.rig.rest('GET', `/signing/requests/${id}`, this.rig.person('auditor'));
    return JSON.parse(answer.text) as RequestView;
  }

  /** Waits until a request is what is wanted; serve takes up what was left every ten seconds. */
  async until(id: string, wanted: (view: RequestView) => boolean): Promise<RequestView> {
    for (const end = Date.now() + 60_000; Date.now() < end; await pause(50)) {
      const view = await this.show(id).catch(() => undefined);
      if (view !== undefined && wanted(view)) return view;
    }
    assert.fail(`${id} is ${JSON.stringify(await this.show(id)).slice(0, 600)}`);
  }

  result(id: string): Promise<Answer> {
    return this.rig.rest('GET', `/signing/requests/${id}/result`, this.rig.person('auditor'));
  }

  /** Where a file that is kept lies. */
  path(sha: string): string {
    return join(this.rig.layout.signing, sha);
  }

  /** What keyd's journal has of firmware: how many orders, and how many of them signed. */
  journal(): { orders: number; signatures: number } {
    const lines = readFileSync(join(this.rig.layout.keyd, 'journal'), 'utf8').split('\n');
    const count = (kind: string): number => lines.filter((line) => line.includes(`"kind":"${kind}"`)).length;
    return { orders: count('firmware-order'), signatures: count('firmware-signature') };
  }

  /**
   * An upload that comes a piece at a time.
   * @param between waited for after each piece.
   */
  async slowUpload(bytes: Buffer, pieces: number, between: () => Promise<unknown>): Promise<number> {
    const { cert, key }: Identity = this.rig.person('release');
    const agent = new Agent({ keepAlive: false, ca: this.rig.world.rootPem, cert, key });
    const url = new URL(`/api/v1/signing/files/${toHex(sha256(bytes))}`, this.rig.world.httpsUrl);
    const headers = { 'Content-Type': 'application/octet-stream', 'Content-Length': bytes.length };
    const call = request(url, { method: 'PUT', agent, headers });
    const status = new Promise<number>((resolve, reject) => {
      call.on('error', reject);
      call.on('response', (response) => {
        response.resume();
        response.on('end', () => resolve(response.statusCode ?? 0));
        response.on('error', reject);
      });
    });
    status.catch(() => {});
    const size = Math.ceil(bytes.length / pieces);
    for (let at = 0; at < bytes.length; at += size) {
      call.write(bytes.subarray(at, at + size));
      await between();
    }
    call.end();
    return status.finally(() => agent.destroy());
  }
}

/**
 * A request that must be refused: its status, its code with what it names, one entry in the log, and keyd's journal as
 * it was.
 */
export async function refused(
  { rig, journal }: { rig: Rig; journal: () => unknown },
  ask: () => Promise<Answer>,
  { status, code, field, seen }: { status: number; code: string; field: string; seen?: RegExp },
): Promise<void> {
  const before = journal();
  const answer = await ask();
  assert.equal(answer.status, status, answer.text);
  const { error } = JSON.parse(answer.text) as {
    error: { code: string; field?: string; message: string; seen?: string };
  };
  assert.equal(error.code, code, answer.text);
  assert.equal(error.field, field);
  if (seen !== undefined) assert.match(error.seen ?? '', seen);
  // The message is the field, the rule and what was seen.
  assert.match(error.message, /^.+: .{20,} \(saw /);
  const entries = rig.audited(answer).filter(({ type }) => type === 'request.refused');
  assert.deepEqual(
    entries.map(({ outcome, detail }) => [outcome, detail?.code]),
    [['refused', code]],
  );
  assert.deepEqual(journal(), before);
}
