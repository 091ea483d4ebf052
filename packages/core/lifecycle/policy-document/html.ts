import { type Block, type Content, type Inline, numbered, type Text } from './content.ts';
import { DOCUMENT_STYLE } from './style.ts';

/** The document as one HTML file that needs nothing else and prints on A4; UTF-8, ended by a line feed. */
export function renderHtml(content: Content): string {
  const parts = numbered(content.blocks);
  // What comes before the first heading is for everybody: it stands above the contents.
  const first = content.blocks.findIndex((block) => block.kind === 'heading');
  const contents = parts.flatMap(({ block, number }) =>
    block.kind === 'heading' && block.level === 1
      ? [`<li><a href="#s${number}"><span class="n">${number}</span>${escaped(block.text)}</a></li>`]
      : [],
  );
  return [
    '<!DOCTYPE html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    // Nothing is loaded and nothing runs, whatever stands in the policy.
    `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>${escaped(content.title)}</title>`,
    `<style>${DOCUMENT_STYLE}${running(content)}</style>`,
    '</head>',
    '<body>',
    `<header><h1>${escaped(content.title)}</h1><p>${escaped(content.header)}</p></header>`,
    ...parts.slice(0, first).map(({ block, number }) => renderBlock(block, number)),
    `<nav aria-label="Contents"><ol>${contents.join('')}</ol></nav>`,
    '<main>',
    ...parts.slice(first).map(({ block, number }) => renderBlock(block, number)),
    '</main>',
    `<footer><p>${escaped(content.footer)}</p></footer>`,
    '</body>',
    '</html>',
    '',
  ].join('\n');
}

function renderBlock(block: Block, number: string): string {
  switch (block.kind) {
    case 'heading': {
      const tag = `h${block.level + 1}`;
      return `<${tag} id="s${number}"><span class="n">${number}</span>${escaped(block.text)}</${tag}>`;
    }
    case 'paragraph':
      return `<p>${text(block.text)}</p>`;
    case 'warning':
      return `<p class="warning" role="note">${text(block.text)}</p>`;
    case 'list': {
      const tag = block.ordered ? 'ol' : 'ul';
      return `<${tag}>${block.items.map((item) => `<li>${text(item)}</li>`).join('')}</${tag}>`;
    }
    case 'table': {
      const head = block.head.map((cell) => `<th scope="col">${escaped(cell)}</th>`).join('');
      const rows = block.rows
        .map((row) => `<tr>${row.map((cell) => `<td>${text(cell)}</td>`).join('')}</tr>`)
        .join('\n');
      return `<div class="table"><table><thead><tr>${head}</tr></thead>\n<tbody>\n${rows}\n</tbody></table></div>`;
    }
  }
}

const text = (value: Text): string => (typeof value === 'string' ? escaped(value) : value.map(inline).join(''));

const inline = (part: Inline): string =>
  typeof part === 'string' ? escaped(part) : `<code>${escaped(part.code)}</code>`;

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
const escaped = (value: string): string =>
  value.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '').replace(/\p{Cc}+/gu, ' ');

/** Header and footer of the printed pages: they are strings of CSS, which have rules of escaping of their own. */
const running = ({ header, footer }: Content): string =>
  `@page{@top-left{content:${cssString(header)}}@bottom-left{content:${cssString(footer)}}}`;

/** CSS Syntax 3 section 4.3.5; as code points, so that no `</style>` can come to be. */
const cssString = (value: string): string =>
  `"${value.replace(/[^A-Za-z0-9 .,:;()-]/gu, (character) => `\\${character.codePointAt(0)?.toString(16) ?? ''} `)}"`;
