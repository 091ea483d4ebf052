/**
 * The content of a document without its look: what Markdown and HTML are both made from, so that neither can say
 * something else than the other. Text is plain; each form escapes it by its own rules.
 */

/** A run of text; `code` is set in a fixed-width face: hashes, names of commands and of fields. */
export type Inline = string | { readonly code: string };
export type Text = string | readonly Inline[];

export type Block =
  | { readonly kind: 'heading'; readonly level: 1 | 2; readonly text: string }
  | { readonly kind: 'paragraph'; readonly text: Text }
  /** What nobody may overlook. */
  | { readonly kind: 'warning'; readonly text: Text }
  | { readonly kind: 'list'; readonly ordered: boolean; readonly items: readonly Text[] }
  | { readonly kind: 'table'; readonly head: readonly string[]; readonly rows: readonly (readonly Text[])[] };

export interface Content {
  readonly title: string;
  /** What stands on every printed page: id, version, and that it is a demonstration. */
  readonly header: string;
  readonly footer: string;
  readonly blocks: readonly Block[];
}

export const section = (text: string): Block => ({ kind: 'heading', level: 1, text });
export const subsection = (text: string): Block => ({ kind: 'heading', level: 2, text });
export const paragraph = (text: Text): Block => ({ kind: 'paragraph', text });
export const warning = (text: Text): Block => ({ kind: 'warning', text });
export const steps = (...items: Text[]): Block => ({ kind: 'list', ordered: true, items });
export const list = (...items: Text[]): Block => ({ kind: 'list', ordered: false, items });
export const table = (head: readonly string[], rows: readonly (readonly Text[])[]): Block => ({
  kind: 'table',
  head,
  rows,
});
export const code = (text: string): Inline => ({ code: text });

/** Sections are numbered `1`, their parts `1.1`, the same in every form. */
export function numbered(blocks: readonly Block[]): { block: Block; number: string }[] {
  let first = 0;
  let second = 0;
  return blocks.map((block) => {
    if (block.kind !== 'heading') return { block, number: '' };
    if (block.level === 1) {
      first += 1;
      second = 0;
      return { block, number: `${first}` };
    }
    second += 1;
    return { block, number: `${first}.${second}` };
  });
}
