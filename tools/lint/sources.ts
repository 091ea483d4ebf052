import { globSync, readFileSync } from 'node:fs';

/** One thing that a source file may not say, and why. */
interface Ban {
  /** Global; runs over the whole text, so that an import over several lines is one match. Comments are not left out. */
  readonly pattern: RegExp;
  readonly why: string;
  /** Files in which it is allowed, because they are the one place for it. */
  readonly except: RegExp;
}

const RANDOMNESS = 'randomness comes only from core/crypto randomBytes';
const KEYS = 'keys are generated only in core/crypto, after a health test of the random source';

/** What has the one random source, and what says to it or to this file what may not be said. */
const RANDOM_ROOM = /^packages\/core\/crypto\/(random|tests\/random-(lint|biased)\.test)\.ts$|^tools\/lint\//;
/** A test makes keys of every kind to try what comes from outside, and puts a broken generator under the program. */
const KEY_ROOM = /^packages\/core\/crypto\/|\/tests\/|^tests\/|^tools\/lint\//;

/** What node:crypto draws for by itself. */
const DRAWING =
  'generateKey(?:Pair)?(?:Sync)?|generatePrime(?:Sync)?|createECDH|(?:create|get)DiffieHellman(?:Group)?|encapsulate';

const BANS: readonly Ban[] = [
  {
    // REQ-KEY-GEN-01: one random source, health-tested; nothing else anywhere, tests included. Our code is looked at, not
    // what a package draws for itself.
    pattern:
      /\bMath\s*(\.|\?\.|\[\s*['"`])\s*random\b|\brandom\b[^{};]*\}\s*=\s*Math\b|\b(randomUUID|randomInt|randomFill(Sync)?|getRandomValues|pseudoRandomBytes)\b|\/dev\/u?random/g,
    why: RANDOMNESS,
    except: RANDOM_ROOM,
  },
  {
    // Of node:crypto, of Web Crypto polyfills, of @noble/hashes: whatever is not a path of ours or core/crypto itself.
    pattern:
      /\bimport\s*\{[^}]*\brandomBytes\b[^}]*\}\s*from\s*['"](?!\.{1,2}\/|@keystead\/core\/crypto['"])[^'"]*['"]/g,
    why: RANDOMNESS,
    except: RANDOM_ROOM,
  },
  {
    // A member of that name belongs to another generator; a call of ours has nothing before it.
    pattern: /[\w)\]]\s*(\.|\?\.|\[\s*['"`])\s*(randomBytes|randomPrivateKey|randomSecretKey)\b|\.keygen\(\s*\)/g,
    why: RANDOMNESS,
    except: RANDOM_ROOM,
  },
  {
    pattern:
      /\bwebcrypto\b|\bglobalThis\s*(\.|\?\.|\[\s*['"`])\s*crypto\b|\bcrypto\s*(\.|\?\.)\s*subtle\b|\bsubtle\s*\.\s*generateKey\b/g,
    why: RANDOMNESS,
    except: KEY_ROOM,
  },
  {
    pattern: new RegExp(`\\bimport\\s*\\{[^}]*\\b(?:${DRAWING})\\b[^}]*\\}\\s*from\\s*['"](?:node:)?crypto['"]`, 'g'),
    why: KEYS,
    except: KEY_ROOM,
  },
  {
    // Whoever has the whole module has its generators too; by name, the bans above see what is taken.
    pattern:
      /\bimport\s+(?!type\b)(\*\s*as\s+)?\w+\s*(,\s*\{[^}]*\}\s*)?from\s*['"](node:)?crypto['"]|\b(require|import|getBuiltinModule)\(\s*['"`](node:)?crypto['"`]\s*\)/g,
    why: 'node:crypto is imported by name, so that it shows what is used of it',
    except: KEY_ROOM,
  },
  {
    pattern: /Date\.now\(\)|new Date\(\)/g,
    why: 'time comes only from a Clock',
    except:
      /\/tests\/|^tools\/|^bench\/|^tests\/|^packages\/keystead\/clock\/system\.ts$|^packages\/agent\/daemon\/system-clock\.ts$/,
  },
  {
    pattern: /\btest\.(skip|todo|only)|\b(it|describe)\.(skip|todo|only)|\{\s*(skip|todo|only):/g,
    why: 'a test that cannot run fails; it is never skipped',
    except: /^tools\/lint\//,
  },
  {
    pattern: /-----BEGIN (EC |RSA |ENCRYPTED |)PRIVATE KEY-----[\s\S]{0,4}[A-Za-z0-9+/]{40}/g,
    why: 'no private key stands in the sources; a test makes its own',
    except: /^$/,
  },
  {
    pattern: /\bas any\b|\bas unknown as\b|@ts-ignore|@ts-nocheck/g,
    why: 'types are not bypassed',
    except: /^tools\/lint\//,
  },
];

/** Every breach of the source rules in one file, as `path:line: why`. @param file path from the project's root. */
export function lintText(file: string, text: string): string[] {
  return BANS.filter((ban) => !ban.except.test(file)).flatMap((ban) =>
    [...text.matchAll(ban.pattern)].map((match) => {
      const line = text.slice(0, match.index).split('\n').length;
      return `${file}:${line}: ${ban.why}`;
    }),
  );
}

/** Every breach of the source rules. Looks at all TypeScript and JavaScript of the project, at no package of others. */
export function lintSources(): string[] {
  const files = globSync('{packages,tools,bench,tests}/**/*.{ts,mjs,cjs,js}', {
    exclude: (name) => name === 'node_modules',
  });
  return files
    .filter((file) => !file.includes('node_modules'))
    .flatMap((file) => lintText(file, readFileSync(file, 'utf8')));
}
