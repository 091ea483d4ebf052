import { type Block, type Content, type Inline, numbered, type Text } from './content.ts';

/** The document as Markdown (CommonMark with the tables of GitHub), UTF-8, ended by a line feed. */
export function renderMarkdown(content: Content): string {
  const blocks = numbered(content.blocks).map(({ block, number }) => renderBlock(block, number));
  return `# ${escaped(content.title)}\n\n${escaped(content.header)}\n\n${blocks.join('\n\n')}\n\n---\n\n${escaped(content.footer)}\n`;
}

function renderBlock(block: Block, number: string): string {
  switch (block.kind) {
    case 'heading':
      return `${'#'.repeat(block.level + 1)} ${number} ${escaped(block.text)}`;
    case 'paragraph':
      return text(block.text);
    case 'warning':
      return `> **${text(block.text)}**`;
    case 'list':
      return block.items.map((item, index) => `${block.ordered ? `${index + 1}.` : '-'} ${text(item)}`).join('\n');
    case 'table': {
      const row = (cells: readonly Text[]): string => `| ${cells.map(text).join(' | ')} |`;
      return [row(block.head), `|${block.head.map(() => '---').join('|')}|`, ...block.rows.map(row)].join('\n');
    }
  }
}

const text = (value: Text): string => (typeof value === 'string' ? escaped(value) : value.map(inline).join(''));

const inline = (part: Inline): string => (typeof part === 'string' ? escaped(part) : codeSpan(part.code));

/** Line ends would leave the paragraph or the row of the table. */
const oneLine = (value: string): string => value.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ');

/** Every character that could mean something is escaped (CommonMark section 2.4); `&` would begin an entity. */
const escaped = (value: string): string =>
  oneLine(value)
    .replace(/[\\`*_[\]<>|#~&!]/g, '\\$&')
    .replace(/^(\s*)([-+])/, '$1\\$2')
    .replace(/^(\s*\d+)([.)])/, '$1\\$2');

/** A fence longer than any run of backticks inside; a bar would still end the cell of a table. */
function codeSpan(value: string): string {
  const line = oneLine(value).replace(/\|/g, '\\|');
  const longest = Math.max(0, ...[...line.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  const space = longest > 0 ? ' ' : '';
  return `${fence}${space}${line}${space}${fence}`;
}
