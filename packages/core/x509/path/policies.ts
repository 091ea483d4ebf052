import { DerError, readDer, readInteger, readOid } from '../der/strict.ts';
import { ANY_POLICY, POLICY_QUALIFIERS } from '../oids.ts';

/** CertificatePolicies (RFC 5280 section 4.2.1.4). */
export interface Policies {
  /** Dotted OIDs without anyPolicy, in their order. */
  readonly ids: readonly string[];
  readonly any: boolean;
  /** A qualifier of a kind that RFC 5280 does not define: it refuses the path where the extension is critical. */
  readonly strangeQualifier?: string;
}

/** @throws DerError also for a policy that stands twice. */
export function readPolicies(value: Uint8Array): Policies {
  const what = 'certificatePolicies';
  const known: readonly string[] = Object.values(POLICY_QUALIFIERS);
  const seen = new Set<string>();
  let strangeQualifier: string | undefined;
  const list = readDer(value).expect(0x30, what);
  if (list.children.length === 0) throw new DerError(`${what} is empty`);
  for (const item of list.children) {
    item.expect(0x30, what).counted(1, 2, what);
    const id = readOid(item.children[0], what);
    if (seen.has(id)) throw new DerError(`the policy ${id} stands twice`);
    seen.add(id);
    for (const qualifier of item.children[1]?.expect(0x30, what).children ?? []) {
      const kind = readOid(qualifier.expect(0x30, what).counted(2, 2, what).children[0], what);
      if (!known.includes(kind)) strangeQualifier ??= kind;
    }
  }
  const any = seen.delete(ANY_POLICY);
  return { ids: [...seen], any, strangeQualifier };
}

/** PolicyMappings (RFC 5280 section 4.2.1.5): the subject's policies by the issuer's. @throws DerError */
export function readPolicyMappings(value: Uint8Array): ReadonlyMap<string, ReadonlySet<string>> {
  const what = 'policyMappings';
  const list = readDer(value).expect(0x30, what);
  if (list.children.length === 0) throw new DerError(`${what} is empty`);
  const mappings = new Map<string, Set<string>>();
  for (const pair of list.children) {
    pair.expect(0x30, what).counted(2, 2, what);
    const from = readOid(pair.children[0], what);
    mappings.set(from, (mappings.get(from) ?? new Set()).add(readOid(pair.children[1], what)));
  }
  return mappings;
}

/** PolicyConstraints (RFC 5280 section 4.2.1.11), in certificates to skip. @throws DerError */
export function readPolicyConstraints(value: Uint8Array): { requireExplicit?: number; inhibitMapping?: number } {
  const what = 'policyConstraints';
  const read: { requireExplicit?: number; inhibitMapping?: number } = {};
  let last = -1;
  for (const child of readDer(value).expect(0x30, what).counted(1, 2, what).children) {
    if ((child.tag !== 0x80 && child.tag !== 0x81) || child.tag <= last)
      throw new DerError(`${what} has an element of no known kind`);
    last = child.tag;
    const skip = skipCerts(child.value, what);
    if (child.tag === 0x80) read.requireExplicit = skip;
    else read.inhibitMapping = skip;
  }
  return read;
}

/** InhibitAnyPolicy (RFC 5280 section 4.2.1.14), in certificates to skip. @throws DerError */
export function readInhibitAnyPolicy(value: Uint8Array): number {
  const number = readInteger(readDer(value).expect(0x02, 'inhibitAnyPolicy'), 'inhibitAnyPolicy');
  if (number < 0n) throw new DerError('inhibitAnyPolicy is negative');
  return number > 1000n ? 1000 : Number(number);
}

/** The content of an IMPLICIT INTEGER (0..MAX). A number beyond any path says the same as one that is a bit smaller. */
function skipCerts(content: Uint8Array, what: string): number {
  const [first = 0xff, second = 0] = content;
  if (first & 0x80) throw new DerError(`${what} is negative`);
  if (content.length > 1 && first === 0 && !(second & 0x80)) throw new DerError(`${what} has a padded INTEGER`);
  return content.length > 2 ? 1000 : content.reduce((sum, octet) => sum * 256 + octet, 0);
}

