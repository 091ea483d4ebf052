import type { CertificateInfo } from '../certificate.ts';
import { DerError, type DerNode, readDer } from '../der/strict.ts';
import { findExtension } from '../extensions.ts';
import { nameValues, rdnKeys } from '../names.ts';
import { EXTENSIONS } from '../oids.ts';
import type { Objection } from './rules.ts';
import { type FormedName, isBase, isComparable, isWithin, readFormedName, UTF8_MAILBOX_FORM } from './subtree.ts';

/** NameConstraints (RFC 5280 section 4.2.1.10). */
interface Constraints {
  readonly permitted: readonly FormedName[];
  readonly excluded: readonly FormedName[];
}

/**
 * How many comparisons of a name with a subtree the search for one path may cost. Names and subtrees multiply
 * (CVE-2021-44533 is such a bill in others); a real hierarchy needs a few hundred.
 */
const MOST_COMPARISONS = 1 << 18;

/** Counts down over all paths that one search tries. */
export class ComparisonBudget {
  #left = MOST_COMPARISONS;

  /** @returns false when it is used up. */
  spend(): boolean {
    this.#left -= 1;
    return this.#left >= 0;
  }
}

/** @throws DerError also for a minimum or maximum, which RFC 5280 does not use, and for a base that is not well formed. */
function readNameConstraints(value: Uint8Array): Constraints {
  const what = 'nameConstraints';
  const node = readDer(value).expect(0x30, what).counted(1, 2, what);
  const lists = new Map(node.children.map((child) => [child.tag, child]));
  if (
    lists.size !== node.children.length ||
    node.children.some(({ tag }, i) => tag !== 0xa0 && (tag !== 0xa1 || i < lists.size - 1))
  )
    throw new DerError(`${what} has an element of no known kind`);
  return { permitted: subtrees(lists.get(0xa0), what), excluded: subtrees(lists.get(0xa1), what) };
}

function subtrees(list: DerNode | undefined, what: string): FormedName[] {
  if (list === undefined) return [];
  if (list.children.length === 0) throw new DerError(`${what} has an empty list`);
  return list.children.map((subtree) => {
    const [base] = subtree.expect(0x30, what).counted(1, 1, `a subtree of ${what}`).children;
    if (base === undefined) throw new DerError(`a subtree of ${what} has no base`);
    const read = readFormedName(base, what);
    if (!isBase(read)) throw new DerError(`${what} has a base that is not well formed`);
    return read;
  });
}

/** permitted_subtrees and excluded_subtrees of RFC 5280 section 6.1.2 (b), (c). */
export class NameSpace {
  /** Each certificate's permitted subtrees by form: a name must lie in one of each (6.1.4 (g)(1)). */
  readonly #permitted: FormedName[][] = [];
  readonly #excluded: FormedName[] = [];
  readonly #budget: ComparisonBudget;

  constructor(budget: ComparisonBudget) {
    this.#budget = budget;
  }

  /** 6.1.4 (g). @throws DerError */
  narrow(value: Uint8Array): void {
    const { permitted, excluded } = readNameConstraints(value);
    if (permitted.length > 0) this.#permitted.push([...permitted]);
    this.#excluded.push(...excluded);
  }

  /** 6.1.3 (b), (c): what is wrong with the names of a certificate; undefined when nothing is. @throws DerError */
  objection(certificate: CertificateInfo): Objection | undefined {
    if (this.#permitted.length === 0 && this.#excluded.length === 0) return undefined;
    for (const name of namesOf(certificate)) {
      const objection = this.#judge(name);
      if (objection !== undefined) return objection;
    }
    return undefined;
  }

  #judge(name: FormedName): Objection | undefined {
    const form = name.form === UTF8_MAILBOX_FORM ? 'email' : name.form;
    const sameForm = (base: FormedName): boolean => base.form === form;
    const excluded = this.#excluded.filter(sameForm);
    const layers = this.#permitted.map((layer) => layer.filter(sameForm)).filter((layer) => layer.length > 0);
    if (excluded.length === 0 && layers.length === 0) return undefined;
    if (!isComparable(name)) return { rule: 'name-unprocessed', detail: describe(name) };
    let within = false;
    for (const base of excluded) {
      if (!this.#budget.spend()) return { rule: 'search-bound', detail: 'comparisons of names' };
      if (isWithin(name, base, true)) return { rule: 'name-excluded', detail: describe(name) };
    }
    for (const layer of layers) {
      within = false;
      for (const base of layer) {
        if (!this.#budget.spend()) return { rule: 'search-bound', detail: 'comparisons of names' };
        within ||= isWithin(name, base, false);
      }
      if (!within) return { rule: 'name-permitted', detail: describe(name) };
    }
    return undefined;
  }
}

/** The subject, when it is not empty, and the alternative names; where these have no mailbox, those of the subject. */
function* namesOf({ subject, extensions }: CertificateInfo): Generator<FormedName> {
  if (subject.rdns.length > 0) yield { form: 'directory', rdns: rdnKeys(subject) };
  const extension = findExtension(extensions, EXTENSIONS.subjectAltName);
  const names =
    extension === undefined
      ? []
      : readDer(extension.value).children.map((node) => readFormedName(node, 'subjectAltName'));
  yield* names;
  if (names.some(({ form }) => form === 'email')) return;
  for (const text of nameValues(subject, 'emailAddress')) yield { form: 'email', text };
}

function describe(name: FormedName): string {
  if ('text' in name) return `${name.form} ${name.text}`;
  if (name.form === 'directory') return 'a distinguished name';
  return name.form === 'ip'
    ? `ip ${[...(name as { octets: Uint8Array }).octets].join('.')}`
    : `a name of the form ${name.form}`;
}
