import { type GeneratedKeyAlgorithm, generateSoftwareKey, type Signer, softwareSigner } from '../../crypto/index.ts';
import {
  type DemoPolicyOptions,
  demoPolicy,
  formatPolicy,
  formatStatements,
  type Policy,
  type PolicyFile,
  type PolicyStatement,
  policyFile,
  type Role,
  type SignedStatement,
  type StatementSigner,
  signStatement,
} from '../index.ts';

/** The people of the tests of policy changes. `paul` and `pia` propose, the approvers approve, `olga` runs the CAs. */
const ROLES_OF = {
  paul: ['policy-administrator'],
  pia: ['policy-administrator'],
  anna: ['approver'],
  axel: ['approver'],
  olga: ['ca-operator'],
  lin: ['line-operator'],
  aud: ['auditor'],
  cleo: ['custodian'],
} as const satisfies Record<string, readonly Role[]>;
export type Party = keyof typeof ROLES_OF;

/** People with keys of their own, a policy that names them, and what they sign. */
export class PolicyParties {
  readonly #signers: Readonly<Record<string, Signer>>;
  readonly operators: DemoPolicyOptions['operators'];

  constructor(algorithms: Partial<Record<Party, GeneratedKeyAlgorithm>> = {}) {
    const people = (Object.keys(ROLES_OF) as Party[]).map((name) => {
      const algorithm = algorithms[name] ?? 'P-256';
      const { pkcs8, spki } = generateSoftwareKey(algorithm);
      return { name, spki, signer: softwareSigner(algorithm, pkcs8) };
    });
    this.#signers = Object.fromEntries(people.map(({ name, signer }) => [name, signer]));
    this.operators = people.map(({ name, spki }) => ({ name, spki, roles: ROLES_OF[name] }));
  }

  signer(name: Party): Signer {
    const signer = this.#signers[name];
    if (signer === undefined) throw new Error(`nobody is ${name}`);
    return signer;
  }

  policy(options: Partial<DemoPolicyOptions> = {}): PolicyFile {
    const issued = new Date('2026-03-01T08:00:00Z');
    return fileOf(demoPolicy({ operators: this.operators, issued, demonstration: false, ...options }));
  }

  /** One statement; `more` makes it a wrong one. */
  statement(
    act: PolicyStatement['act'],
    name: Party,
    [current, next]: readonly [PolicyFile, PolicyFile],
    at: Date,
    more: Partial<PolicyStatement> = {},
    by: StatementSigner = this.signer(name),
  ): Promise<SignedStatement> {
    const { v: _, ...rest } = { v: 1, ...more };
    return signStatement(
      {
        act,
        policySha256: next.sha256,
        version: next.policy.version,
        previousSha256: current.sha256,
        proposer: 'paul',
        signer: name,
        role: ROLES_OF[name][0],
        signedAt: seconds(at.getTime()),
        expiresAt: seconds(at.getTime() + 86_400_000),
        ...rest,
      },
      by,
    );
  }

  /** The approvals file: paul proposes, the others approve. */
  async approvals(
    step: readonly [PolicyFile, PolicyFile],
    at: Date,
    approvers: readonly Party[] = ['anna', 'axel'],
  ): Promise<string> {
    const proposal = await this.statement('propose', 'paul', step, at);
    const rest = await Promise.all(approvers.map((name) => this.statement('approve', name, step, at)));
    return formatStatements([proposal, ...rest]);
  }
}

export const seconds = (ms: number): string =>
  new Date(Math.floor(ms / 1000) * 1000).toISOString().replace('.000Z', 'Z');

export const fileOf = (policy: Policy): PolicyFile => policyFile(Buffer.from(formatPolicy(policy)));

/** The next version of a policy, with a change. */
export function successor({ policy }: PolicyFile, change: (policy: Policy) => void = () => {}): PolicyFile {
  const next = structuredClone(policy);
  next.version += 1;
  change(next);
  return fileOf(next);
}