interface Node {
  readonly policy: string;
  /** Policies of the next certificate that are this one (RFC 5280 section 6.1.2 (a)). */
  expected: ReadonlySet<string>;
  readonly parents: ReadonlySet<Node>;
}

/**
 * The valid_policy_graph of RFC 9618 section 5: what RFC 5280 section 6.1.2 (a) calls the valid_policy_tree, with one
 * node for each policy and depth. As a tree it grows exponentially in the length of the path where each CA maps two
 * policies to two (CVE-2023-0464); as a graph it has no more nodes than the certificates have policies.
 */
export class PolicyGraph {
  /** From the anchor down; empty when the graph is NULL. */
  #levels: Map<string, Node>[] = [
    new Map([[ANY_POLICY, { policy: ANY_POLICY, expected: new Set([ANY_POLICY]), parents: new Set() }]]),
  ];

  /** Whether no policy is left under which the path is valid. */
  get isNull(): boolean {
    return this.#levels.length === 0;
  }

  /**
   * 6.1.3 (d) and (e): takes in the policies of the next certificate.
   * @param anyCounts whether its anyPolicy is taken for any.
   */
  add(policies: Policies | undefined, anyCounts: boolean): void {
    const above = this.#levels.at(-1);
    if (above === undefined) return;
    if (policies === undefined) {
      this.#levels = [];
      return;
    }
    const expecting = new Map<string, Set<Node>>();
    for (const node of above.values())
      for (const policy of node.expected) expecting.set(policy, (expecting.get(policy) ?? new Set()).add(node));
    const level = new Map<string, Node>();
    const put = (policy: string, parents: ReadonlySet<Node>): void => {
      level.set(policy, { policy, expected: new Set([policy]), parents });
    };
    const any = above.get(ANY_POLICY);
    for (const policy of policies.ids) {
      const parents = expecting.get(policy) ?? (any === undefined ? undefined : new Set([any]));
      if (parents !== undefined) put(policy, parents);
    }
    if (policies.any && anyCounts)
      for (const [policy, parents] of expecting) if (!level.has(policy)) put(policy, parents);
    this.#levels.push(level);
    this.#prune();
  }

  /** 6.1.4 (b): the certificate's mappings; where mapping is inhibited, what is mapped is taken away. */
  map(mappings: ReadonlyMap<string, ReadonlySet<string>>, allowed: boolean): void {
    const level = this.#levels.at(-1);
    const any = this.#levels.at(-2)?.get(ANY_POLICY);
    if (level === undefined) return;
    const anyHere = level.has(ANY_POLICY);
    for (const [from, to] of mappings) {
      const node = level.get(from);
      if (!allowed) level.delete(from);
      else if (node !== undefined) node.expected = to;
      else if (anyHere && any !== undefined) level.set(from, { policy: from, expected: to, parents: new Set([any]) });
    }
    if (!allowed) this.#prune();
  }

  /**
   * 6.1.5 (g), by RFC 9618 section 5.4: the policies of the anchor's domain under which the whole path is valid, so
   * far as they are among `wanted`; undefined wants any. May hold anyPolicy.
   */
  accepted(wanted: ReadonlySet<string> | undefined): ReadonlySet<string> {
    const authority = new Set<string>();
    for (const level of this.#levels)
      for (const { policy, parents } of level.values())
        if (policy !== ANY_POLICY && [...parents].some((parent) => parent.policy === ANY_POLICY)) authority.add(policy);
    const any = this.#levels.at(-1)?.has(ANY_POLICY) === true;
    if (wanted === undefined || wanted.has(ANY_POLICY)) return any ? authority.add(ANY_POLICY) : authority;
    return any ? wanted : new Set([...authority].filter((policy) => wanted.has(policy)));
  }

  /** 6.1.3 (d)(3): nodes that lead to nothing go. */
  #prune(): void {
    for (let i = this.#levels.length - 1; i > 0; i -= 1) {
      const used = new Set<Node>();
      for (const node of this.#levels[i]?.values() ?? []) for (const parent of node.parents) used.add(parent);
      const above = this.#levels[i - 1];
      for (const [policy, node] of above ?? []) if (!used.has(node)) above?.delete(policy);
    }
    if (this.#levels.some((level) => level.size === 0)) this.#levels = [];
  }
}
