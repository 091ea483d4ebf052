import { globSync, readFileSync } from 'node:fs';

/** One thing that a source file may not say, and why. */
interface Ban {
  readonly pattern: RegExp;
  readonly why: string;
  /** Files in which it is allowed, because they are the one place for it. */
  readonly except: RegExp;
}

const BANS: readonly Ban[] = [
  {
    // REQ-KEY-GEN-01: one random source, health-tested; nothing else anywhere, tests included.
    pattern: /Math\.random|\brandomUUID\b|\brandomInt\b|\brandomFill|getRandomValues|pseudoRandomBytes|\/dev\/u?random/,
    why: 'randomness comes only from core/crypto randomBytes',
    except: /^packages\/core\/crypto\/random\.ts$|^tools\/lint\//,
  },
  {
    pattern: /randomBytes.*from 'node:crypto'|crypto\.randomBytes/,
    why: 'randomness comes only from core/crypto randomBytes',
    except: /^packages\/core\/crypto\/random\.ts$|^tools\/lint\//,
  },
  {
    pattern: /Date\.now\(\)|new Date\(\)/,
    why: 'time comes only from a Clock',
    except: /\/tests\/|^tools\/|^bench\/|^tests\/|^packages\/keystead\/clock\/system\.ts$/,
  },
  {
    pattern: /\btest\.(skip|todo|only)|\b(it|describe)\.(skip|todo|only)|\{\s*(skip|todo|only):/,
    why: 'a test that cannot run fails; it is never skipped',
    except: /^tools\/lint\//,
  },
  {
    pattern: /-----BEGIN (EC |RSA |ENCRYPTED |)PRIVATE KEY-----[\s\S]{0,4}[A-Za-z0-9+/]{40}/,
    why: 'no private key stands in the sources; a test makes its own',
    except: /^$/,
  },
  {
    pattern: /\bas any\b|\bas unknown as\b|@ts-ignore|@ts-nocheck/,
    why: 'types are not bypassed',
    except: /^tools\/lint\//,
  },
];

/** Every breach of the source rules, as `path:line: why`. Looks at all TypeScript and JavaScript of the project. */
export function lintSources(): string[] {
  const findings: string[] = [];
  const files = globSync('{packages,tools,bench,tests}/**/*.{ts,mjs,cjs,js}', {
    exclude: (name) => name === 'node_modules',
  });
  for (const file of files) {
    if (file.includes('node_modules')) continue;
    const text = readFileSync(file, 'utf8');
    for (const ban of BANS) {
      if (ban.except.test(file)) continue;
      for (const [index, line] of text.split('\n').entries()) {
        if (ban.pattern.test(line)) findings.push(`${file}:${index + 1}: ${ban.why}`);
      }
    }
  }
  return findings;
}
